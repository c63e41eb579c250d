"""How one boot ended, from what was heard of it and what the host wrote down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.emulator import emulator_fault_in
from harness.guest.heard import Heard
from harness.guest.journal import ClosedRecord, Ending
from harness.model import DEADLY, ConsoleEvent, Hang, Status

#: Exit statuses of pytest that are no crash: passed, failed, interrupted by collection
#: errors, no such test, no test collected. What they mean follows from plan and outcomes.
_PYTEST_ENDED_WELL = (0, 1, 2, 4, 5)
#: Its own error, of which the kernel is not to be accused (ExitCode.INTERNAL_ERROR).
_PYTEST_FAILED = 3
#: What QEMU calls the end of a guest that switched itself off, and of one that was reset,
#: as a panic does (ShutdownCause).
_POWERED_OFF, _RESET = "guest-shutdown", "guest-reset"
#: What stands still by no fault of the kernel's.
_OF_THE_HOST = (Hang.EMULATOR, Hang.PAUSED)


@dataclass(frozen=True)
class Conclusion:
    """How a boot ended, and why."""

    status: Status
    reason: str = ""
    killed: bool = False  # from outside, or by a fault of ours: says nothing of the kernel
    fatal_test: str = ""  # in which the kernel died or fell silent
    hang: Hang | None = None  # what stood still, if that ended it


@dataclass(frozen=True)
class _Case:
    """What a conclusion rests on."""

    heard: Heard
    panic: ConsoleEvent | None
    fault: ConsoleEvent | None  # of the emulator's, of which the guest died
    closed: ClosedRecord | None

    @property
    def ending(self) -> Ending | None:
        """What ended the guest; None if the host did not live to write it down."""
        if self.closed is not None:
            return self.closed.ending
        return Ending.GUEST if self.panic or self.heard.powered_off else None

    @property
    def powered_off(self) -> bool:
        return self.heard.powered_off or self.shutdown == _POWERED_OFF

    @property
    def shutdown(self) -> str:
        return self.closed.shutdown if self.closed is not None else ""

    @property
    def reason(self) -> str:
        return self.closed.reason if self.closed is not None else ""

    @property
    def cut_off(self) -> bool:
        """Whether what ended it says nothing of the kernel."""
        return self.ending in {Ending.KILLED, None} or self.hang in _OF_THE_HOST

    @property
    def hang(self) -> Hang | None:
        return self.closed.hang if self.closed is not None else None


def conclude(
    heard: Heard, events: Sequence[ConsoleEvent], closed: ClosedRecord | None, accel: str
) -> Conclusion:
    """How the boot ended; ``closed`` is None if the host did not live to write it down."""
    panic = next((event for event in events if event.kind == "panic"), None)
    deadly = next((event for event in events if event.kind in DEADLY), None)
    has_reported = heard.identity is not None
    fault = emulator_fault_in(deadly, accel, has_reported=has_reported) if panic else None
    case = _Case(heard, panic, fault, closed)
    if heard.disowned:
        return Conclusion(Status.BOOT_FAILED, heard.disowned)
    if case.ending is Ending.STOPPED:
        return Conclusion(Status.INTERRUPTED, f"stopped {_where(heard)}")
    if case.ending is Ending.FILLED:  # whatever became of it then: its kernel is not to blame
        return Conclusion(Status.INTERRUPTED, case.reason, killed=True)
    if heard.identity is None:
        return _before_report(case)
    return _after_suite(case) if heard.end is not None else _amid_suite(case)


def _before_report(case: _Case) -> Conclusion:
    if case.panic is not None:
        return Conclusion(Status.BOOT_FAILED, case.panic.title)
    if case.cut_off:
        return _cut_off(case)
    if case.ending is Ending.DEADLINE:
        return Conclusion(Status.BOOT_FAILED, case.reason, hang=case.hang)
    last = case.heard.last_line
    reason = f"the guest ended before it reported; last line: {last}"
    return Conclusion(Status.BOOT_FAILED, reason)


def _amid_suite(case: _Case) -> Conclusion:
    if case.panic is not None:
        return _panicked(case, case.panic)
    if case.cut_off:
        return _cut_off(case)
    if case.closed is None:  # and it powered off: what it reported last was lost, not unsaid
        return Conclusion(Status.COMPLETED)
    if case.ending is Ending.DEADLINE:
        return Conclusion(Status.HUNG, case.reason, fatal_test=case.heard.running, hang=case.hang)
    return _died(case, f"the guest died {_where(case.heard)}")


def _after_suite(case: _Case) -> Conclusion:
    """The suite's process is gone; what is left is to switch off."""
    end = case.heard.end
    assert end is not None
    if end.status < 0:
        return _died(case, f"the suite's process was killed by signal {-end.status}")
    if end.status == _PYTEST_FAILED:
        where = f" in {case.heard.running}" if case.heard.running else ""
        words = f"pytest, or a conftest.py in it, failed within itself{where}"
        return Conclusion(Status.INTERRUPTED, words, killed=True)
    if end.status not in _PYTEST_ENDED_WELL:
        return _died(case, f"pytest ended with status {end.status}")
    if case.powered_off:
        return Conclusion(Status.COMPLETED)
    if case.panic is not None:
        return _panicked(case, case.panic)
    if case.cut_off:
        return _cut_off(case)
    if case.ending is Ending.DEADLINE:
        return Conclusion(Status.HUNG, case.reason, hang=case.hang)
    if case.shutdown == _RESET:
        return _died(case, "the guest was reset while powering off")
    return Conclusion(Status.COMPLETED)


def _panicked(case: _Case, panic: ConsoleEvent) -> Conclusion:
    if case.fault is None:
        return _died(case, panic.title)
    reason = f"QEMU's emulation failed ({case.fault.title}) {_where(case.heard)}"
    return Conclusion(Status.INTERRUPTED, reason, killed=True)


def _died(case: _Case, reason: str) -> Conclusion:
    test = case.heard.running or (case.panic.test if case.panic is not None else "")
    return Conclusion(Status.CRASHED, reason, fatal_test=test)


def _cut_off(case: _Case) -> Conclusion:
    if case.closed is None:
        return Conclusion(Status.INTERRUPTED, "the record of this boot stops without its end")
    return Conclusion(
        Status.INTERRUPTED, f"{case.reason} {_where(case.heard)}", True, hang=case.hang
    )


def _where(heard: Heard) -> str:
    if heard.identity is None:
        return "while booting"
    if heard.end is not None:
        return "while powering off"
    return f"in {heard.running}" if heard.running else "outside any test"
