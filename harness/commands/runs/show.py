"""show a run of the store as it was printed when it ended

examples:
  afalg-harness runs show 56dc0977
  afalg-harness runs show 56dc0977 --verbose
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_store_option, not_empty

QUIET = "only what the run said, not what it was"
VERBOSE = "each test, path, reason and change, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``runs show``."""
    parser.add_argument(
        "run", type=not_empty, metavar="RUN", help="the run's id, or how that begins"
    )
    add_store_option(parser)
