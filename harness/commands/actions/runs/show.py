"""Shows a run of the store."""

from __future__ import annotations

import argparse

from rich.console import Console

from harness.errors import ExitCode
from harness.history import queries
from harness.history.queries import StoredRun
from harness.history.store import Store, store_url
from harness.judge.conclude import judged_anew
from harness.output import reader_may_leave
from harness.report.screen import print_result
from harness.report.tables import bytes_in_words
from harness.text import clean


def execute(arguments: argparse.Namespace) -> int:
    """Show; the exit code is that of showing, not the run's."""
    store = Store(store_url(arguments.store))
    run = queries.run_named(store, arguments.run)
    result = judged_anew(queries.run_result(store, run.id), None)
    console = Console()
    with reader_may_leave():
        if not arguments.quiet:
            for line in _heading(store, run):
                console.print(clean(line), markup=False, highlight=False, soft_wrap=True)
            console.print()
        print_result(result, console, None, verbose=arguments.verbose)
    return ExitCode.OK


def _heading(store: Store, run: StoredRun) -> list[str]:
    sizes = queries.sizes(store, run.id)
    lines = [
        f"run {run.id}",
        f"started {run.started}, {f'ended {run.ended}' if run.ended else 'no end is recorded'}",
        f"by {run.command}",
    ]
    known = {"harness": run.harness, "suite": run.suite[:12], "guest image": run.image[:12]}
    told = [f"{name} {value}" for name, value in {**known, "under": run.accel}.items() if value]
    if told:
        lines.append(", ".join(told))
    if sizes:
        lines.append(
            f"with it: {len(sizes)} files, {bytes_in_words(sum(sizes.values()))};"
            f" afalg-harness runs export {run.id[:8]} writes them"
        )
    return lines
