"""Which lines and branches of the kernel's AF_ALG code did not run, and which of them may.

The table (``unreached.toml``) names lines by their function and text, so that it holds for
several versions of a file::

    [[unreached]]
    why = "nothing unregisters them: the interfaces are built in"
    file = "af_alg.c"
    function = "af_alg_unregister_type"
    lines = ["goto unlock; [2]"]         # never run; [2]: the second of that text there
    branches = { "if (err)" = [0] }      # of a line that ran: which of its branches, from 0
    series = ["6.12"]                    # left out: of all
    sometimes = true                     # it may run, by luck

``lines = "all"`` says it of a whole function.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The first line of a function, in the kernel's style: at the first column, its name before
#: the first parenthesis.
_FUNCTION = re.compile(r"[A-Za-z_][\w *]*?(\w+)\(")
_WHOLE = "all"


@dataclass(frozen=True)
class Spot:
    """A line, or with ``branch`` one way out of it, named by what it says.

    ``text`` is stripped; " [2]" behind it tells the second such line of a function.
    """

    file: str  # name without directory
    function: str
    text: str
    branch: int | None = None

    def __str__(self) -> str:
        way = "" if self.branch is None else f", branch {self.branch}"
        return f"{self.file}: {self.function}(): {self.text}{way}"


@dataclass(frozen=True)
class Line:
    """What was counted of one line that has code."""

    number: int  # from 1
    runs: int
    branches: tuple[int, ...]  # how often each was taken, in the order of gcov


@dataclass(frozen=True)
class Counted:
    """What was counted of one file, and its source."""

    name: str
    source: str
    lines: tuple[Line, ...]

    @property
    def lines_run(self) -> int:
        return sum(line.runs > 0 for line in self.lines)

    @property
    def branches(self) -> int:
        return sum(len(line.branches) for line in self.lines)

    @property
    def branches_taken(self) -> int:
        return sum(count > 0 for line in self.lines for count in line.branches)

    def missed(self) -> dict[Spot, int]:
        """What did not run, with its line number: lines, and branches of those that did."""
        names = _spots(self.name, self.source)
        found: dict[Spot, int] = {}
        for line in self.lines:
            spot = names[line.number]
            if not line.runs:
                found[spot] = line.number
                continue
            for number, count in enumerate(line.branches):
                if not count:
                    found[Spot(spot.file, spot.function, spot.text, number)] = line.number
        return found

    def spots(self) -> set[Spot]:
        """Every line that has code, and every branch of one."""
        names = _spots(self.name, self.source)
        found = set()
        for line in self.lines:
            spot = names[line.number]
            found.add(spot)
            ways = range(len(line.branches))
            found |= {Spot(spot.file, spot.function, spot.text, way) for way in ways}
        return found


def read_counts(report: Mapping[str, Any], source: Path) -> tuple[Counted, ...]:
    """The files of gcovr's JSON ``report``, whose paths are below ``source``.

    A line that the compiler put into several functions is one line here: it ran if one of
    its copies did. So are its branches, where the copies have as many.
    """
    return tuple(
        Counted(
            Path(file["file"]).name,
            (source / file["file"]).read_text(),
            _merged(file["lines"]),
        )
        for file in sorted(report["files"], key=lambda file: str(file["file"]))
    )


def _merged(entries: Iterable[Mapping[str, Any]]) -> tuple[Line, ...]:
    copies: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in entries:
        if not entry.get("gcovr/excluded") and not entry.get("gcovr/noncode"):
            copies[entry["line_number"]].append(entry)
    lines = []
    for number, same in sorted(copies.items()):
        branches: dict[int, list[int]] = {}
        for entry in same:
            counts = [branch["count"] for branch in entry["branches"]]
            before = branches.setdefault(len(counts), [0] * len(counts))
            branches[len(counts)] = [one + other for one, other in zip(before, counts, strict=True)]
        every = tuple(count for _, counts in sorted(branches.items()) for count in counts)
        lines.append(Line(number, sum(entry["count"] for entry in same), every))
    return tuple(lines)


def _spots(name: str, source: str) -> dict[int, Spot]:
    """The spot of each line of ``source``, by its number from 1."""
    found = {}
    function = ""
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for number, line in enumerate(source.splitlines(), 1):
        if begun := _FUNCTION.match(line):
            function = begun[1]
        text = line.strip()
        seen[function, text] += 1
        nth = seen[function, text]
        found[number] = Spot(name, function, text if nth == 1 else f"{text} [{nth}]")
    return found


@dataclass(frozen=True)
class Entry:
    """One entry of the table: spots of one function that do not run, for one reason."""

    why: str
    file: str
    function: str
    lines: tuple[str, ...] | None  # None: all of the function
    branches: Mapping[str, Sequence[int]]
    sometimes: bool = False  # nothing contradicts it if they do

    def spots(self, every: Iterable[Spot]) -> set[Spot]:
        """What it names; with a whole function, of the lines in ``every``."""
        if self.lines is None:
            return {
                spot
                for spot in every
                if (spot.file, spot.function, spot.branch) == (self.file, self.function, None)
            }
        lines = {Spot(self.file, self.function, text) for text in self.lines}
        ways = {
            Spot(self.file, self.function, text, number)
            for text, numbers in self.branches.items()
            for number in numbers
        }
        return lines | ways


def read_table(text: str, series: str) -> tuple[Entry, ...]:
    """The entries of the table ``text`` that are about kernels of ``series`` ("7.3").

    Raises ValueError for one that is not as it should be.
    """
    return tuple(
        _entry(item)
        for item in tomllib.loads(text)["unreached"]
        if series in item.get("series", [series])
    )


def _entry(item: Mapping[str, Any]) -> Entry:
    known = {"why", "file", "function", "lines", "branches", "series", "sometimes"}
    lines = item.get("lines", [])
    if not item.get("why") or item.keys() - known or not (lines or item.get("branches")):
        raise ValueError(f"not an entry of the table: {dict(item)}")
    if isinstance(lines, str) and lines != _WHOLE:
        raise ValueError(f'lines are a list or "{_WHOLE}", not {lines!r}')
    return Entry(
        why=item["why"],
        file=item["file"],
        function=item["function"],
        lines=None if lines == _WHOLE else tuple(lines),
        branches=item.get("branches", {}),
        sometimes=item.get("sometimes", False),
    )


def contradictions(table: Sequence[Entry], files: Sequence[Counted]) -> Iterator[str]:
    """In what the table and a run contradict each other, a line each.

    Something did not run and is not listed; it is listed, but ran, or is not there at all.
    """
    missed = {spot: number for file in files for spot, number in file.missed().items()}
    every = {spot for file in files for spot in file.spots()}
    listed: set[Spot] = set()
    may_run: set[Spot] = set()
    for entry in table:
        spots = entry.spots(every)
        if not spots:
            yield f"listed, but not in the source: {entry.file}: {entry.function}()"
        for twice in sorted(map(str, spots & listed)):
            yield f"listed twice: {twice}"
        listed |= spots
        if entry.sometimes:
            may_run |= spots
    for spot, number in sorted(missed.items(), key=lambda item: (item[0].file, item[1])):
        if spot not in listed:
            yield f"not reached, and not listed: line {number} of {spot}"
    for name in sorted(str(spot) for spot in listed - every):
        yield f"listed, but not in the source: {name}"
    for name in sorted(str(spot) for spot in (listed - may_run) & every - missed.keys()):
        yield f"listed, but reached: {name}"
