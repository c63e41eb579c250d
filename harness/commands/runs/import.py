"""put runs into the store, each once however often it is imported

RUN is a run directory, or a results.json. One that has gone on, or was judged
anew, since it was imported replaces what is there. A run that cannot be read
is said and keeps no other from being imported (exit code 2).

examples:
  afalg-harness runs import runs/*
  afalg-harness runs import --store /srv/afalg/runs.sqlite runs/test
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_store_option, path

QUIET = "only how many there were"
VERBOSE = "what became of each run, of those that were there already, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``runs import``."""
    parser.add_argument(
        "runs", nargs="+", type=path, metavar="RUN", help="run directory or results.json"
    )
    add_store_option(parser)
