"""The files of one kernel: everything that was heard, as it arrived, boot after boot.

``console.log`` has the console (``console_file.py``), and ``events.jsonl`` the records: each
line says ``by`` whom it is and at what host time it was heard, which the host writes last, so
that a guest cannot claim to be the host. The host opens each boot with a ``boot`` record and
closes it with ``closed``. Neither file takes more of a boot than a limit, and neither is ever
read as a whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from harness.errors import InputError
from harness.guest.console_file import ConsoleFile, ConsoleSection, lines_of, read_console
from harness.guest.messages import ConsoleLine, RecordLine
from harness.guest.parsing import (
    CONVERTER,
    Refused,
    Sent,
    load_object,
    parse_line,
    parse_object,
)
from harness.model import Hang, PackageFile, Purpose, Role
from harness.strict import MALFORMED, problem
from harness.text import finite

CONSOLE = "console.log"
EVENTS = "events.jsonl"
#: Bytes of one boot's records that are kept. The largest suites need 1 MB.
RECORDS_LIMIT = 24 << 20
_TOO_MANY = f"more than {RECORDS_LIMIT >> 20} MiB of records: no more are taken"
_BY_HOST = b'"by": "host"'  # in every line of the host's, hardly ever in another


class Ending(StrEnum):
    """What ended a guest."""

    GUEST = "guest"  # it switched itself off, or died
    DEADLINE = "deadline"
    DISOWNED = "disowned"  # it was not the one that was started
    STOPPED = "stopped"  # the user or a signal stopped the run
    KILLED = "killed"  # QEMU was killed from outside, or failed, or the host lacked room
    FILLED = "filled"  # the guest ended somehow, and had written more than it may
    NEVER_RAN = "never_ran"  # vng or QEMU failed before the guest was started


@dataclass(frozen=True)
class BootRecord:
    """The host's first record of a boot: what is started. Empty where it is not known."""

    number: int = 1
    nonce: str = ""
    release: str = ""  # expected of the guest
    spec: str = ""
    role: Role = Role.CANDIDATE
    accel: str = ""
    arguments: tuple[str, ...] = ()  # added to the kernel's command line, by us or the user
    notes: tuple[str, ...] = ()  # on the kernel
    packages: tuple[PackageFile, ...] = ()
    purpose: Purpose = Purpose.PLAN
    round: int = 1  # in which repetition of the plan
    #: Ids of the tests that it is to run, or files of such; (): all selected.
    asked: tuple[str, ...] = ()
    left: tuple[str, ...] = ()  # files whose tests it leaves to the guest beside it
    started: str = ""  # UTC, ISO 8601
    commit: str = ""  # of the git tree that the kernel was built from
    key: str = ""  # of the kernel's files (KernelIdentity)


@dataclass(frozen=True)
class ClosedRecord:
    """The host's last record of a boot: how it ended."""

    ending: Ending
    wall_seconds: float
    reason: str = ""  # what expired, or what killed QEMU, in words
    shutdown: str = ""  # QEMU's own word for why it ended
    vng_status: int | None = None  # exit status; negative: the signal that killed vng
    hang: Hang | None = None  # what stood still, if that ended it
    diagnosis: tuple[str, ...] = ()  # the head of what was found out then


@dataclass
class RecordSection:
    """A boot's records in a file: read anew at each iteration, one at a time."""

    path: Path
    start: int = 0  # offsets in bytes
    end: int = 0
    first: int = 1  # number of the line at ``start``

    def __iter__(self) -> Iterator[tuple[float, Sent | Refused]]:
        lines = lines_of(self.path, self.start, self.end)
        for number, line in enumerate(lines, self.first):
            if line.data.strip():
                data = load_object(line.text)
                if data is None:
                    yield 0.0, Refused(f"line {number} of {EVENTS} was cut short")
                elif data.get("by") != "host":
                    yield _read_guest_record(data)
                elif data.get("type") == "left_out":
                    yield finite(data.get("host_seconds")), _read_left_out(data)


@dataclass
class BootJournal:
    """What the files have of one boot."""

    console: ConsoleSection
    records: RecordSection
    boot: BootRecord | None = None
    closed: ClosedRecord | None = None


class Journal:
    """Writes the files of one more boot. Use as a context manager."""

    def __init__(self, directory: Path, elsewhere: int = 0) -> None:
        """Begin the next boot in ``directory``. Raises InputError if its files are not ours.

        ``elsewhere`` are boots before it whose files are in another place (``take_in``).
        """
        self.number = elsewhere + _count_boots(directory) + 1
        self._console = ConsoleFile(directory / CONSOLE, self.number)
        self._events = _append(directory / EVENTS)
        self._room = RECORDS_LIMIT
        self._left_out = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (self._console, self._events):
            with contextlib.suppress(OSError):  # of a write that has told it already
                file.close()

    def console(self, line: ConsoleLine) -> None:
        """Write down a line of the console."""
        with _named(self._console.name):
            self._console.write(line)

    def record(self, line: RecordLine) -> Sent | Refused:
        """Write down a line from the guest, if there is room left; returns what it says."""
        if self._room <= 0:
            self._left_out += 1
            return Refused(_TOO_MANY)
        data, said = parse_line(line.text, line.left_out)
        if data is None:
            data = {"raw": line.text}
            data |= {"left_out": line.left_out} if line.left_out else {}
        self._room -= self._write(data, "guest", line.seconds)
        return said

    def boot(self, record: BootRecord) -> None:
        """Write down what is started."""
        self._write({"type": "boot", **asdict(record)}, "host", 0.0)

    def closed(self, record: ClosedRecord) -> None:
        """Write down how it ended."""
        if self._left_out:
            left_out = {"type": "left_out", "records": self._left_out}
            self._write(left_out, "host", record.wall_seconds)
        self._write({"type": "closed", **asdict(record)}, "host", record.wall_seconds)

    def _write(self, data: dict[str, object], by: str, seconds: float) -> int:
        """Returns the number of bytes."""
        line = json.dumps(data | {"by": by, "host_seconds": round(seconds, 3)}) + "\n"
        with _named(self._events.name):
            self._events.write(line)
            self._events.flush()
        return len(line)


def take_in(directory: Path, other: Path) -> None:
    """Move what is in the files of ``other`` to the end of those of ``directory``.

    For a guest that ran beside another one: whatever it wrote, it wrote as the next boot.
    """
    for name in (CONSOLE, EVENTS):
        if (other / name).exists():
            _append(directory / name).close()  # what was cut off there stays a line of its own
            with (directory / name).open("ab") as end, (other / name).open("rb") as more:
                shutil.copyfileobj(more, end)
            (other / name).unlink()
    for path in other.glob("hang-*.txt"):
        path.replace(directory / path.name)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """An OSError from this block names the file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _append(path: Path) -> IO[str]:
    file = path.open("a+b")
    end = file.seek(0, 2)
    if end:
        file.seek(end - 1)
        # What was cut off by the death of a run stays a line of its own.
        if file.read(1) != b"\n":
            file.write(b"\n")
    file.close()
    return path.open("a", encoding="utf-8", errors="replace", newline="\n")


def _count_boots(directory: Path) -> int:
    has_content = any(
        path.is_file() and path.stat().st_size for path in (directory / CONSOLE, directory / EVENTS)
    )
    return len(read_journal(directory)) if has_content else 0


def read_journal(directory: Path) -> list[BootJournal]:
    """All boots that the files in ``directory`` tell of, in order, at least one.

    Files of versions that wrote no records of the host's are read as well. Raises InputError
    if there is nothing, or something that neither host nor guest would write.
    """
    if not (_holds_anything(directory / EVENTS) or _holds_anything(directory / CONSOLE)):
        raise InputError(f"{directory}: neither {CONSOLE} nor {EVENTS} holds anything")
    path, boots = directory / CONSOLE, _read_events(directory)
    try:
        sections = read_console(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    for number, section in sections.items():
        while len(boots) < number:
            boots.append(_empty(directory))
        boots[number - 1].console = section
    return boots


def _empty(directory: Path, start: int = 0, first: int = 1) -> BootJournal:
    records = RecordSection(directory / EVENTS, start, start, first)
    return BootJournal(ConsoleSection(directory / CONSOLE), records)


def _holds_anything(path: Path) -> bool:
    try:
        return any(line.data.strip() for line in lines_of(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _read_events(directory: Path) -> list[BootJournal]:
    boots = [_empty(directory)]
    has_any = False  # of the boot that is read
    for number, line in enumerate(lines_of(directory / EVENTS), 1):
        data = load_object(line.text) if _BY_HOST in line.data else None
        by_host = data is not None and data.get("by") == "host"
        if data is not None and by_host and data.get("type") == "boot" and has_any:
            boots.append(_empty(directory, line.start, number))
        has_any = has_any or bool(line.data.strip())
        boots[-1].records.end = line.end
        if data is not None and by_host:
            _read_host_record(data, boots[-1], f"{directory / EVENTS}: line {number}")
    return boots


def _read_host_record(data: dict[str, object], journal: BootJournal, where: str) -> None:
    try:
        if data.get("type") == "boot":
            journal.boot = CONVERTER.structure(data, BootRecord)
        elif data.get("type") == "closed":
            journal.closed = CONVERTER.structure(data, ClosedRecord)
    except MALFORMED as error:
        raise InputError(f"{where}: {problem(error)}") from error


def _read_guest_record(data: dict[str, object]) -> tuple[float, Sent | Refused]:
    seconds = finite(data.pop("host_seconds", 0.0))
    data.pop("by", None)
    raw, left_out = data.get("raw"), data.get("left_out", 0)
    if isinstance(raw, str) and isinstance(left_out, int) and not data.keys() - {"raw", "left_out"}:
        return seconds, parse_line(raw, left_out)[1]
    return seconds, parse_object(data)


def _read_left_out(data: dict[str, object]) -> Refused:
    number = data.get("records")
    return Refused(_TOO_MANY, times=number if isinstance(number, int) else 1)
