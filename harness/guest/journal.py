"""The files of one kernel: everything that was heard, as it arrived, boot after boot.

``console.log`` has the console, each line after the host's time in brackets, and
``events.jsonl`` the records: each line says ``by`` whom it is and at what host time it
was heard, which the host writes last, so that a guest cannot claim to be the host. The host
opens each boot with a ``boot`` record and closes it with ``closed``; in the console a line
without a time, which no guest can write, stands before every boot but the first.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from harness.errors import InputError
from harness.guest.messages import ConsoleLine, RecordLine
from harness.guest.parsing import (
    CONVERTER,
    Refused,
    Sent,
    load_object,
    parse_line,
    parse_object,
)
from harness.model import PackageFile, Purpose, Role
from harness.strict import MALFORMED, problem

CONSOLE = "console.log"
EVENTS = "events.jsonl"
_TIMED = re.compile(r"\[ *(\d+\.\d+)\] (.*)", re.DOTALL)
_SEPARATOR = re.compile(r"=== boot (\d{1,3})")


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
    asked: tuple[str, ...] = ()  # ids of the tests that it is to run; (): all selected
    started: str = ""  # UTC, ISO 8601
    commit: str = ""  # of the git tree that the kernel was built from


@dataclass(frozen=True)
class ClosedRecord:
    """The host's last record of a boot: how it ended."""

    ending: Ending
    wall_seconds: float
    reason: str = ""  # what expired, or what killed QEMU, in words
    shutdown: str = ""  # QEMU's own word for why it ended
    vng_status: int | None = None  # exit status; negative: the signal that killed vng


@dataclass
class BootJournal:
    """What the files have of one boot."""

    boot: BootRecord | None = None
    closed: ClosedRecord | None = None
    console: list[ConsoleLine] = field(default_factory=list)
    records: list[tuple[float, Sent | Refused]] = field(default_factory=list)


class Journal:
    """Writes the files of one more boot. Use as a context manager."""

    def __init__(self, directory: Path) -> None:
        """Begin the next boot in ``directory``. Raises InputError if its files are not ours."""
        self.number = _count_boots(directory) + 1
        self._console = _append(directory / CONSOLE)
        self._events = _append(directory / EVENTS)
        if self.number > 1:
            self._console.write(f"=== boot {self.number}\n")

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
        _add(self._console, f"[{line.seconds:10.3f}] {line.text}\n")

    def record(self, line: RecordLine) -> Sent | Refused:
        """Write down a line from the guest; returns what it says."""
        data, said = parse_line(line.text)
        self._write(data if data is not None else {"raw": line.text}, "guest", line.seconds)
        return said

    def boot(self, record: BootRecord) -> None:
        """Write down what is started."""
        self._write({"type": "boot", **asdict(record)}, "host", 0.0)

    def closed(self, record: ClosedRecord) -> None:
        """Write down how it ended."""
        self._write({"type": "closed", **asdict(record)}, "host", record.wall_seconds)

    def _write(self, data: dict[str, object], by: str, seconds: float) -> None:
        line = data | {"by": by, "host_seconds": round(seconds, 3)}
        _add(self._events, json.dumps(line) + "\n")


def _add(file: IO[str], text: str) -> None:
    """Write at once. Raises OSError, which names the file."""
    try:
        file.write(text)
        file.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, file.name) from error


def _append(path: Path) -> IO[str]:
    file = path.open("a+", encoding="utf-8", errors="replace", newline="\n")
    file.seek(0)
    # What was cut off by the death of a run stays a line of its own.
    if (text := file.read()) and not text.endswith("\n"):
        file.write("\n")
    return file


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
    events = _read(directory / EVENTS)
    console = _read(directory / CONSOLE)
    if not events.strip() and not console.strip():
        raise InputError(f"{directory}: neither {CONSOLE} nor {EVENTS} holds anything")
    boots = _read_events(events, directory / EVENTS)
    for number, lines in _read_console(console).items():
        while len(boots) < number:
            boots.append(BootJournal())
        boots[number - 1].console = lines
    return boots


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _read_events(text: str, path: Path) -> list[BootJournal]:
    boots = [BootJournal()]
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        data = load_object(line)
        if data is None:
            boots[-1].records.append((0.0, Refused(f"line {number} of {EVENTS} was cut short")))
        elif data.get("by") == "host":
            _read_host_record(data, boots, f"{path}: line {number}")
        else:
            boots[-1].records.append(_read_guest_record(data))
    return boots


def _read_host_record(data: dict[str, object], boots: list[BootJournal], where: str) -> None:
    try:
        if data.get("type") == "boot":
            if boots[-1] != BootJournal():
                boots.append(BootJournal())
            boots[-1].boot = CONVERTER.structure(data, BootRecord)
        elif data.get("type") == "closed":
            boots[-1].closed = CONVERTER.structure(data, ClosedRecord)
    except MALFORMED as error:
        raise InputError(f"{where}: {problem(error)}") from error


def _read_guest_record(data: dict[str, object]) -> tuple[float, Sent | Refused]:
    seconds = _finite(data.pop("host_seconds", 0.0))
    data.pop("by", None)
    raw = data.get("raw")
    kept_as_it_was = isinstance(raw, str) and len(data) == 1
    return seconds, parse_line(str(raw))[1] if kept_as_it_was else parse_object(data)


def _read_console(text: str) -> dict[int, list[ConsoleLine]]:
    """The console's lines by the number of the boot."""
    sections: dict[int, list[ConsoleLine]] = {}
    number, seconds = 1, 0.0
    for line in text.removesuffix("\n").split("\n") if text else ():
        separator = _SEPARATOR.fullmatch(line)
        timed = _TIMED.fullmatch(line)
        if separator:
            number, seconds = int(separator.group(1)), 0.0
            continue
        if timed:
            seconds = _finite(float(timed.group(1)))
        said = timed.group(2) if timed else line
        sections.setdefault(number, []).append(ConsoleLine(seconds, said))
    return sections


def _finite(value: object) -> float:
    """A number of seconds; 0 for what is none."""
    number = float(value) if isinstance(value, (int, float)) else 0.0
    return number if math.isfinite(number) else 0.0
