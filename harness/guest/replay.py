"""The files of one kernel -> what was observed of it.

A fresh run is judged by this as well: what cannot be had from its files is no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import ExitCode
from harness.guest.conclude import Conclusion, conclude
from harness.guest.heard import Heard
from harness.guest.journal import BootJournal, BootRecord, ClosedRecord, read_journal
from harness.model import (
    Boot,
    ConsoleEvent,
    ConsoleWatch,
    Facts,
    KernelResult,
    Outcome,
    Status,
    TestResult,
)

_NONCE = re.compile(r"\bafalg_harness\.nonce=(\w+)")
_COMMAND_LINE = re.compile(r"[Cc]ommand line: .*\bafalg_harness\.nonce=(\w+)")
_END_LOST = ("the guest's last record is missing",)
_ZERO_COPY, _PAGE_CACHE_WRITE = "zero_copy.", "page_cache_write"


def replay(directory: Path) -> KernelResult:
    """What the files in ``directory`` say of a kernel, not judged yet.

    Raises InputError, in one line, for a directory that holds nothing to go by.
    """
    boots = [_replay_boot(journal, directory) for journal in read_journal(directory)]
    result = _result(boots[-1], directory)
    return replace(result, boots=tuple(_summary(boot) for boot in boots))


@dataclass(frozen=True)
class _Replayed:
    """One boot: what was started, what was heard, how it ended."""

    boot: BootRecord
    guessed: bool  # no record of the host's says what was started
    heard: Heard
    closed: ClosedRecord | None
    events: tuple[ConsoleEvent, ...]
    conclusion: Conclusion

    @property
    def wall_seconds(self) -> float | None:
        return self.closed.wall_seconds if self.closed is not None else None

    @property
    def suite_seconds(self) -> float | None:
        first, last = self.heard.boot_seconds, self.heard.last_record
        return round(last - first, 3) if first is not None and last is not None else None

    @property
    def end_lost(self) -> bool:
        """Whether it powered off in order, and yet its last record is not there."""
        return self.conclusion.status is Status.COMPLETED and self.heard.end is None

    @property
    def console_watch(self) -> ConsoleWatch | None:
        if self.guessed:  # by a version that wrote other lines into the kernel log
            return None
        orderly = self.conclusion.status is Status.COMPLETED
        end = self.wall_seconds if self.wall_seconds is not None else self.heard.last_seconds
        return self.heard.console_watch(None if orderly else end)


def _replay_boot(journal: BootJournal, directory: Path) -> _Replayed:
    boot = journal.boot or _guess_boot(journal, directory)
    heard = Heard(boot)
    for line in journal.console:
        heard.console_line(line)
    for seconds, said in journal.records:
        heard.record(seconds, said)
    heard.finish()
    events = heard.console_events()
    return _Replayed(
        boot=boot,
        guessed=journal.boot is None,
        heard=heard,
        closed=journal.closed,
        events=events,
        conclusion=conclude(heard, events, journal.closed),
    )


def _guess_boot(journal: BootJournal, directory: Path) -> BootRecord:
    """What was started, where the host wrote no record of it (versions before it did so).

    The nonce is that of the kernel's command line, as the console shows it, or vng's.
    """
    lines = (line.text for line in journal.console)
    shown = next(filter(None, map(_COMMAND_LINE.search, lines)), None)
    if shown is None:
        try:
            given = (directory / "vng.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            given = ""
        shown = _NONCE.search(given)
    return BootRecord(spec=directory.name, nonce=shown.group(1) if shown else "")


def _summary(boot: _Replayed) -> Boot:
    heard = boot.heard
    return Boot(
        status=boot.conclusion.status,
        status_reason=boot.conclusion.reason,
        accel=boot.boot.accel,
        identity=heard.identity,
        boot_seconds=heard.boot_seconds,
        suite_seconds=boot.suite_seconds,
        wall_seconds=boot.wall_seconds,
        taint_before=heard.taint_before,
        taint=heard.taint,
        console_events=boot.events,
        console_watch=boot.console_watch,
    )


def _result(boot: _Replayed, directory: Path) -> KernelResult:
    heard, conclusion = boot.heard, boot.conclusion
    return KernelResult(
        spec=boot.boot.spec,
        release=boot.boot.release or (heard.identity.release if heard.identity else ""),
        role=boot.boot.role,
        status=conclusion.status,
        status_reason=conclusion.reason,
        status_exit=int(ExitCode.INFRASTRUCTURE) if conclusion.killed else None,
        fatal_test=conclusion.fatal_test,
        boot_seconds=heard.boot_seconds,
        suite_seconds=boot.suite_seconds,
        wall_seconds=boot.wall_seconds,
        taint_before=heard.taint_before,
        taint=heard.taint,
        identity=heard.identity,
        console_events=boot.events,
        console_watch=boot.console_watch,
        ignored_arguments=heard.ignored_arguments,
        facts=_facts(heard),
        transcripts=heard.transcripts,
        plan=heard.plan or (),
        collection_errors=tuple(heard.collection_errors),
        tests=tuple(_tests(boot)),
        records_lost=heard.records_lost + boot.end_lost,
        packages=boot.boot.packages,
        notes=(*boot.boot.notes, *heard.notes, *(_END_LOST if boot.end_lost else ())),
        directory=f"kernels/{directory.name}",
    )


def _facts(heard: Heard) -> Facts:
    named = heard.facts
    return Facts(
        af_alg_restrict=heard.af_alg_restrict,
        zero_copy={
            name.removeprefix(_ZERO_COPY): fact
            for name, fact in named.items()
            if name.startswith(_ZERO_COPY)
        },
        page_cache_write=named.get(_PAGE_CACHE_WRITE),
        other={
            name: fact
            for name, fact in named.items()
            if not name.startswith(_ZERO_COPY) and name != _PAGE_CACHE_WRITE
        },
    )


def _tests(boot: _Replayed) -> Iterator[TestResult]:
    """A result for every planned test, in the plan's order."""
    lost = {Status.CRASHED: Outcome.CRASHED, Status.HUNG: Outcome.TIMEOUT}
    status, reason = boot.conclusion.status, boot.conclusion.reason
    for test in boot.heard.plan or ():
        if test in boot.heard.tests:
            yield boot.heard.tests[test]
        elif test == boot.heard.running and status in lost:
            lines = [line for event in boot.events if event.test == test for line in event.lines]
            yield TestResult(test, lost[status], message=reason, details="\n".join(lines))
        else:
            yield TestResult(test, Outcome.MISSING, message=f"never reported: {reason or status}")
