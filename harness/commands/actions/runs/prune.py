"""Deletes runs from the store."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence

from harness.errors import ExitCode, InputError
from harness.history import queries
from harness.history.pruning import dispensable, prune
from harness.history.queries import StoredRun
from harness.history.store import Store, store_url


def execute(arguments: argparse.Namespace) -> int:
    """Delete what the arguments name."""
    store = Store(store_url(arguments.store))
    found = _wanted(store, arguments)
    if not arguments.dry_run and found:
        prune(store, [run.id for run in found], files_alone=arguments.files)
    what = "the files of " if arguments.files else ""
    verb = "would delete" if arguments.dry_run else "deleted"
    for run in () if arguments.quiet else found:
        print(f"{verb} {what}{run.id}, started {run.started}: {', '.join(run.kernels)}")
    print(f"{store.name}: {verb} {what}{len(found)} runs")
    return ExitCode.OK


def _wanted(store: Store, arguments: argparse.Namespace) -> Sequence[StoredRun]:
    if arguments.runs:
        if arguments.older_than is not None or arguments.keep is not None:
            raise InputError("runs prune: name runs, or say --older-than and --keep, not both")
        return [queries.run_named(store, name) for name in dict.fromkeys(arguments.runs)]
    if arguments.older_than is None and arguments.keep is None:
        raise InputError("runs prune: name runs, or say --older-than DAYS or --keep N")
    before = ""
    if arguments.older_than is not None:
        age = datetime.timedelta(days=arguments.older_than)
        before = (datetime.datetime.now(datetime.UTC) - age).isoformat(timespec="seconds")
    return dispensable(store, before=before, keep=arguments.keep)
