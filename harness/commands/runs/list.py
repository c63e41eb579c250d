"""list the runs of the store, newest first

examples:
  afalg-harness runs list
  afalg-harness runs list --kernel '7.3*' --json
  afalg-harness runs list --store postgresql://ci@db/afalg
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_store_option, not_empty, positive_integer

VERBOSE = "the whole id of each run and every kernel of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``runs list``."""
    kernel = parser.add_argument(
        "--kernel",
        type=not_empty,
        metavar="GLOB",
        help="only runs of a kernel whose release or spec matches, as '6.12*'",
    )
    completed(kernel, completion.cached)
    parser.add_argument(
        "--last", type=positive_integer, metavar="N", help="only the newest N of them"
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    add_store_option(parser)
