"""States over versions as an SVG drawing: a column for each fact, a bar where a state holds.

This makes the values, picture.svg.j2 the drawing, harness/report/state_map.py what is drawn.
Kernels go downwards; neighbours with the same state share a bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.model import FAILURES, KernelResult
from harness.releases import series
from harness.report.order import short_names
from harness.report.overview import name_of
from harness.report.state_map import (
    UNTOLD,
    Column,
    Group,
    KernelStates,
    Shown,
    fact_groups,
    path_groups,
    states_of,
)

#: With fewer kernels the tables say the same.
FEWEST = 3
_ALL = 1100  # px that all columns take, within the two below
_NARROWEST, _WIDEST = 52, 90
_ROW = 20
_GAP = 8  # px between two groups
_CHARACTER = 5.8  # px of a letter in a bar
_NAME = 6.2  # px of a letter of a kernel's name
_HEADING = 7.2  # and of one in a heading
_SLANT = 4.7  # px that a letter of a column's label goes upwards, and half of it sideways


@dataclass(frozen=True)
class Bar:
    """Neighbouring kernels with one state."""

    y: float
    height: float
    word: str  # as much of the state as there is room for
    turned: bool  # whether it is written upwards
    title: str
    look: str


@dataclass(frozen=True)
class Lane:
    """One column: facts that are alike."""

    x: float
    label: str
    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Tick:
    """A word and its place: a kernel's name, or a heading above columns."""

    place: float
    label: str


@dataclass(frozen=True)
class Picture:
    """What picture.svg.j2 draws; all in px."""

    width: float
    height: float
    top: float  # where the first row begins
    left: float
    cell: float  # width of a column
    row: float
    lanes: tuple[Lane, ...]
    headings: tuple[Tick, ...]
    kernels: tuple[Tick, ...]
    series: tuple[Tick, ...]  # the line above the first kernel of each
    summary: str  # for those who cannot see it


def picture(order: Sequence[KernelResult], verdicts: Sequence[Shown]) -> Picture | None:
    """The picture of a run's kernels, from the oldest to the newest; None for very few.

    ``verdicts`` has the word of each.
    """
    if len(order) < FEWEST:
        return None
    failing = tuple(_failing(kernel) for kernel in order)
    own = (Column("verdict", (), tuple(verdicts)), Column("tests that fail", (), failing))
    kernels = [states_of(kernel, name_of(kernel)) for kernel in order]
    return _drawn(kernels, (Group("kernel", own), *fact_groups(kernels)))


def paths_picture(order: Sequence[KernelStates]) -> Picture | None:
    """The same of the zero-copy paths and the page cache alone, of any number of kernels."""
    groups = path_groups(order)
    return _drawn(order, groups) if groups else None


def _drawn(order: Sequence[KernelStates], groups: Sequence[Group]) -> Picture:
    names = short_names([kernel.name for kernel in order])
    columns = [column for group in groups for column in group.columns]
    cell = min(max(_ALL / len(columns), _NARROWEST), _WIDEST)
    longest = max(len(column.label) for column in columns)
    top = 30 + _SLANT * longest
    left = 60 + _NAME * max(map(len, names))
    x = left
    lanes: list[Lane] = []
    headings: list[Tick] = []
    for group in groups:
        headings.append(Tick(x, group.heading))
        for number, column in enumerate(group.columns):
            bars = tuple(_bars(column.states, names, top, cell))
            lanes.append(Lane(x + cell * number, column.label, ", ".join(column.names), bars))
        x += max(cell * len(group.columns), _HEADING * len(group.heading)) + _GAP
    return Picture(
        width=x + _SLANT * longest / 2,
        height=top + _ROW * len(order) + 8,
        top=top,
        left=left,
        cell=cell,
        row=_ROW,
        lanes=tuple(lanes),
        headings=tuple(headings),
        kernels=tuple(Tick(top + _ROW * place, name) for place, name in enumerate(names)),
        series=tuple(_series(order, top)),
        summary=f"states of {len(order)} kernels from {names[0]} to {names[-1]}",
    )


def _series(order: Sequence[KernelStates], top: float) -> Iterator[Tick]:
    place = 0
    for name, kernels in groupby(order, key=lambda kernel: series(kernel.release)):
        yield Tick(top + _ROW * place, name)
        place += len(list(kernels))


def _failing(kernel: KernelResult) -> Shown:
    if not kernel.tests:
        return Shown(UNTOLD, "none")
    number = sum(test.outcome in FAILURES for test in kernel.tests)
    return Shown(str(number), "bad" if number else "good")


def _bars(states: Sequence[Shown], names: Sequence[str], top: float, cell: float) -> Iterator[Bar]:
    place = 0
    for state, run in groupby(states):
        length = len(list(run))
        height = _ROW * length
        if state.word != UNTOLD:
            first, last = names[place], names[place + length - 1]
            where = first if first == last else f"{first} to {last}"
            across, upwards = (int((room - 5) / _CHARACTER) for room in (cell, height))
            turned = len(state.word) > across and upwards > across
            room = upwards if turned else across
            word = state.word if len(state.word) <= room else _short(state.word, room)
            title = f"{state.word}: {where}"
            yield Bar(top + _ROW * place, height, word, turned, title, state.look)
        place += length


def _short(word: str, room: int) -> str:
    """A beginning of ``word`` that is no other state's; its first letter at the least."""
    if room < 4:
        short = {"unknown": "?", "UNKNOWN": "?", "unreachable": "–", "can": "c+", "cannot": "c-"}
        return short.get(word, word[:1].upper())
    return word[: max(room - 1, 1)] + "."
