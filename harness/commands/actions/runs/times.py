"""Prints how long each kernel took."""

from __future__ import annotations

import argparse
import json

from harness.errors import ExitCode
from harness.history.queries import StoredResult, results
from harness.history.store import Store, store_url
from harness.model import Status
from harness.output import reader_may_leave


def execute(arguments: argparse.Namespace) -> int:
    """Print an object of specs with seconds."""
    store = Store(store_url(arguments.store))
    newest: dict[str, StoredResult] = {}
    for result in results(store):
        if result.status is Status.COMPLETED and result.seconds:
            known = newest.setdefault(result.spec, result)
            if result.whole and not known.whole:
                newest[result.spec] = result
    times = {spec: result.seconds for spec, result in sorted(newest.items())}
    with reader_may_leave():
        print(json.dumps(times, indent=1))
    return ExitCode.OK
