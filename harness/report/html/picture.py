"""States over versions as an SVG drawing: a row for each fact, a bar where a state holds.

This makes the values, picture.svg.j2 the drawing. Facts that are alike on all kernels
share a row, and neighbours with the same state a bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.judge import facts
from harness.judge.facts import Section, Weight
from harness.judge.states import told_state
from harness.model import FAILURES, KernelResult, State
from harness.report.html.order import series, short_names
from harness.report.overview import name_of

#: With fewer kernels the tables say the same.
FEWEST = 3
_LABEL = 200  # px: what stands left of the bars
_ALL = 1000  # px that all columns take, within the two below
_NARROWEST, _WIDEST = 12, 90
_ROW = 22
_HEADING = 26
_CHARACTER = 6.6  # px of a letter in a bar
_UNTOLD = ""


@dataclass(frozen=True)
class Shown:
    """A state in a word, and how it looks: a class in style.css."""

    word: str
    look: str  # good, bad, doubt, plain, pale, none


@dataclass(frozen=True)
class Bar:
    """Neighbouring kernels with one state."""

    x: float
    width: float
    word: str  # as much of the state as there is room for
    title: str
    look: str


@dataclass(frozen=True)
class Line:
    """One row: facts that are alike, or a heading above rows."""

    y: float
    label: str
    title: str
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class Tick:
    """A kernel's name, or that of a series, above its columns."""

    x: float
    label: str


@dataclass(frozen=True)
class Picture:
    """What picture.svg.j2 draws."""

    width: float
    height: float
    top: float  # where the first row begins
    left: float
    lines: tuple[Line, ...]
    kernels: tuple[Tick, ...]
    series: tuple[Tick, ...]  # its x is that of the line ahead of it
    summary: str  # for those who cannot see it


def picture(order: Sequence[KernelResult], verdicts: Sequence[Shown]) -> Picture | None:
    """The picture of ``order``, kernels from the oldest to the newest; None for very few.

    ``verdicts`` has the word of each.
    """
    if len(order) < FEWEST:
        return None
    cell = min(max(_ALL / len(order), _NARROWEST), _WIDEST)
    names = short_names([name_of(kernel) for kernel in order])
    top = 34 + 5.2 * max(map(len, names))
    y = top
    lines: list[Line] = []
    for heading, rows in _rows(order, verdicts):
        lines.append(Line(y, heading, ""))
        y += _HEADING
        for label, title, states in rows:
            lines.append(Line(y, label, title, tuple(_bars(states, names, cell))))
            y += _ROW
        y += 6
    ticks = tuple(Tick(_LABEL + cell * (place + 0.5), name) for place, name in enumerate(names))
    return Picture(
        width=_LABEL + cell * len(order) + 80,
        height=y + 8,
        top=top,
        left=_LABEL,
        lines=tuple(lines),
        kernels=ticks,
        series=tuple(_series(order, cell)),
        summary=f"states of {len(order)} kernels from {names[0]} to {names[-1]}",
    )


def _series(order: Sequence[KernelResult], cell: float) -> Iterator[Tick]:
    place = 0
    for name, kernels in groupby(order, key=lambda kernel: series(kernel.release)):
        yield Tick(_LABEL + cell * place, name)
        place += len(list(kernels))


_Row = tuple[str, str, Sequence[Shown]]


def _rows(
    order: Sequence[KernelResult], verdicts: Sequence[Shown]
) -> Iterator[tuple[str, list[_Row]]]:
    failing = [_failing(kernel) for kernel in order]
    yield "kernel", [("verdict", "", verdicts), ("tests that fail", "", failing)]
    names = dict.fromkeys(name for kernel in order for name in kernel.facts.named())
    for section in Section:
        alike: dict[tuple[str, tuple[Shown, ...]], list[str]] = {}
        for name in names:
            kind = facts.kind_of(name)
            if kind.section is section:
                states = tuple(_state(kernel, name) for kernel in order)
                alike.setdefault((_family(section, name), states), []).append(name)
        rows: list[_Row] = [
            (_label(section, group), ", ".join(group), states)
            for (_, states), group in alike.items()
        ]
        if rows:
            yield _SECTIONS[section], rows


_SECTIONS = {
    Section.ZERO_COPY: "zero-copy: is data used by reference?",
    Section.OTHER: "other facts",
    Section.PROGRAMS: "programs that use AF_ALG, as booted",
}


def _failing(kernel: KernelResult) -> Shown:
    if not kernel.tests:
        return Shown(_UNTOLD, "none")
    number = sum(test.outcome in FAILURES for test in kernel.tests)
    return Shown(str(number), "bad" if number else "good")


def _family(section: Section, name: str) -> str:
    """Rows are made of facts of one kind of data; of the programs all are one family."""
    return facts.way_of(name) if section is Section.ZERO_COPY else ""


def _label(section: Section, names: Sequence[str]) -> str:
    """What a row is called; the names of all its facts are in its title."""
    short = facts.short_name(names[0])
    if section is not Section.ZERO_COPY:
        return f"{short} + {len(names) - 1}" if len(names) > 1 else short
    way = facts.way_of(names[0]).replace(".", " ")
    return f"{way}, {len(names)} ways" if len(names) > 1 else short


def _state(kernel: KernelResult, name: str) -> Shown:
    fact = kernel.facts.named().get(name)
    if fact is None:
        return Shown(_UNTOLD, "none")
    state = told_state(name, fact)
    kind = facts.kind_of(name)
    if state is State.UNKNOWN:
        return Shown(state, "doubt")
    if state is State.UNREACHABLE:
        return Shown(state, "none")
    if kind.weight is Weight.REPORTED or kind.right is None:
        return Shown(state, "plain" if state in (State.PRESENT, State.WORKS) else "pale")
    if state is kind.right:
        return Shown(state, "good")
    return Shown(state, "bad" if kind.weight is Weight.JUDGED else "doubt")


def _bars(states: Sequence[Shown], names: Sequence[str], cell: float) -> Iterator[Bar]:
    place = 0
    for state, run in groupby(states):
        length = len(list(run))
        width = cell * length
        if state.word != _UNTOLD:
            first, last = names[place], names[place + length - 1]
            where = first if first == last else f"{first} to {last}"
            room = int((width - 6) / _CHARACTER)
            word = state.word if len(state.word) <= room else _short(state.word, room)
            title = f"{state.word}: {where}"
            yield Bar(_LABEL + cell * place, width, word, title, state.look)
        place += length


def _short(word: str, room: int) -> str:
    """A beginning of ``word`` that is no other state's; its first letter at the least."""
    if room < 4:
        return {"unknown": "?", "UNKNOWN": "?", "unreachable": "–"}.get(word, word[:1].upper())
    return word[: max(room - 1, 1)] + "."
