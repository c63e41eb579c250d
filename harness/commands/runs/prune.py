"""delete runs from the store

By age, what run --baseline last-good would pick is kept; what is named goes.
There is no way back but an export that was made before.

examples:
  afalg-harness runs prune 56dc0977
  afalg-harness runs prune --older-than 365 --dry-run
  afalg-harness runs prune --keep 20
  afalg-harness runs prune --older-than 30 --files
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_store_option, not_empty, positive_integer

QUIET = "only how many runs went"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``runs prune``."""
    parser.add_argument(
        "runs", nargs="*", type=not_empty, metavar="RUN", help="a run's id, or how that begins"
    )
    parser.add_argument(
        "--older-than",
        type=positive_integer,
        metavar="DAYS",
        help="runs that began so many days ago or earlier",
    )
    parser.add_argument(
        "--keep",
        type=positive_integer,
        metavar="N",
        help="runs of which no kernel has fewer than N newer ones",
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="delete only consoles, records and what else lay beside results.json",
    )
    parser.add_argument("--dry-run", action="store_true", help="delete nothing, say what would be")
    add_store_option(parser)
