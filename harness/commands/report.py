"""judge a stored run anew and make its reports, in any format

examples:
  afalg-harness report runs/20261123T101500Z-1a2b
  afalg-harness report runs/20261123T101500Z-1a2b --format junit --output -
  afalg-harness report --replay runs/20261123T101500Z-1a2b
"""

from __future__ import annotations

import argparse

from harness.commands.options import path
from harness.commands.reporting import add_exit_option, add_judging_options, add_report_options

VERBOSE = "print everything: each test, path, reason and change"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``report``."""
    parser.add_argument(
        "run", type=path, metavar="RUN", help="run directory, or a results.json; only read"
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="make the result again from console.log and events.jsonl, and judge it anew",
    )
    add_report_options(parser, "into RUN")
    add_judging_options(parser)
    add_exit_option(parser)
