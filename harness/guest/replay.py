"""The files of one kernel -> what was observed of it.

A fresh run is judged by this as well: what cannot be had from its files is no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.guest.boots import ObservedBoot, result_of
from harness.guest.conclude import Conclusion, conclude
from harness.guest.heard import Heard
from harness.guest.journal import BootJournal, BootRecord, ClosedRecord, read_journal
from harness.model import (
    Boot,
    ConsoleEvent,
    ConsoleWatch,
    KernelIdentity,
    KernelResult,
    Outcome,
    Status,
    TestResult,
)

_NONCE = re.compile(r"\bafalg_harness\.nonce=(\w+)")
_COMMAND_LINE = re.compile(r"[Cc]ommand line: .*\bafalg_harness\.nonce=(\w+)")
_END_LOST = ("the guest's last record is missing",)


def replay(directory: Path) -> KernelResult:
    """What the files in ``directory`` say of a kernel, not judged yet.

    Raises InputError, in one line, for a directory that holds nothing to go by.
    """
    replayed = [_replay_boot(journal, directory) for journal in read_journal(directory)]
    observed = [_observed(boot, number) for number, boot in enumerate(replayed, 1)]
    return result_of(observed, f"kernels/{directory.name}")


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
    heard.left_out(journal.console.left_out)
    heard.finish()
    events = heard.console_events()
    return _Replayed(
        boot=boot,
        guessed=journal.boot is None,
        heard=heard,
        closed=journal.closed,
        events=events,
        conclusion=conclude(heard, events, journal.closed, boot.accel),
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


def _observed(boot: _Replayed, number: int) -> ObservedBoot:
    heard, conclusion, started = boot.heard, boot.conclusion, boot.boot
    tests = dict(_tests(boot))
    return ObservedBoot(
        boot=Boot(
            status=conclusion.status,
            status_reason=conclusion.reason,
            number=number,
            purpose=started.purpose,
            round=started.round,
            asked=started.asked,
            left=started.left,
            killed=conclusion.killed,
            stopped=conclusion.status is Status.INTERRUPTED and not conclusion.killed,
            fatal_test=conclusion.fatal_test,
            accel=started.accel,
            started=started.started,
            identity=heard.identity,
            boot_seconds=heard.boot_seconds,
            suite_seconds=boot.suite_seconds,
            wall_seconds=boot.wall_seconds,
            taint_before=heard.taint_before,
            taint=heard.taint,
            console_events=boot.events,
            console_watch=boot.console_watch,
            hang=conclusion.hang,
            planned=len(heard.plan or ()),
            outcomes={test: result.outcome for test, result in tests.items()},
        ),
        spec=started.spec,
        release=started.release or (heard.identity.release if heard.identity else ""),
        role=started.role,
        restrict=heard.af_alg_restrict,
        plan=heard.plan or (),
        tests=tests,
        facts=heard.facts,
        transcripts=heard.transcripts,
        collection_errors=tuple(heard.collection_errors),
        records_lost=heard.records_lost + boot.end_lost,
        ignored_arguments=heard.ignored_arguments,
        notes=(*heard.notes, *(_END_LOST if boot.end_lost else ())),
        kernel_notes=started.notes,
        packages=started.packages,
        kernel=_kernel(boot),
    )


def _kernel(boot: _Replayed) -> KernelIdentity | None:
    """Which kernel it is, by what the host knew and the guest said."""
    heard = boot.heard
    if heard.identity is None:
        return None
    return KernelIdentity(
        build_id=heard.build_id,
        packages=tuple(package.sha256 for package in boot.boot.packages),
        commit=boot.boot.commit,
        architecture=heard.identity.machine,
        compiler=heard.compiler,
        key=boot.boot.key,
    )


def _tests(boot: _Replayed) -> Iterator[tuple[str, TestResult]]:
    """A result for every test that was reported, and for the one in which the kernel died."""
    yield from boot.heard.tests.items()
    lost = {Status.CRASHED: Outcome.CRASHED, Status.HUNG: Outcome.TIMEOUT}
    status, reason = boot.conclusion.status, boot.conclusion.reason
    fatal = boot.heard.running
    if fatal and fatal not in boot.heard.tests and status in lost:
        lines = [line for event in boot.events if event.test == fatal for line in event.lines]
        lines += boot.closed.diagnosis if boot.closed is not None else ()
        yield fatal, TestResult(fatal, lost[status], message=reason, details="\n".join(lines))
