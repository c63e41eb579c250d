"""delete from the cache what is not needed, and nothing that a process uses

Without arguments only what killed processes left behind, and packages whose
kernel could not be prepared. Everything else comes back when it is asked for,
at the price of a download, of a preparation or of a build.

examples:
  afalg-harness kernels cache prune
  afalg-harness kernels cache prune --older-than 30 --dry-run
  afalg-harness kernels cache prune 6.12.43+deb12-amd64
  afalg-harness kernels cache prune --all
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_cache_option

QUIET = "only how much was freed"
VERBOSE = "where each thing lay, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels cache prune``."""
    names = parser.add_argument(
        "names",
        nargs="*",
        metavar="RELEASE|KEY",
        help="kernels of this release, or what has this key (of which 6 characters are enough)",
    )
    completed(names, completion.cached)
    parser.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="what was not used for so many days"
    )
    parser.add_argument("--all", action="store_true", help="everything that no process uses")
    parser.add_argument("--dry-run", action="store_true", help="delete nothing, say what would be")
    add_cache_option(parser)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1
    if not 0 <= days < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of days, 0 or more")
    return days
