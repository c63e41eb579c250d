"""build kernels from git revisions, booting none

examples:
  afalg-harness kernels build git:~/linux@v7.3
  afalg-harness kernels build git:~/linux --kconfig base --kconfig debug
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_source_options

VERBOSE = "how each was built, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels build``."""
    spec = parser.add_argument(
        "specs", nargs="+", metavar="git:TREE@REV", help="a revision to build"
    )
    completed(spec, completion.specs)
    add_source_options(parser)
