"""Imports runs into the store."""

from __future__ import annotations

import argparse
from collections import Counter

from harness.errors import ExitCode, InputError
from harness.history.importing import Import, import_run
from harness.history.store import Store, store_url
from harness.output import complain

_WORDS = {
    Import.NEW: "imported",
    Import.KNOWN: "there already",
    Import.REPLACED: "imported anew",
    Import.OLDER: "there already, and further on",
}


def execute(arguments: argparse.Namespace) -> int:
    """Import; returns 2 if one of the runs cannot be read."""
    store = Store(store_url(arguments.store))
    count: Counter[Import] = Counter()
    unread = 0
    for path in arguments.runs:
        try:
            imported = import_run(store, path)
        except InputError as error:
            complain(str(error))
            unread += 1
            continue
        count[imported.what] += 1
        changed = imported.what in (Import.NEW, Import.REPLACED)
        if arguments.verbose or (changed and not arguments.quiet):
            print(f"{path}: {_WORDS[imported.what]} as {imported.run}")
    told = [f"{number} {_WORDS[what]}" for what in Import if (number := count[what])]
    if unread:
        told.append(f"{unread} not read")
    print(f"{store.name}: {', '.join(told)}")
    return ExitCode.USAGE if unread else ExitCode.OK
