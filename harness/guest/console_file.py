"""``console.log``: the console of a kernel's boots, each cut in its middle if it is too long.

A line stands after the host's time in brackets. Lines without one are the host's, for no
guest can write them: one before every boot but the first, and one where a boot's console was
cut. Of what is left out there, the kernel's reports and our own marks are kept, and follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.guest.console import ConsoleScanner
from harness.guest.messages import ConsoleLine
from harness.text import finite

#: Bytes of a boot's console that are kept: its beginning, its end, and reports between them.
#: A boot and a whole suite say some 100 KB.
HEAD, TAIL, REPORTS = 2 << 20, 2 << 20, 1 << 20
_TIMED = re.compile(r"\[ *(\d+\.\d+)\] (.*)", re.DOTALL)
_SEPARATOR = re.compile(r"=== boot (\d{1,3})")
_CUT = re.compile(r"=== (\d{1,18}) lines \((\d{1,18}) bytes\) left out, (\d{1,18}) of reports")
#: Bytes read as one line. A record of the longest kind takes 12 MiB, with every character of
#: it escaped; no line of the console that we write is above 64 KiB.
_LONGEST_LINE = 16 << 20


@dataclass(frozen=True)
class LeftOut:
    """What was cut out of a console."""

    lines: int = 0
    bytes: int = 0
    reports: int = 0  # those of the lines that were the kernel's reports, or marks of ours

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(
            self.lines + other.lines, self.bytes + other.bytes, self.reports + other.reports
        )


class ConsoleFile:
    """Writes the console of one boot at the end of a file, and never more than it may."""

    def __init__(self, path: Path, number: int) -> None:
        """Begin boot ``number`` in ``path``."""
        self.name = str(path)
        self._file = path.open("a+b", buffering=0)
        end = self._file.seek(0, 2)
        if end and not _ends_a_line(path, end):  # a run died while it wrote
            self._file.write(b"\n")
        if number > 1:
            self._file.write(f"=== boot {number}\n".encode())
        self._start = self._size = self._file.seek(0, 2)
        self._scanner = ConsoleScanner()
        self._reports = bytearray()
        self._left_out = LeftOut()
        self._head_end = 0
        self._fresh = 0  # where that begins which no cut has looked at; 0: nothing was cut

    def close(self) -> None:
        """Nothing more will be written."""
        self._file.close()

    def write(self, line: ConsoleLine) -> None:
        """Add a line; it is in the file when this returns."""
        data = f"[{line.seconds:10.3f}] {line.text}\n".encode("utf-8", "replace")
        self._file.write(data)
        self._size += len(data)
        kept = self._fresh or self._start + HEAD
        if self._size > kept + 2 * TAIL:
            self._cut()

    def _cut(self) -> None:
        """Leave out what is neither at the beginning nor at the end."""
        if not self._fresh:
            head = self._read(self._start, self._start + HEAD)
            self._fresh = self._start + _whole(head)
            self._head_end = self._fresh
            for _ in self._scan(head[: _whole(head)]):
                pass  # a report that goes on behind the head is known by this
        middle = self._read(self._fresh, self._size - TAIL)
        middle = middle[: _whole(middle)]
        tail = self._read(self._fresh + len(middle), self._size)
        self._leave_out(middle)
        left = self._left_out
        note = f"=== {left.lines} lines ({left.bytes} bytes) left out, {left.reports} of reports"
        block = f"{note}; those that were kept follow\n".encode() + self._reports
        self._file.truncate(self._head_end)
        self._file.write(block + tail)
        self._fresh = self._head_end + len(block)
        self._size = self._fresh + len(tail)

    def _leave_out(self, middle: bytes) -> None:
        lines, size, reports = self._left_out.lines, self._left_out.bytes, self._left_out.reports
        for line, is_report in self._scan(middle):
            if is_report and len(self._reports) + len(line) <= REPORTS:
                self._reports += line
                continue
            lines, size, reports = lines + 1, size + len(line), reports + is_report
        self._left_out = LeftOut(lines, size, reports)

    def _scan(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Each line, and whether it is part of a report or a mark."""
        for line in data.split(b"\n")[:-1]:
            _, said = _parse(line.decode("utf-8", "replace"))
            for _ in self._scanner.feed(0.0, said):
                pass
            yield line + b"\n", self._scanner.took

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(end - start) or b""


def _whole(data: bytes) -> int:
    """The length of the whole lines at the beginning of ``data``."""
    return data.rfind(b"\n") + 1


def _ends_a_line(path: Path, end: int) -> bool:
    with path.open("rb") as file:
        file.seek(end - 1)
        return file.read(1) == b"\n"


def _parse(line: str) -> tuple[float | None, str]:
    """The host's time of a line, None if it has none, and what was said."""
    timed = _TIMED.fullmatch(line)
    return (finite(float(timed.group(1))), timed.group(2)) if timed else (None, line)


@dataclass
class ConsoleSection:
    """The console of one boot in a file: read anew at each iteration, a line at a time."""

    path: Path
    ranges: list[tuple[int, int]] = field(default_factory=list)  # offsets in bytes
    left_out: LeftOut = LeftOut()

    def __iter__(self) -> Iterator[ConsoleLine]:
        seconds = 0.0
        for start, end in self.ranges:
            for line in lines_of(self.path, start, end):
                text = line.text
                if _CUT.match(text):
                    continue
                at, said = _parse(text)
                seconds = seconds if at is None else at
                yield ConsoleLine(seconds, said)


class Line(NamedTuple):
    """A line of a file, without its end."""

    start: int  # offsets in bytes
    end: int
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


def lines_of(path: Path, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """The lines of a file between two offsets; none if there is no file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        at = file.seek(start)
        while (end is None or at < end) and (data := file.readline(_LONGEST_LINE)):
            yield Line(at, at + len(data), data.removesuffix(b"\n"))
            at += len(data)


def read_console(path: Path) -> dict[int, ConsoleSection]:
    """The console of every boot by its number; none that is empty. Raises OSError."""
    sections: dict[int, ConsoleSection] = {}
    number = 1
    for line in lines_of(path):
        text = line.text if line.data.startswith(b"=== ") else ""
        if separator := _SEPARATOR.fullmatch(text):
            number = int(separator.group(1))
            continue
        section = sections.setdefault(number, ConsoleSection(path))
        if section.ranges and section.ranges[-1][1] == line.start:
            section.ranges[-1] = (section.ranges[-1][0], line.end)
        else:
            section.ranges.append((line.start, line.end))
        if cut := _CUT.match(text):
            section.left_out += LeftOut(*map(int, cut.groups()))
    return sections
