"""test one kernel for git bisect run: exit code 0 good, 1 bad, 125 cannot be tested

A check is a test id, good if it passes and bad if it fails, crashes the
kernel or times out, or FACT=STATE, good if that is what is seen; the state
may be left out where the harness itself expects one (absent for an input path
of skcipher and aead, and for page_cache_write; works for a program). Where it
is unreachable, present and absent cannot be told.

exit codes, as git bisect run documents them:
  0    good
  1    bad
  125  cannot be tested: the archive lacks it, it does not build or boot, or
       the check could not be judged
  128  the command was used wrongly, or an input is bad
  129  infrastructure failed: nothing is known of the kernel
  130  interrupted

examples:
  git bisect run afalg-harness bisect-step \\
      --check functional/test_hash.py::test_sha256
  git bisect run afalg-harness bisect-step \\
      --check zero_copy.skcipher.splice_file=present
  afalg-harness bisect-step --check page_cache_write debian:6.12.85+deb12-amd64
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.bisect import add_check_arguments
from harness.commands.completion import completed
from harness.commands.options import (
    add_guest_options,
    add_source_options,
    path,
    positive_integer,
)

VERBOSE = "what the check saw, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``bisect-step``."""
    spec = parser.add_argument(
        "spec",
        nargs="?",
        default="git:.@HEAD",
        metavar="SPEC",
        help="a kernel (default: the commit that is checked out in the current directory, built)",
    )
    completed(spec, completion.specs)
    add_check_arguments(parser)
    parser.add_argument(
        "--repeat",
        type=positive_integer,
        default=1,
        metavar="N",
        help="boot it N times, and vote",
    )
    parser.add_argument(
        "--out", type=path, metavar="DIR", help="its directory (default: runs/<UTC time>-<id>)"
    )
    parser.set_defaults(executor="local", jobs=1)
    add_guest_options(parser)
    add_source_options(parser)
