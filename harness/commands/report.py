"""judge a stored run anew and make its reports, in any format

`report merge` puts the runs of shards together: a new run directory, as the
whole run would have left it. It is not put into the store (runs import does
that, where its shards are not in it).

examples:
  afalg-harness report runs/20261123T101500Z-1a2b
  afalg-harness report runs/20261123T101500Z-1a2b --format junit --output -
  afalg-harness report --replay runs/20261123T101500Z-1a2b
  afalg-harness report merge shards/* --out runs/whole
"""

from __future__ import annotations

import argparse

from harness.commands.options import path
from harness.commands.reporting import (
    add_exit_option,
    add_judging_options,
    add_replay_option,
    add_report_options,
)

VERBOSE = "print everything: each test, path, reason and change"
#: The word before run directories that are to be put together.
MERGE = "merge"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``report``."""
    parser.add_argument(
        "runs",
        nargs="+",
        type=path,
        metavar="RUN",
        help="a run directory, or a results.json; only read. Or `merge` and the runs of all"
        " shards (of a directory of that name: ./merge)",
    )
    add_replay_option(parser)
    parser.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="of merge: the run directory to write (default: runs/<UTC time>-<id>)",
    )
    add_report_options(parser, "into RUN")
    add_judging_options(parser)
    add_exit_option(parser)
