"""write runs of the store as run directories again

With results.json, consoles and records as they were; reports can be made of
them (afalg-harness report DIR/ID).

examples:
  afalg-harness runs export 56dc0977
  afalg-harness runs export 56dc0977 89ac968c --out /tmp/runs
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.commands.options import add_store_option, not_empty, path

QUIET = "print nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``runs export``."""
    parser.add_argument(
        "runs", nargs="+", type=not_empty, metavar="RUN", help="a run's id, or how that begins"
    )
    parser.add_argument(
        "--out",
        type=path,
        default=Path("runs"),
        metavar="DIR",
        help="each run gets a directory DIR/ID (default: %(default)s)",
    )
    add_store_option(parser)
