"""Guest -> observations: runs one kernel's suite and keeps everything that was heard.

Everything is written to the kernel's directory as it arrives: the console to
``console.log``, the records to ``events.jsonl``. What this returns can also be had from
those two files later.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from harness.guest.console import ConsoleScanner
from harness.guest.session import (
    ConsoleLine,
    Ended,
    Expired,
    GuestSettings,
    Message,
    Record,
    Session,
)
from harness.model import (
    BootableKernel,
    ConsoleEvent,
    Control,
    Fact,
    Facts,
    GuestIdentity,
    KernelResult,
    Outcome,
    Role,
    State,
    Status,
    TestResult,
)
from harness.progress import Progress

#: Exit statuses of pytest that are no crash: passed, failed, interrupted by collection
#: errors, no such test, no test collected. What they mean follows from plan and outcomes.
_PYTEST_ENDED_WELL = (0, 1, 2, 4, 5)

#: Kernel arguments of every guest: an oops ends it at once instead of leaving it half
#: alive; user space may write to the log unthrottled; a stuck task is reported in time.
KERNEL_ARGUMENTS = ("oops=panic", "printk.devkmsg=on", "sysctl.kernel.hung_task_timeout_secs=20")


@dataclass(frozen=True)
class Deadlines:
    """How long each stage may take, in seconds."""

    boot: float  # start of vng to the first record
    plan: float  # first record to the plan (importing pytest, collecting)
    test: float  # silence in a test; longer than the guest's own limit for it
    suite: float  # all tests
    shutdown: float = 30.0

    @classmethod
    def for_accel(cls, accel: str, test: float, suite: float | None = None) -> Deadlines:
        """The deadlines for an accelerator; ``test`` is the guest's own limit for a test.

        Under emulation everything takes some ten times longer, and hosts are busy.
        """
        if accel == "kvm":
            return cls(boot=60, plan=30, test=test + 10, suite=suite or 600)
        return cls(boot=180, plan=90, test=test + 20, suite=suite or 1800)


@dataclass
class _Observed:
    """What has been heard so far."""

    identity: GuestIdentity | None = None
    boot_seconds: float | None = None
    last_record: float | None = None
    af_alg_restrict: int | None = None
    af_alg_error: str = ""
    taint_before: int | None = None
    taint: int | None = None
    plan: list[str] | None = None
    running: str | None = None
    last_line: str = ""
    records_lost: int = 0
    ended: bool = False
    suite_status: int | None = None
    next_number: int = 0
    tests: dict[str, TestResult] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    transcripts: dict[str, str] = field(default_factory=dict)
    collection_errors: list[str] = field(default_factory=list)
    console_events: list[ConsoleEvent] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def disown(self) -> None:
        """Forget what a guest reported that was not the kernel asked for."""
        self.plan = None
        self.tests.clear()
        self.facts.clear()
        self.transcripts.clear()
        self.collection_errors.clear()
        self.af_alg_restrict = None


class _Recorder:
    """Applies messages to what has been observed, and writes them down first."""

    def __init__(self, console: IO[str], events: IO[str]) -> None:
        self.seen = _Observed()
        self._console = console
        self._events = events
        self._scanner = ConsoleScanner()

    def apply(self, message: Message) -> None:
        if isinstance(message, ConsoleLine):
            if message.text.strip():
                self.seen.last_line = message.text.strip()
            self._console.write(f"[{message.seconds:10.3f}] {message.text}\n")
            self._console.flush()
            self.seen.console_events += self._scanner.feed(message.seconds, message.text)
        elif isinstance(message, Record):
            self._apply_record(message)

    def finish(self) -> _Observed:
        self.seen.console_events += self._scanner.finish()
        return self.seen

    def _apply_record(self, record: Record) -> None:
        seen, data = self.seen, record.data
        if data is None:
            seen.records_lost += 1
            seen.notes.append(f"a record was cut short: {record.raw[:80]!r}")
            return
        self._events.write(json.dumps({"host_seconds": round(record.seconds, 3), **data}) + "\n")
        self._events.flush()
        if data.get("seq") != seen.next_number:
            seen.records_lost += 1
            seen.notes.append(
                f"records lost: number {data.get('seq')} after {seen.next_number - 1}"
            )
        seen.next_number = int(str(data.get("seq", 0))) + 1
        seen.last_record = record.seconds
        handler = getattr(self, f"_on_{data.get('type')}", None)
        if handler is None:
            seen.records_lost += 1
            seen.notes.append(f"unknown record type {data.get('type')!r}")
            return
        try:
            handler(record.seconds, data)
        except (KeyError, ValueError) as error:
            seen.records_lost += 1
            seen.notes.append(f"malformed {data['type']} record: {error!r}")

    def _on_hello(self, seconds: float, data: dict[str, object]) -> None:
        seen = self.seen
        words = {name: str(data.get(name, "")) for name in GuestIdentity.__dataclass_fields__}
        seen.identity = GuestIdentity(**words)
        seen.boot_seconds = seconds
        seen.af_alg_restrict = _integer(data.get("af_alg_restrict"))
        seen.af_alg_error = str(data.get("af_alg_error", ""))
        seen.taint_before = seen.taint = _integer(data.get("taint"))

    def _on_plan(self, _seconds: float, data: dict[str, object]) -> None:
        tests = data.get("tests")
        self.seen.plan = [str(test) for test in tests] if isinstance(tests, list) else []

    def _on_start(self, _seconds: float, data: dict[str, object]) -> None:
        self.seen.running = str(data["id"])

    def _on_outcome(self, _seconds: float, data: dict[str, object]) -> None:
        result = TestResult(
            id=str(data["id"]),
            outcome=Outcome(str(data["outcome"])),
            seconds=float(str(data["seconds"])),
            message=str(data["message"]),
            details=str(data["details"]),
        )
        self.seen.tests[result.id] = result
        self.seen.running = None

    def _on_fact(self, _seconds: float, data: dict[str, object]) -> None:
        self.seen.facts[str(data["name"])] = Fact(
            state=State(str(data["state"])),
            control=Control(str(data["control"])),
            evidence=str(data["evidence"]),
            test=str(data["test"]),
        )

    def _on_transcripts(self, _seconds: float, data: dict[str, object]) -> None:
        transcripts = data["transcripts"]
        if not isinstance(transcripts, dict):
            raise ValueError("transcripts are no table")
        self.seen.transcripts.update({str(text): str(said) for text, said in transcripts.items()})

    def _on_collection_error(self, _seconds: float, data: dict[str, object]) -> None:
        self.seen.collection_errors.append(f"{data['id']}: {data['message']}")

    def _on_taint(self, _seconds: float, data: dict[str, object]) -> None:
        self.seen.taint = _integer(data["after"])
        self.seen.notes.append(
            f"taint went from {data['before']} to {data['after']} in {data['test']}"
        )

    def _on_end(self, _seconds: float, data: dict[str, object]) -> None:
        self.seen.ended = True
        self.seen.suite_status = _integer(data["status"])
        self.seen.taint = _integer(data["taint"])


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def observe(
    kernel: BootableKernel,
    role: Role,
    settings: GuestSettings,
    payload: Path,
    deadlines: Deadlines,
    directory: Path,
    stop: threading.Event,
    progress: Progress,
) -> KernelResult:
    """Boot ``kernel``, run the payload's suite in it and return what was observed.

    Files go to ``directory``, which must exist. When ``stop`` is set the guest is ended and
    the result says ``interrupted``. The verdict is left to the judge.
    """
    nonce = secrets.token_hex(8)
    settings = replace(
        settings,
        append=(
            *KERNEL_ARGUMENTS,
            f"afalg_harness.nonce={nonce}",
            *settings.append,
        ),
    )
    with contextlib.ExitStack() as stack:
        console = stack.enter_context((directory / "console.log").open("w", encoding="utf-8"))
        events = stack.enter_context((directory / "events.jsonl").open("w", encoding="utf-8"))
        recorder = _Recorder(console, events)
        with Session(kernel, settings, payload) as session:
            (directory / "vng.txt").write_text(shlex.join(session.argv) + "\n")
            progress.report(kernel.spec, "booting")
            expired = _listen(session, recorder, deadlines, stop, kernel, progress)
            for message in session.drain():
                recorder.apply(message)
            wall_seconds = session.elapsed()
        seen = recorder.finish()
    status, reason = _conclude(seen, kernel, nonce, expired, stop.is_set())
    if status is Status.BOOT_FAILED:
        seen.disown()
    return _result(kernel, role, seen, status, reason, wall_seconds, directory)


def _listen(
    session: Session,
    recorder: _Recorder,
    deadlines: Deadlines,
    stop: threading.Event,
    kernel: BootableKernel,
    progress: Progress,
) -> str:
    """Take messages until the guest is gone; returns what expired, or ""."""
    seen = recorder.seen
    while not stop.is_set():
        stage, deadline = _current_deadline(seen, deadlines)
        # Woken at least every half second, to notice an interruption.
        message = session.next(min(deadline, session.elapsed() + 0.5))
        if isinstance(message, Ended):
            return ""
        if isinstance(message, Expired):
            if message.seconds >= deadline:
                silence = message.seconds - (seen.last_record or 0.0)
                return f"nothing heard for {silence:.0f} s while {stage}"
            continue
        recorder.apply(message)
        if isinstance(message, Record):
            _report_progress(seen, kernel, progress)
            if seen.identity is not None and seen.identity.release != kernel.release:
                return ""
    return ""


def _current_deadline(seen: _Observed, deadlines: Deadlines) -> tuple[str, float]:
    if seen.boot_seconds is None or seen.last_record is None:
        return "booting", deadlines.boot
    if seen.ended:
        return "powering off", seen.last_record + deadlines.shutdown
    if seen.plan is None:
        return "collecting tests", seen.last_record + deadlines.plan
    whole = seen.boot_seconds + deadlines.suite
    step = seen.last_record + deadlines.test
    return (f"running {seen.running}" if seen.running else "between tests"), min(whole, step)


def _report_progress(seen: _Observed, kernel: BootableKernel, progress: Progress) -> None:
    if seen.plan:
        share = len(seen.tests) / len(seen.plan)
        progress.report(kernel.spec, f"running {len(seen.plan)} tests", share)
    elif seen.plan is None:
        progress.report(kernel.spec, f"booted {kernel.release}, collecting tests")


def _conclude(
    seen: _Observed, kernel: BootableKernel, nonce: str, expired: str, stopped: bool
) -> tuple[Status, str]:
    """How the run ended, and why."""
    panics = [event for event in seen.console_events if event.kind == "panic"]
    if seen.identity is None:
        if stopped:
            return Status.INTERRUPTED, "stopped while booting"
        otherwise = expired or f"the guest ended before it reported; last line: {seen.last_line}"
        return Status.BOOT_FAILED, _last_words(panics, otherwise)
    if seen.identity.release != kernel.release:
        return (
            Status.BOOT_FAILED,
            f"the guest ran {seen.identity.release}, not {kernel.release}",
        )
    if seen.identity.nonce != nonce:
        return Status.BOOT_FAILED, "the guest's report is not of this run (its nonce differs)"
    if seen.ended:
        if seen.suite_status is not None and seen.suite_status < 0:
            return Status.CRASHED, f"the suite's process was killed by signal {-seen.suite_status}"
        if seen.suite_status not in _PYTEST_ENDED_WELL:
            return Status.CRASHED, f"pytest ended with status {seen.suite_status}"
        return Status.COMPLETED, ""
    if stopped:
        return Status.INTERRUPTED, f"stopped {_where(seen)}"
    if panics or not expired:
        return Status.CRASHED, _last_words(panics, f"the guest died {_where(seen)}")
    return Status.HUNG, expired


def _where(seen: _Observed) -> str:
    return f"in {seen.running}" if seen.running else "outside any test"


def _last_words(panics: list[ConsoleEvent], otherwise: str) -> str:
    return panics[0].title if panics else otherwise


def _completed_tests(seen: _Observed, status: Status, reason: str) -> Iterator[TestResult]:
    """A result for every planned test, in the plan's order, then any that was not planned."""
    lost = {Status.CRASHED: Outcome.CRASHED, Status.HUNG: Outcome.TIMEOUT}
    for test in seen.plan or ():
        if test in seen.tests:
            yield seen.tests[test]
        elif test == seen.running and status in lost:
            excerpt = [line for event in seen.console_events for line in event.lines]
            yield TestResult(test, lost[status], message=reason, details="\n".join(excerpt))
        else:
            yield TestResult(test, Outcome.MISSING, message=f"never reported: {reason or status}")
    planned = set(seen.plan or ())
    yield from (result for test, result in seen.tests.items() if test not in planned)


def _result(
    kernel: BootableKernel,
    role: Role,
    seen: _Observed,
    status: Status,
    reason: str,
    wall_seconds: float,
    directory: Path,
) -> KernelResult:
    zero_copy = {
        name.removeprefix("zero_copy."): fact
        for name, fact in seen.facts.items()
        if name.startswith("zero_copy.")
    }
    other = {
        name: fact
        for name, fact in seen.facts.items()
        if not name.startswith("zero_copy.") and name != "page_cache_write"
    }
    suite_seconds = None
    if seen.last_record is not None and seen.boot_seconds is not None:
        suite_seconds = round(seen.last_record - seen.boot_seconds, 3)
    notes = [*kernel.notes, *seen.notes]
    if seen.af_alg_error:
        notes.append(f"socket(AF_ALG): {seen.af_alg_error}")
    return KernelResult(
        spec=kernel.spec,
        release=kernel.release,
        role=role,
        status=status,
        status_reason=reason,
        boot_seconds=round(seen.boot_seconds, 3) if seen.boot_seconds is not None else None,
        suite_seconds=suite_seconds,
        wall_seconds=round(wall_seconds, 3),
        taint_before=seen.taint_before,
        taint=seen.taint,
        identity=seen.identity,
        console_events=tuple(seen.console_events),
        facts=Facts(
            af_alg_restrict=seen.af_alg_restrict,
            zero_copy=zero_copy,
            page_cache_write=seen.facts.get("page_cache_write"),
            other=other,
        ),
        transcripts=seen.transcripts,
        plan=tuple(seen.plan or ()),
        collection_errors=tuple(seen.collection_errors),
        tests=tuple(_completed_tests(seen, status, reason)),
        records_lost=seen.records_lost,
        packages=kernel.packages,
        notes=tuple(notes),
        directory=f"kernels/{directory.name}",
    )
