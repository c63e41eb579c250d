"""a root shell in a kernel, with the suite at hand

With --exec the exit code is the command's own (128 + N if signal N ended it);
without, the shell's. 2 and 3, with a line on stderr, can also mean that it
never came to that: 2 a bad SPEC or option, 3 a failed download, build or boot,
or a guest that ended first (a panic). 130: interrupted, or left with Ctrl-].

examples:
  afalg-harness shell debian:trixie-backports
  afalg-harness shell debian:trixie --exec 'pytest functional/test_hash.py'
  afalg-harness shell git:~/linux@my-branch --kconfig base --kconfig afalg --gdb
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import (
    add_guest_options,
    add_source_options,
)

VERBOSE = "print the guest's console on stderr from the beginning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``shell``."""
    spec = parser.add_argument("spec", metavar="SPEC", help="a kernel, as run takes it")
    completed(spec, completion.specs)
    parser.add_argument(
        "--exec",
        dest="command",
        metavar="CMD",
        help="run this command line in the suite's directory, without input, and end",
    )
    parser.add_argument(
        "--gdb",
        action="store_true",
        help="wait for a debugger at QEMU's gdb stub before the first instruction (nokaslr)",
    )
    add_guest_options(parser)
    add_source_options(parser)
