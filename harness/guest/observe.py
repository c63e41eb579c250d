"""Guest -> observations: runs one kernel's suite and keeps everything that was heard.

Everything is written to the kernel's directory as it arrives (``journal.py``); what was
observed is then what those files say (``replay.py``).
"""

from __future__ import annotations

import datetime
import re
import secrets
import signal
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from harness.files import full_disk_named
from harness.guest.heard import Heard
from harness.guest.journal import BootRecord, ClosedRecord, Ending, Journal
from harness.guest.launcher import DISK_LIMIT
from harness.guest.messages import ConsoleLine, Ended, Message, RecordLine, Stopped
from harness.guest.payload import write_part
from harness.guest.replay import replay
from harness.guest.schedule import WHOLE, Order
from harness.guest.session import GuestSettings, Session
from harness.model import BootableKernel, KernelResult, Purpose, Role
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

    @classmethod
    def for_accel(cls, accel: str, test: float, suite: float | None = None) -> Deadlines:
        """The deadlines for an accelerator; ``test`` is the guest's own limit for a test.

        Under emulation everything takes some ten times longer, and hosts are busy.
        """
        if accel == "kvm":
            whole = 600 if suite is None else suite
            return cls(boot=60, plan=30, test=test + 10, suite=whole, shutdown=60)
        whole = 1800 if suite is None else suite
        return cls(boot=180, plan=240, test=test + 20, suite=whole, shutdown=120)


@dataclass
class _Ear:
    """Writes down what is heard, and keeps account of it for the deadlines."""

    journal: Journal
    heard: Heard
    terminated: str = ""  # the signal on which QEMU said it ends
    failed: str = ""  # the fault of its own on which it said so
    lacking: str = ""  # what the host has no room for; vng's word only if the guest never ran

    def take(self, message: Message) -> None:
        if isinstance(message, ConsoleLine):
            self.journal.console(message)
            self.heard.console_line(message)
            if match := _TERMINATED.match(message.text):
                self.terminated = _SIGNALS.get(int(match.group(1)), "")
            elif _FAILED.match(message.text):
                self.failed = message.text
            elif _LACKING.search(message.text):
                self.lacking = message.text.strip()
        elif isinstance(message, RecordLine):
            self.heard.record(message.seconds, self.journal.record(message))


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
) -> KernelResult:
    """Boot ``kernel`` once, run in it what ``order`` says, and return what was observed.

    Files go to ``directory``, which must exist. If it has those of an earlier boot, this is
    the kernel's next one: it is added to them, and the result has all. When ``stop`` is set
    the guest is ended and the result says ``interrupted``. The verdict is left to the judge.
    """
    nonce = secrets.token_hex(8)
    arguments = (*KERNEL_ARGUMENTS, f"afalg_harness.nonce={nonce}", *settings.append)
    with full_disk_named(directory, _ELSEWHERE):
        ordered = _ordered(payload, order, directory)
    with Journal(directory) as journal:
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
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            commit=kernel.commit,
        )
        journal.boot(boot)
        ear = _Ear(journal, Heard(boot))
        with Session(kernel, replace(settings, append=arguments), ordered) as session:
            with full_disk_named(directory, _ELSEWHERE):
                (directory / "vng.txt").write_text(session.again())
            progress.report(kernel.spec, _activity(boot))
            ending, reason = _listen(session, ear, deadlines, stop, kernel, progress)
            for message in session.drain():
                ear.take(message)
            journal.closed(_closed(ending, reason, ear, session))
    return replay(directory)


def _ordered(payload: Path, order: Order, directory: Path) -> Path:
    """The payload for what ``order`` says; where that is all, ``payload`` itself.

    A part stays in the kernel's directory, so that its boot can be run again.
    """
    if not order.tests:
        return payload
    part = directory / payload.name
    write_part(payload, order.tests, part)
    return part


_WORDS = {
    Purpose.PLAN: "booting",
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


def _listen(
    session: Session,
    ear: _Ear,
    deadlines: Deadlines,
    stop: threading.Event,
    kernel: BootableKernel,
    progress: Progress,
) -> tuple[Ending, str]:
    """Take messages until the guest is gone or has to go; returns why, and what expired."""
    heard = ear.heard
    while not stop.is_set():
        deadline, _ = _current_deadline(heard, deadlines)
        # Woken at least every half second, to notice an interruption.
        message = session.next(min(deadline, session.elapsed() + 0.5))
        if isinstance(message, Ended):
            return Ending.GUEST, ""
        if isinstance(message, Stopped):
            return Ending.KILLED, message.reason
        ear.take(message)
        if isinstance(message, RecordLine):
            _report_progress(heard, kernel, progress)
        if heard.disowned:
            return Ending.DISOWNED, heard.disowned
        # A guest that never ceases to talk is held to its deadlines, too.
        deadline, expired = _current_deadline(heard, deadlines)
        if message.seconds >= deadline:
            return Ending.DEADLINE, expired
    return Ending.STOPPED, ""


def _current_deadline(heard: Heard, deadlines: Deadlines) -> tuple[float, str]:
    """When the present stage must be over, in seconds, and what to say if it is not."""
    if heard.boot_seconds is None or heard.last_record is None:
        return deadlines.boot, f"nothing heard for {deadlines.boot:g} s while booting"
    if heard.end is not None:
        reason = f"did not power off within {deadlines.shutdown:g} s"
        return heard.last_record + deadlines.shutdown, reason
    if heard.plan is None:
        reason = f"nothing heard for {deadlines.plan:g} s while collecting tests"
        return heard.last_record + deadlines.plan, reason
    stage = f"running {heard.running}" if heard.running else "between tests"
    whole = heard.boot_seconds + deadlines.suite
    step = heard.last_record + deadlines.test
    if whole < step:
        return whole, f"the suite did not end within {deadlines.suite:g} s; it was {stage}"
    return step, f"nothing heard for {deadlines.test:g} s while {stage}"


def _closed(ending: Ending, reason: str, ear: _Ear, session: Session) -> ClosedRecord:
    """The record of how a boot ended."""
    seconds, found = session.elapsed(), session.exit()
    if ending is Ending.GUEST and not found.ran:
        ending = Ending.NEVER_RAN
        if ear.lacking:
            ending = Ending.KILLED
            reason = f"the guest could not be started, its files in {session.place}: {ear.lacking}"
    elif ending is Ending.GUEST and not found.shutdown.startswith("guest-"):
        ending = Ending.KILLED
        cause = ear.terminated if found.shutdown else "SIGKILL, or a fault of its own"
        reason = f"QEMU was killed from outside ({cause or found.shutdown})"
        if ear.failed and not found.shutdown:
            reason = f"QEMU failed ({ear.failed})"
    if found.filled and ending is not Ending.STOPPED:
        ending = Ending.FILLED
        reason = f"the guest filled its disk (it may write {DISK_LIMIT >> 20} MiB)"
    return ClosedRecord(ending, round(seconds, 3), reason, found.shutdown, found.vng_status)


def _report_progress(heard: Heard, kernel: BootableKernel, progress: Progress) -> None:
    if heard.plan:
        share = len(heard.tests) / len(heard.plan)
        progress.report(kernel.spec, f"running {len(heard.plan)} tests", share)
    elif heard.plan is None:
        progress.report(kernel.spec, f"booted {kernel.release}, collecting tests")
