"""Writes runs of the store as run directories."""

from __future__ import annotations

import argparse

from harness.errors import ExitCode
from harness.history import queries
from harness.history.exporting import export_run
from harness.history.store import Store, store_url


def execute(arguments: argparse.Namespace) -> int:
    """Write; no run is written over."""
    store = Store(store_url(arguments.store))
    for run in [queries.run_named(store, name) for name in arguments.runs]:
        place = arguments.out / run.id
        export_run(store, run.id, place)
        if not arguments.quiet:
            print(place)
    return ExitCode.OK
