"""Lists the runs of the store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase

from rich.console import Console

from harness.errors import ExitCode
from harness.history.queries import StoredRun, runs
from harness.history.store import Store, store_url
from harness.output import reader_may_leave
from harness.report.tables import Column, print_table

_ID_SHOWN = 8
_KERNELS_SHOWN = 2
_COLUMNS = (
    Column("RUN", wrap=False),
    Column("STARTED (UTC)", wrap=False),
    Column("EXIT", right=True, wrap=False),
    Column("KERNELS"),
)


def execute(arguments: argparse.Namespace) -> int:
    """List."""
    store = Store(store_url(arguments.store))
    found = [run for run in runs(store) if _is_wanted(run, arguments.kernel)]
    found = found[: arguments.last]
    with reader_may_leave():
        if arguments.json:
            print(json.dumps([asdict(run) for run in found], indent=2))
            return ExitCode.OK
        console = Console()
        if found:
            print_table(_COLUMNS, [_row(run, arguments.verbose) for run in found], console)
        line = f"{store.name}: runs: {len(found)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return ExitCode.OK


def _is_wanted(run: StoredRun, glob: str | None) -> bool:
    return glob is None or any(
        fnmatchcase(kernel, one) for kernel in run.kernels for one in (glob, f"debian:{glob}")
    )


def _row(run: StoredRun, verbose: bool) -> list[str]:
    started = run.started[:16].replace("T", " ")
    code = str(run.exit_code)
    if verbose:
        return [run.id, started, code, ", ".join(run.kernels)]
    return [run.id[:_ID_SHOWN], started, code, _kernels(run.kernels)]


def _kernels(names: Sequence[str]) -> str:
    """A few of the kernels: the first is the baseline, if there is one."""
    if len(names) <= _KERNELS_SHOWN + 1:
        return ", ".join(names)
    shown = ", ".join(names[:_KERNELS_SHOWN])
    return f"{shown} and {len(names) - _KERNELS_SHOWN} more"
