"""The figures of ``ci/benchmark.py`` as a table, alone or beside earlier ones."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_WIDTH = 58  # of the first column


@dataclass
class Figures:
    """Each figure with a value for each repeat."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """One more repeat's value."""
        self.values.setdefault(name, []).append(round(value, 3))


@dataclass(frozen=True)
class Row:
    """A line of the table: ``figure`` in units of the median of ``unit``."""

    what: str
    figure: str
    unit: str = ""  # "": as it is
    seconds: str = ""  # the figure that says it in seconds
    must: str = ""
    aim: str = ""


ROWS = (
    Row(
        "first answer: every path and the page cache judged",
        *("run.answer", "bare.seconds", "run.answer", "3.5", "2.5"),
    ),
    Row(
        "all suites, one kernel",
        *("run.seconds", "bare.seconds", "run.seconds", "8", "6"),
    ),
    Row(
        "processor time of that run, in that of bare boots",
        *("run.cpu", "bare.cpu", "run.cpu", "0.5 of before", "0.35"),
    ),
    Row(
        "six kernels in one run, in times of six runs",
        *("jobs.seconds", "jobs.alone", "jobs.seconds", "0.6", "0.5"),
    ),
    Row(
        "the same kernel again, --reuse",
        *("reuse.seconds", "bare.seconds", "reuse.seconds", "1"),
    ),
    Row(
        "a kernel on which tests hang",
        *("hang.seconds", "bare.seconds", "hang.seconds", "50", "30"),
    ),
    Row("bisect of Debian's kernels, cold: boots", "bisect.boots", must="7", aim="4"),
    Row("its downloads", "bisect.downloads"),
    Row("its time", "bisect.seconds", "bare.seconds", "bisect.seconds"),
    Row(
        "of that without a guest",
        *("bisect.without_guest", "bare.seconds", "bisect.without_guest"),
    ),
    Row("10^9 guest instructions of a bare boot", "instructions.bare"),
    Row("the same of one test, whole run, in bare boots", "instructions.test", "instructions.bare"),
)
#: Seconds of a run, one stage after the other.
_SPLIT = {
    "split.harness": "harness before and after the guest",
    "split.boot": "boot: start of vng to the first record",
    "split.plan": "to the plan",
    "split.tests": "in tests",
    "split.between": "between tests",
    "split.power_off": "power-off",
    "split.more_boots": "further boots",
}
_MEMORY = {"memory.harness": "harness", "memory.qemu": "QEMU"}
_HEAD = ("median", "min", "max", "s", "must", "aim")


def lines(record: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Iterator[str]:
    """The table of a record; with the medians of ``before`` and ratios, if that is given."""
    figures: dict[str, list[float]] = record["figures"]
    yield _about(record)
    yield _bare(figures)
    old: dict[str, list[float]] = {}
    if before is not None:
        old = before["figures"]
        yield f"before: {_about(before)}"
        yield _bare(old)
    yield ""
    head = ("before", "ratio") if before is not None else ()
    yield _line("in bare boots, unless it says otherwise", _HEAD, head)
    for row in ROWS:
        values = in_units(figures, row)
        if values:
            yield _of_row(row, values, figures, in_units(old, row), compared=before is not None)
    for name, why in record.get("not_measured", {}).items():
        yield f"{name}: not measured: {why}"
    yield from _counts(figures)
    suites = {name: f"  {name.partition('.')[2]}" for name in figures if name.startswith("suite.")}
    for title, names in (
        ("seconds of a run", _SPLIT),
        ("of that in tests", suites),
        ("MiB at most", _MEMORY),
    ):
        yield from _plain(title, names, figures, old)


def in_units(figures: Mapping[str, Sequence[float]], row: Row) -> list[float]:
    """The values of a row in its unit; [] if one of both was not measured."""
    values, unit = figures.get(row.figure, ()), figures.get(row.unit, ())
    if row.unit and not unit:
        return []
    one = statistics.median(unit) if row.unit else 1.0
    return [value / one for value in values]


def _about(record: Mapping[str, Any]) -> str:
    about = record["about"]
    load = f"load {about['load_before']} before"
    if "load_after" in record:
        load += f" and {record['load_after']} after"
    return (
        f"{about['kernel']}, {about['accel']}, {about['cpus']} CPUs ({about['cpu']}),"
        f" QEMU {about['qemu']}, revision {about['revision']}, {about['started']}, {load}"
    )


def _bare(figures: Mapping[str, Sequence[float]]) -> str:
    seconds, cpu = figures["bare.seconds"], figures["bare.cpu"]
    return f"a bare boot: {_span(seconds)} s, {_span(cpu)} s of processor time, {len(cpu)} times"


def _span(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _line(first: str, columns: Sequence[str], more: Sequence[str] = ()) -> str:
    cells = [f"{cell:>7}" for cell in columns[:4]] + [f"{cell:>14}" for cell in columns[4:]]
    return f"{first:<{_WIDTH}}{''.join(cells)}{''.join(f'{cell:>9}' for cell in more)}".rstrip()


def _of_row(
    row: Row,
    values: Sequence[float],
    figures: Mapping[str, Sequence[float]],
    old: Sequence[float],
    *,
    compared: bool,
) -> str:
    middle = statistics.median(values)
    seconds = f"{statistics.median(figures[row.seconds]):.1f}" if row.seconds else ""
    told = (f"{middle:.2f}", f"{min(values):.2f}", f"{max(values):.2f}", seconds, row.must, row.aim)
    return _line(row.what, told, _against(values, old) if compared else ())


def _against(values: Sequence[float], old: Sequence[float]) -> tuple[str, str]:
    """Median before, and how many times that it is now."""
    if not old:
        return "-", "-"
    earlier = statistics.median(old)
    ratio = f"{statistics.median(values) / earlier:.2f}" if earlier else "-"
    return f"{earlier:.2f}", ratio


def _counts(figures: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """How much of it there was, where a row depends on that."""
    for words, name in (
        ("tests of a run", "run.tests"),
        ("its boots", "run.boots"),
        ("tests that hung", "hang.tests"),
        ("of so many", "hang.planned"),
        ("boots of that run", "hang.boots"),
    ):
        if name in figures:
            yield _line(words, [f"{statistics.median(figures[name]):g}"])


def _plain(
    title: str,
    names: Mapping[str, str],
    figures: Mapping[str, Sequence[float]],
    old: Mapping[str, Sequence[float]],
) -> Iterator[str]:
    """Figures as they are, those of earlier ones beside them."""
    known = {name: words for name, words in names.items() if name in figures}
    if known:
        yield ""
        yield _line(title, _HEAD[:3], ("before", "ratio") if old else ())
    for name, words in known.items():
        values = figures[name]
        told = (statistics.median(values), min(values), max(values))
        more = _against(values, old.get(name, ())) if old else ()
        yield _line(words, [f"{value:.2f}" for value in told], more)
