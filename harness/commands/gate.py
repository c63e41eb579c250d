"""judge a stored run anew, and answer with the exit code and a line

examples:
  afalg-harness gate runs/20261123T101500Z-1a2b
  afalg-harness gate runs/test --expectations known.toml
"""

from __future__ import annotations

import argparse

from harness.commands.options import path
from harness.commands.reporting import add_exit_option, add_judging_options

VERBOSE = "print a line for each reason, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gate``."""
    parser.add_argument(
        "run", type=path, metavar="RUN", help="run directory, or a results.json; only read"
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="make the result again from console.log and events.jsonl, and judge it anew",
    )
    add_judging_options(parser)
    add_exit_option(parser)
