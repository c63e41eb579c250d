"""measure what messages through AF_ALG cost, by every way in

Instructions are counted, not time, so it matters little what else the machine
does; --unit cycles and --unit nanoseconds count those, in several boots of
each kernel. Nothing is judged: the exit code is 0 unless --max-slowdown says
otherwise, or 3 if a kernel could not be measured. The others are shown all
the same, and what is complete when it is interrupted (130).

examples:
  afalg-harness benchmark debian:6.12.95+deb13-amd64 debian:6.12.96+deb13-amd64
  afalg-harness benchmark --baseline debian:trixie ./vmlinuz --max-slowdown 5%
  afalg-harness benchmark debian:trixie --way splice --way sendmsg --size 4096
  afalg-harness benchmark --unit cycles debian:trixie ./vmlinuz --rounds 20
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import (
    add_append_option,
    add_root_option,
    add_slowdown_option,
    add_source_options,
    path,
    positive_integer,
    whole_number,
)

VERBOSE = "print every row: what a message of each size costs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``benchmark``."""
    spec = parser.add_argument("specs", nargs="+", metavar="SPEC", help="a kernel, as run takes it")
    completed(spec, completion.specs)
    baseline = parser.add_argument(
        "--baseline",
        metavar="SPEC",
        help="the kernel to compare with (default: the first of several SPECs)",
    )
    completed(baseline, completion.specs)
    parser.add_argument(
        "--out", type=path, metavar="DIR", help="run directory (default: runs/<UTC time>-<id>)"
    )
    parser.add_argument(
        "--jobs",
        type=positive_integer,
        metavar="N",
        help="guests at once, each of one CPU (default: one for each CPU, as far as each has"
        " 1.25 GiB of free memory)",
    )
    add_slowdown_option(parser)
    parser.add_argument(
        "--unit",
        choices=("instructions", "cycles", "nanoseconds"),
        default="instructions",
        help="what is counted: instructions of an emulated CPU, the same on a busy machine"
        " (default); cycles of the host's, which needs KVM; nanoseconds and so requests a second,"
        " as noisy as the machine is",
    )
    parser.add_argument(
        "--rounds",
        type=positive_integer,
        metavar="N",
        help="of cycles and nanoseconds: boot each kernel so often, in turn (default, and the"
        " least: as many as the number of rows needs for chance to change none, 15 of all)",
    )
    what = parser.add_argument_group("what is measured (default: all; each can be repeated)")
    what.add_argument(
        "--algorithm", action="append", default=[], metavar="NAME", help="only this: cbc(aes), ..."
    )
    what.add_argument(
        "--way", action="append", default=[], metavar="NAME", help="only this: sendmsg, splice, ..."
    )
    what.add_argument(
        "--size",
        action="append",
        type=whole_number,
        default=[],
        metavar="BYTES",
        help="only this: 16, 64, 256, ... 1048576",
    )
    what.add_argument(
        "--one-count",
        action="store_true",
        help="leave out the second count, of a part of the rows, which shows what string"
        " instructions hide: half as many boots",
    )
    guest = parser.add_argument_group("the guest")
    add_root_option(guest)
    add_append_option(guest)
    add_source_options(parser)
