"""results.csv: a row for each fact and each test of each kernel, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from harness.judge.states import told_state
from harness.model import KernelResult, RunResult
from harness.report.options import ReportOptions, called
from harness.text import short

_CELL = 1000
_COLUMNS = ("kernel", "release", "role", "kind", "id", "state", "seconds", "message")
#: What a spreadsheet takes for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t")


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """``result`` as CSV with a header."""
    yield _row(_COLUMNS)
    for kernel in result.kernels:
        name = called(kernel, result.kernels, options)
        for kind, identity, state, seconds, message in _rows(kernel):
            told = (name, kernel.release, kernel.role, kind, identity, state, seconds, message)
            yield _row(tuple(map(_cell, told)))


def _rows(kernel: KernelResult) -> Iterator[tuple[str, str, str, str, str]]:
    yield "kernel", "status", kernel.status, "", kernel.status_reason
    for name, fact in kernel.facts.named().items():
        yield "fact", name, told_state(name, fact), "", fact.evidence
    for test in kernel.tests:
        yield "test", test.id, test.outcome, f"{test.seconds:.3f}", test.message


def _cell(text: str) -> str:
    line = short(text, _CELL)
    return f"'{line}" if line.startswith(_FORMULA) else line


def _row(cells: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
