"""Boots written by hand: the files of a kernel, without a guest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from harness.guest.journal import BootRecord, ClosedRecord, Ending, Journal
from harness.guest.messages import ConsoleLine, RecordLine
from harness.guest.replay import replay
from harness.model import KernelResult

RELEASE = "6.12.43+deb12-amd64"
NONCE = "00" * 8
PLAN = ["a/test_a.py::test_one", "a/test_a.py::test_two"]
BOOT = BootRecord(
    nonce=NONCE,
    release=RELEASE,
    spec="debian:x",
    accel="tcg",
    arguments=("oops=panic", f"afalg_harness.nonce={NONCE}"),
)
POWERED_OFF = ClosedRecord(Ending.GUEST, 13.0, shutdown="guest-shutdown")

Said = ConsoleLine | RecordLine


def record(at: float, kind: str, seq: object, **fields: object) -> RecordLine:
    """A record heard at second ``at``; the guest's clock is 3 s behind."""
    data = {"type": kind, "seq": seq, "uptime": at - 3, **fields}
    return RecordLine(at, json.dumps(data))


def hello(**fields: object) -> RecordLine:
    """A guest's first record, at second 8."""
    known: dict[str, object] = {
        "release": RELEASE,
        "version": "#1 SMP",
        "machine": "x86_64",
        "cmdline": "quiet",
        "nonce": NONCE,
        "af_alg_restrict": None,
        "af_alg_error": "",
        "taint": 0,
    }
    return record(8.0, "hello", 0, **{**known, **fields})


def plan(seq: int = 1, tests: Iterable[str] = PLAN) -> RecordLine:
    """The plan, at second 9."""
    return record(9.0, "plan", seq, tests=list(tests))


def start(at: float, seq: int, test: str) -> RecordLine:
    """A test begins."""
    return record(at, "start", seq, id=test)


def outcome(at: float, seq: int, test: str, word: str = "passed", message: str = "") -> RecordLine:
    """A test ends."""
    fields = {"id": test, "outcome": word, "seconds": 0.1, "message": message, "details": ""}
    return record(at, "outcome", seq, **fields)


def end(seq: int, status: int = 0, taint: int = 0) -> RecordLine:
    """A guest's last record, at second 12."""
    return record(12.0, "end", seq, status=status, seconds=3.0, taint=taint)


def alive(at: float, seq: int, **fields: object) -> RecordLine:
    """A sign of life of the agent's."""
    known = {"state": "S", "where": "", "blocked": 0.0, "stack": [], "asked": False}
    return record(at, "alive", seq, **{**known, **fields})


def passing(first: int = 1) -> list[RecordLine]:
    """All that follows a hello if both tests pass."""
    return [
        plan(first),
        start(9.2, first + 1, PLAN[0]),
        outcome(9.3, first + 2, PLAN[0]),
        start(9.4, first + 3, PLAN[1]),
        outcome(9.5, first + 4, PLAN[1]),
        end(first + 5),
    ]


def console(at: float, text: str) -> ConsoleLine:
    """A line of the kernel's on the console."""
    return ConsoleLine(at, f"[{at - 3:12.6f}] {text}")


def marker(at: float, text: str) -> ConsoleLine:
    """A line of ours on the console."""
    return console(at, f"afalg-harness: {text}")


def write(
    directory: Path,
    said: Iterable[Said],
    closed: ClosedRecord | None = POWERED_OFF,
    boot: BootRecord = BOOT,
) -> None:
    """Write down one boot in which ``said`` was heard."""
    directory.mkdir(exist_ok=True)
    with Journal(directory) as journal:
        journal.boot(boot)
        for message in said:
            if isinstance(message, ConsoleLine):
                journal.console(message)
            else:
                journal.record(message)
        if closed is not None:
            journal.closed(closed)


def result(
    directory: Path,
    said: Iterable[Said],
    closed: ClosedRecord | None = POWERED_OFF,
    boot: BootRecord = BOOT,
) -> KernelResult:
    """What one boot in which ``said`` was heard amounts to."""
    write(directory, said, closed, boot)
    return replay(directory)


def forget_the_host(directory: Path) -> None:
    """Make the files those of a version that wrote no records of the host's."""
    path = directory / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line_by = line.pop("by")
        line["host_seconds"] = line.pop("host_seconds") if line_by == "guest" else None
    kept = [line for line in lines if line["host_seconds"] is not None]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
