"""list the kernels of Debian's archive, newest first, and which the cache holds

examples:
  afalg-harness kernels list
  afalg-harness kernels list '*cloud*' --suite trixie-backports
  afalg-harness kernels list --flavour amd64 --from 6.12.80 --to 6.12
  afalg-harness kernels list --cached --json
  afalg-harness kernels list --static
"""

from __future__ import annotations

import argparse
import re

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_source_options
from harness.kernels.archive.suites import FLAVOURS, SUITES

VERBOSE = "a column for the flavour, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels list``."""
    glob = parser.add_argument(
        "glob", nargs="?", default="*", metavar="GLOB", help="only releases that match, as '6.12*'"
    )
    completed(glob, completion.cached)
    parser.add_argument(
        "--suite",
        choices=SUITES,
        metavar="SUITE",
        help=f"only those in this suite: {', '.join(SUITES)}",
    )
    parser.add_argument(
        "--flavour", choices=FLAVOURS, metavar="F", help="only amd64, cloud or rt kernels"
    )
    parser.add_argument(
        "--from", dest="first", type=_version, metavar="VERSION", help="this version or later"
    )
    parser.add_argument(
        "--to",
        dest="last",
        type=_version,
        metavar="VERSION",
        help="this version or earlier; 6.12 takes in all of 6.12.*",
    )
    parser.add_argument(
        "--cached", action="store_true", help="only those in the cache; needs no network"
    )
    parser.add_argument(
        "--static",
        action="store_true",
        help="of those in the cache, which inputs and outputs of request sockets can refer to"
        " pages, going by the kernel's code; nothing is booted (kernels show says why)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    add_source_options(parser, builds=False)


def _version(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version such as 6.12 or 6.12.43")
    return tuple(map(int, text.split(".")))
