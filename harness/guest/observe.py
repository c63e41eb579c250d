"""Guest -> observations: runs one kernel's suite and keeps everything that was heard.

Everything is written to the kernel's directory as it arrives (``journal.py``); what was
observed is then what those files say (``replay.py``).
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from harness.defaults import SUITE_SECONDS, TEST_SECONDS
from harness.files import full_disk_named
from harness.guest.diagnosis import Diagnosis, Examination
from harness.guest.heard import Heard
from harness.guest.idle import IdleWatch
from harness.guest.inside import records
from harness.guest.journal import BootRecord, ClosedRecord, Ending, Journal
from harness.guest.launcher import DISK_LIMIT, REFUSED
from harness.guest.messages import ConsoleLine, Ended, Expired, Message, RecordLine, Stopped
from harness.guest.patience import Patience
from harness.guest.payload import write_part
from harness.guest.replay import replay
from harness.guest.schedule import WHOLE, Order
from harness.guest.session import GuestSettings, Session
from harness.model import FAILURES, BootableKernel, Hang, KernelResult, Purpose, Role
from harness.progress import Progress

#: Kernel arguments of every guest: an oops ends it at once instead of leaving it half
#: alive; user space may write to the log unthrottled; a stuck task is reported in time;
#: an emulated timer that ticks late on a busy host is not taken for a broken one
#: (arch/x86/kernel/apic/io_apic.c, check_timer(); KVM guests skip that by themselves).
#: Of 203 boots under load, 14 took that way out to another timer ("8254 timer not connected
#: to IO-APIC"), and 2 of these then stood still without a word; of the other 189 none did.
KERNEL_ARGUMENTS = (
    "oops=panic",
    "printk.devkmsg=on",
    "sysctl.kernel.hung_task_timeout_secs=20",
    "no_timer_check",
)
#: Seconds of uninterruptible sleep without a switch, as the agent counts them, after which a
#: test is not merely waiting for a disk.
_SURELY_BLOCKED = 5.0
_LOOK_SECONDS = 0.25
_SAID = 200  # characters of a failed test's message that progress is told
#: Seconds without a sign of life in which three were due.
_MISSED = 3 * records.ALIVE_SECONDS
#: What QEMU prints when it heeds a signal (os-posix.c).
_TERMINATED = re.compile(r"qemu-system-\w+: terminating on signal (\d{1,3})")
#: What it prints when it finds a fault of its own (glib's and libc's assertions).
_FAILED = re.compile(r"qemu-system-\w+: \S+: .*[Aa]ssertion .+ failed")
#: What vng and QEMU print where the host has no room for a guest: of no kernel's making.
_LACKING = re.compile(r"No space left on device|Disk quota exceeded|Cannot allocate memory")
_ELSEWHERE = "name another place with --out"
_SIGNALS = {number.value: number.name for number in signal.Signals}


@dataclass(frozen=True)
class Deadlines:
    """How long each stage may take, in seconds."""

    boot: float  # start of vng to the first record
    plan: float  # first record to the plan (importing pytest, collecting)
    test: float  # silence in a test; longer than the guest's own limit for it
    suite: float  # all tests
    shutdown: float  # last record to the end of QEMU
    #: Silence in a test whose process is in uninterruptible sleep: its own limit has no effect.
    blocked: float = 40
    #: Without any sign of life (records.Alive). A guest may be held up for long by its own
    #: want of memory, or by a busy host.
    alive: float = 60
    paused: float = 10  # QEMU does not run the guest
    limit: float = TEST_SECONDS  # the guest's own for a test, be the guest busy or idle

    @classmethod
    def for_accel(cls, accel: str, test: float, suite: float | None = None) -> Deadlines:
        """The deadlines for an accelerator; ``test`` is the guest's own limit for a test.

        Under emulation everything takes some ten times longer, and hosts are busy.
        """
        whole = SUITE_SECONDS[accel] if suite is None else suite
        if accel == "kvm":
            return cls(
                boot=60,
                plan=30,
                test=test + 10,
                suite=whole,
                shutdown=60,
                blocked=test + 5,
                alive=30,
                limit=test,
            )
        return cls(
            boot=180,
            plan=240,
            test=test + 20,
            suite=whole,
            shutdown=120,
            blocked=test + 10,
            alive=120,
            limit=test,
        )


@dataclass
class _Ear:
    """Writes down what is heard, and keeps account of it for the deadlines."""

    journal: Journal
    heard: Heard
    terminated: str = ""  # the signal on which QEMU said it ends
    failed: str = ""  # the fault of its own on which it said so
    # Both are words of ours, vng's or QEMU's only if the guest never ran.
    lacking: str = ""  # what the host has no room for
    refused: str = ""  # why the launcher started no QEMU

    def take(self, message: Message) -> None:
        if isinstance(message, ConsoleLine):
            self.journal.console(message)
            # It may stand amid a line of the guest's, who was interrupted. What a guest itself
            # says counts for nothing: the word is asked only where QEMU's monitor told of one.
            if match := _TERMINATED.search(message.text):
                self.terminated = _SIGNALS.get(int(match.group(1)), "")
            elif _FAILED.match(message.text):
                self.failed = message.text
            elif _LACKING.search(message.text):
                self.lacking = message.text.strip()
            elif message.text.startswith(REFUSED):
                self.refused = message.text.removeprefix(REFUSED)
        elif isinstance(message, RecordLine):
            self.heard.record(message.seconds, self.journal.record(message))


Listener = Callable[[Heard], None]


def _nobody(_: Heard) -> None:
    pass


def observe(
    kernel: BootableKernel,
    role: Role,
    settings: GuestSettings,
    payload: Path,
    deadlines: Deadlines,
    directory: Path,
    stop: threading.Event,
    progress: Progress,
    order: Order = WHOLE,
    listener: Listener = _nobody,
) -> KernelResult:
    """Boot ``kernel`` once, run in it what ``order`` says, and return what was observed.

    The result has all boots of which files lie in ``directory``. The verdict is left to the
    judge. All else as ``boot_once``.
    """
    boot_once(
        kernel,
        role,
        settings,
        payload,
        deadlines,
        directory,
        stop,
        progress,
        order,
        listener,
    )
    return replay(directory)


def boot_once(
    kernel: BootableKernel,
    role: Role,
    settings: GuestSettings,
    payload: Path,
    deadlines: Deadlines,
    directory: Path,
    stop: threading.Event,
    progress: Progress,
    order: Order = WHOLE,
    listener: Listener = _nobody,
    elsewhere: int = 0,
) -> None:
    """Boot ``kernel`` once, run in it what ``order`` says, and write down what was observed.

    Files go to ``directory``, which must exist. If it has those of an earlier boot, this is
    the kernel's next one, and it is added to them; ``elsewhere`` are boots before it whose
    files are in another place. When ``stop`` is set the guest is ended, and written down as
    stopped. ``listener`` is called after each record with all that has been heard of this boot
    by then.
    """
    nonce = secrets.token_hex(8)
    arguments = (*KERNEL_ARGUMENTS, f"afalg_harness.nonce={nonce}", *settings.append)
    with full_disk_named(directory, _ELSEWHERE):
        ordered = _ordered(payload, order, directory)
    with Journal(directory, elsewhere) as journal:
        boot = BootRecord(
            number=journal.number,
            nonce=nonce,
            release=kernel.release,
            spec=kernel.spec,
            role=role,
            accel=settings.accel,
            arguments=arguments,
            notes=kernel.notes,
            packages=kernel.packages,
            purpose=order.purpose,
            round=order.round,
            asked=order.tests,
            left=order.left,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            commit=kernel.commit,
            key=kernel.key,
        )
        journal.boot(boot)
        ear = _Ear(journal, Heard(boot))
        with Session(kernel, replace(settings, append=arguments), ordered) as session:
            with full_disk_named(directory, _ELSEWHERE):
                (directory / "vng.txt").write_text(session.again())
            progress.report(kernel.spec, _activity(boot))
            end = _listen(session, ear, deadlines, stop, kernel, progress, listener)
            if end.ending is Ending.DEADLINE and end.hang is not None:
                progress.report(kernel.spec, f"{end.reason}; looking why")
                look = Examination(session, ear.heard, ear.take, stop)
                dump = _dump_path(settings, kernel, journal.number)
                found = look.examine(end.hang, end.reason, dump)
                _keep(found, directory / f"hang-{journal.number}.txt")
                end = _End(Ending.DEADLINE, found.reason, found.hang, found.head())
            for message in session.drain():
                ear.take(message)
            journal.closed(_closed(end, ear, session))


def _ordered(payload: Path, order: Order, directory: Path) -> Path:
    """The payload for what ``order`` says; where that is all, ``payload`` itself.

    A part stays in the kernel's directory, so that its boot can be run again.
    """
    if not (order.tests or order.left):
        return payload
    part = directory / payload.name
    write_part(payload, order.tests, order.left, part)
    return part


_WORDS = {
    Purpose.PLAN: "booting",
    Purpose.BESIDE: "booting a second guest",
    Purpose.REST: "booting for the rest",
    Purpose.ALONE: "booting to run alone",
    Purpose.CONFIRM: "booting to confirm",
}


def _activity(boot: BootRecord) -> str:
    """What a boot is for, in words."""
    words = _WORDS[boot.purpose]
    if boot.purpose is Purpose.ALONE:
        words += f" {', '.join(boot.asked)}"
    return words if boot.number == 1 else f"{words} (boot {boot.number})"


@dataclass(frozen=True)
class _End:
    """Why we let a guest go."""

    ending: Ending
    reason: str = ""
    hang: Hang | None = None  # at a deadline: what stood still
    diagnosis: tuple[str, ...] = ()


def _keep(found: Diagnosis, path: Path) -> None:
    """Write down what was found out; the boot's result does not hang on it."""
    text = "".join(f"{line}\n" for line in found.lines())
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8", errors="replace")


def _dump_path(settings: GuestSettings, kernel: BootableKernel, number: int) -> Path | None:
    """Where the memory of a guest that stands still goes, if it was asked for."""
    if settings.dump_memory is None:
        return None
    return settings.dump_memory / f"{kernel.release}-{number}.kdump"


def _listen(
    session: Session,
    ear: _Ear,
    deadlines: Deadlines,
    stop: threading.Event,
    kernel: BootableKernel,
    progress: Progress,
    listener: Listener,
) -> _End:
    """Take messages until the guest is gone or has to go; returns why, and what expired."""
    heard = ear.heard
    deadline = _current_deadline(session, heard, deadlines)
    patience: Patience | None = None  # once the guest has spoken
    told = 0  # tests whose outcome progress has been told
    while not stop.is_set():
        # Woken again and again, to notice an interruption, and a test that stands still.
        message = session.next(min(deadline.seconds, session.elapsed() + _LOOK_SECONDS))
        if isinstance(message, Expired) and heard.running:
            patience = patience or _patience(session, deadlines)
            if given_up := patience.look(heard, message.seconds):
                return _End(Ending.DEADLINE, *_unheeded(heard, given_up))
        if isinstance(message, Ended):
            return _End(Ending.GUEST)
        if isinstance(message, Stopped):
            return _End(Ending.KILLED, message.reason, Hang.PAUSED)
        ear.take(message)
        if isinstance(message, RecordLine):
            told = _report_progress(heard, told, kernel, progress)
            listener(heard)
        if heard.disowned:
            return _End(Ending.DISOWNED, heard.disowned)
        if not isinstance(message, ConsoleLine):  # which puts nothing off, and may be many
            deadline = _current_deadline(session, heard, deadlines)
        # A guest that never ceases to talk is held to its deadlines, too.
        if message.seconds >= deadline.seconds:
            return _End(Ending.DEADLINE, deadline.reason, deadline.hang)
    return _End(Ending.STOPPED)


def _patience(session: Session, deadlines: Deadlines) -> Patience:
    watch = IdleWatch(session.qemu_process() or 0)
    return Patience(deadlines.limit, watch.idle_seconds, session.ask_agent)


def _unheeded(heard: Heard, reason: str) -> tuple[str, Hang]:
    """Of a test that no signal ends: in words, and what stands still."""
    process = heard.process
    where = f" in {process.where}" if process is not None and process.where else ""
    if process is not None and process.state == "D":
        return f"{reason}, which is in uninterruptible sleep{where}", Hang.BLOCKED_TEST
    return f"{reason}, which no signal ends{where and f'; it sleeps{where}'}", Hang.TEST


class _Deadline(NamedTuple):
    """When something must have happened, in seconds since the start of vng."""

    seconds: float
    hang: Hang  # what stands still if it has not
    reason: str


def _current_deadline(session: Session, heard: Heard, deadlines: Deadlines) -> _Deadline:
    """The deadline that is due first."""
    due = [*_stage_deadlines(heard, deadlines)]
    paused = session.monitor.paused_since
    if paused is not None:
        since = session.elapsed() - (time.monotonic() - paused)
        reason = f"QEMU has not run the guest for {deadlines.paused:g} s"
        due.append(_Deadline(since + deadlines.paused, Hang.PAUSED, reason))
    return min(due)


def _stage_deadlines(heard: Heard, deadlines: Deadlines) -> Iterator[_Deadline]:
    """Those of the stage that the guest is in."""
    first, last = heard.boot_seconds, heard.last_record
    if first is None or last is None or heard.last_sign is None:
        reason = f"nothing heard for {deadlines.boot:g} s while booting"
        yield _Deadline(deadlines.boot, Hang.BOOT, reason)
        return
    if heard.end is not None:
        reason = f"did not power off within {deadlines.shutdown:g} s"
        yield _Deadline(last + deadlines.shutdown, Hang.POWER_OFF, reason)
        return
    stage = f"running {heard.running}" if heard.running else "between tests"
    if heard.plan is None:
        stage = "collecting tests"
        reason = f"nothing heard for {deadlines.plan:g} s while {stage}"
        yield _Deadline(last + deadlines.plan, Hang.COLLECTION, reason)
    else:
        reason = f"the suite did not end within {deadlines.suite:g} s; it was {stage}"
        yield _Deadline(first + deadlines.suite, Hang.SUITE, reason)
        yield _test_deadline(heard, deadlines, last, stage)
    reason = f"no sign of life for {deadlines.alive:g} s while {stage}"
    yield _Deadline(heard.last_sign + deadlines.alive, Hang.KERNEL, reason)


def _test_deadline(heard: Heard, deadlines: Deadlines, last: float, stage: str) -> _Deadline:
    """Until when a test, or what is between two, may be silent."""
    process = heard.process
    where = f" in {process.where}" if process is not None and process.where else ""
    if process is not None and process.blocked >= _SURELY_BLOCKED:
        reason = f"nothing heard for {deadlines.blocked:g} s while {stage}"
        reason += f", which is in uninterruptible sleep{where}"
        return _Deadline(last + deadlines.blocked, Hang.BLOCKED_TEST, reason)
    # Between two tests the suite may still import modules (stages.py).
    limit = deadlines.test if heard.running else max(deadlines.test, deadlines.plan)
    reason = f"nothing heard for {limit:g} s while {stage}"
    seconds = last + limit
    if heard.last_sign is not None and seconds - heard.last_sign > _MISSED:
        return _Deadline(seconds, Hang.KERNEL, f"{reason}, nor any sign of life")
    if process is not None:
        reason += f", which sleeps{where}" if process.state == "S" else ", which does not sleep"
    return _Deadline(seconds, Hang.TEST, reason)


def _closed(end: _End, ear: _Ear, session: Session) -> ClosedRecord:
    """The record of how a boot ended."""
    seconds, found = session.elapsed(), session.exit()
    ending, reason = end.ending, end.reason
    if ending is Ending.GUEST and not found.ran:
        ending = Ending.NEVER_RAN
        if ear.lacking:
            ending = Ending.KILLED
            reason = f"the guest could not be started, its files in {session.place}: {ear.lacking}"
        elif ear.refused:
            ending = Ending.KILLED
            reason = f"the guest was not started ({ear.refused})"
    elif ending is Ending.GUEST and not found.shutdown.startswith("guest-"):
        ending = Ending.KILLED
        cause = ear.terminated if found.shutdown else "SIGKILL, or a fault of its own"
        reason = f"QEMU was killed from outside ({cause or found.shutdown})"
        if ear.failed and not found.shutdown:
            reason = f"QEMU failed ({ear.failed})"
    if found.filled and ending is not Ending.STOPPED:
        ending = Ending.FILLED
        reason = f"the guest filled its disk (it may write {DISK_LIMIT >> 20} MiB)"
    return ClosedRecord(
        ending,
        round(seconds, 3),
        reason,
        found.shutdown,
        found.vng_status,
        end.hang,
        end.diagnosis,
    )


def _report_progress(heard: Heard, told: int, kernel: BootableKernel, progress: Progress) -> int:
    """Tell what runs, and what failed beyond the first ``told`` tests; returns how many ended."""
    for test in itertools.islice(heard.tests.values(), told, None):
        if test.outcome in FAILURES:
            said = f": {test.message[:_SAID]}" if test.message else ""
            progress.fails(kernel.spec, f"{test.outcome} {test.id}{said}")
    if heard.plan:
        share = len(heard.tests) / heard.own if heard.own else 1.0
        words = f"running {len(heard.plan)} tests"
        if heard.own < len(heard.plan):
            words += " in two guests"
        progress.report(kernel.spec, words, share, heard.running)
    elif heard.plan is None:
        progress.report(kernel.spec, f"booted {kernel.release}, collecting tests")
    return len(heard.tests)
