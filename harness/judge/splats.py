"""What a kernel said of its own faults, from power-on to power-off: reports and taint.

A report or a taint that the baseline has as well is no news of the candidate: it comes with
the machine that QEMU plays, or was there before. Any other one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.expectations import ANY, Expectations
from harness.judge.findings import Finding, because
from harness.judge.fingerprint import fingerprint
from harness.model import (
    Boot,
    ConsoleEvent,
    ExpectationCheck,
    KernelResult,
    Outcome,
    State,
    Status,
)

#: Letters of /proc/sys/kernel/tainted by bit (Documentation/admin-guide/tainted-kernels.rst).
TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ"

#: Reports after which a kernel is dead, or as good as dead.
_DEADLY = frozenset({"panic", "oops"})
#: Reports that time passed in which nothing happened: they are only as good as the clock.
_OF_TIME = frozenset({"rcu_stall", "soft_lockup", "hung_task"})
#: What a kernel says of faults that are QEMU's (see ``emulator_fault``).
_OF_EMULATOR = re.compile(r"Oops: int3|int3: 0000|IO-APIC \+ timer doesn't work")
_STAMP = re.compile(r"\[\s*(\d+\.\d+)\]")  # printk's, in seconds since the guest's start


def fatal_test(kernel: KernelResult) -> str:
    """Id of the test in which the kernel died or fell silent, "" if none was running."""
    if kernel.fatal_test or kernel.boots:
        return kernel.fatal_test
    # Runs of earlier versions do not say it. A test that timed out and ended is not it.
    if kernel.status is Status.HUNG:
        stuck = [test.id for test in kernel.tests if test.outcome is Outcome.TIMEOUT]
        return next((test for test in reversed(stuck) if test in kernel.status_reason), "")
    died = [test.id for test in kernel.tests if test.outcome is Outcome.CRASHED]
    if died:
        return died[-1]
    return kernel.console_events[-1].test if kernel.console_events else ""


def crash_title(kernel: KernelResult) -> str:
    """What the kernel said when it died: its first report in the fatal test, or the status."""
    fatal = fatal_test(kernel)
    events = [event for event in kernel.console_events if event.test == fatal]
    if not fatal:
        # Outside any test there are older reports that it survived.
        events = [event for event in events if event.kind in _DEADLY]
    return events[0].title if events else kernel.status_reason


def judge_reports(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> Iterator[Finding]:
    """Every report of every boot."""
    excused = _fingerprints(baseline)
    yield from _earlier_boots(kernel, expectations, excused)
    fatal = fatal_test(kernel) if kernel.status is Status.CRASHED else None
    accel = kernel.boots[-1].accel if kernel.boots else ""
    for report in _grouped(kernel.console_events, kernel):
        event = report.event
        told = event.kind == "panic" or event.title == crash_title(kernel)
        if event.test == fatal and told:
            # The sentence on the status says it; a dead kernel cannot be waved through.
            check, _ = _check(report, kernel, expectations, excused)
            yield Finding(check)
        else:
            yield _judge_report(report, kernel, expectations, excused, accel)


@dataclass(frozen=True)
class _Report:
    """The same report, once or several times, in the same place."""

    event: ConsoleEvent
    mark: str  # fingerprint
    where: str  # "in TEST"
    times: int

    @property
    def name(self) -> str:
        return f"console.{self.event.kind}.{self.mark}"

    def sentence(self) -> str:
        times = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.event.kind} {self.where}: {self.event.title}{times}"


def _grouped(
    events: tuple[ConsoleEvent, ...], kernel: KernelResult, where: str = ""
) -> list[_Report]:
    groups: dict[tuple[str, str, str], list[ConsoleEvent]] = {}
    for event in events:
        place = where or _where(event, kernel)
        groups.setdefault((event.kind, fingerprint(event), place), []).append(event)
    return [
        _Report(found[0], mark, place, len(found)) for (_, mark, place), found in groups.items()
    ]


def _where(event: ConsoleEvent, kernel: KernelResult) -> str:
    if event.test:
        return f"in {event.test}"
    if kernel.boot_seconds is not None and kernel.suite_seconds is not None:
        end = kernel.boot_seconds + kernel.suite_seconds
        return "after the last test" if event.seconds > end else "before the first test"
    return "before the first test"


def _fingerprints(kernel: KernelResult | None) -> frozenset[str]:
    """All reports of a baseline that ran, whatever it was doing."""
    if kernel is None or kernel.status in NOTHING_KNOWN:
        return frozenset()
    boots = (event for boot in kernel.boots for event in boot.console_events)
    return frozenset(fingerprint(event) for event in (*kernel.console_events, *boots))


def reported_names(kernel: KernelResult) -> tuple[str, ...]:
    """``console.KIND.FINGERPRINT`` of every report of every boot."""
    events = [event for boot in kernel.boots[:-1] for event in boot.console_events]
    events += kernel.console_events
    return tuple(f"console.{event.kind}.{fingerprint(event)}" for event in events)


def _check(
    report: _Report, kernel: KernelResult, expectations: Expectations, excused: frozenset[str]
) -> tuple[ExpectationCheck, str]:
    """The expectation of a report, and the words that excuse it, "" if it counts."""
    rule = expectations.of_report(report.event.kind, report.mark, kernel.release)
    excuse = ""
    if rule is None or rule.value != State.ABSENT:
        excuse = f"tolerated: {report.sentence()}{because(rule)}"
    elif report.mark in excused:
        excuse = f"{report.sentence()}; the baseline has the same"
    check = ExpectationCheck(
        id=report.name,
        expected=rule.value if rule else ANY,
        seen=report.event.title,
        met=bool(excuse),
        explanation=report.where + (f"; {rule.reason}" if rule and rule.reason else ""),
        explicit=bool(rule and rule.explicit),
    )
    return check, excuse


def _judge_report(
    report: _Report,
    kernel: KernelResult,
    expectations: Expectations,
    excused: frozenset[str],
    accel: str,
) -> Finding:
    check, excuse = _check(report, kernel, expectations, excused)
    if excuse:
        return Finding(check, note=excuse)
    if clock_ran_ahead(report.event, accel):
        note = f"{report.sentence()}: by a clock of QEMU's TCG that had jumped"
        return Finding(replace(check, met=True, explanation=note), note=note)
    return Finding(check, reason=f"{report.sentence()} ({report.name})")


def _earlier_boots(
    kernel: KernelResult, expectations: Expectations, excused: frozenset[str]
) -> Iterator[Finding]:
    """That a later boot worked makes good for nothing the kernel itself reported."""
    for number, boot in enumerate(kernel.boots[:-1], 1):
        name = f"boot {number} of {len(kernel.boots)}"
        events = boot.console_events
        fault = emulator_fault(boot)
        if fault is not None:
            events = events[: events.index(fault)]
            yield Finding(note=f"{name} ended by a known fault of QEMU's TCG: {fault.title}")
        elif boot.status is not Status.COMPLETED and deadly_report(boot) is None:
            yield Finding(note=f"{name} failed: {boot.status_reason or boot.status}")
        for report in _grouped(events, kernel, f"in {name}"):
            yield _judge_report(report, kernel, expectations, excused, boot.accel)


def deadly_report(boot: Boot) -> ConsoleEvent | None:
    """The first panic or oops of a boot."""
    return next((event for event in boot.console_events if event.kind in _DEADLY), None)


def emulator_fault(boot: Boot) -> ConsoleEvent | None:
    """The report of a fault that is QEMU's and not the kernel's.

    QEMU 7.2's TCG now and then lets a CPU run a stale ``int3`` of the kernel's live
    patching, at boot; on a busy host its timer may tick too late for the kernel's check of
    it. Under KVM, or of a guest that had reported, it is the kernel's own.
    """
    event = deadly_report(boot)
    if event is None or boot.accel != "tcg" or boot.identity is not None:
        return None
    lines = (event.title, *event.lines)
    return event if any(_OF_EMULATOR.search(line) for line in lines) else None


def clock_ran_ahead(event: ConsoleEvent, accel: str) -> bool:
    """Whether a report of time that was lost comes from a clock of QEMU's that jumped.

    Under load, QEMU 7.2's TCG now and then sets a guest's clock half a minute ahead at boot:
    seen was an RCU stall of 29 s at 33 s of guest time, 15 s after QEMU had been started. No
    guest is older than its QEMU, so such a report proves nothing of the kernel.
    """
    stamp = _STAMP.search(event.lines[0]) if event.lines else None
    if accel != "tcg" or event.kind not in _OF_TIME or stamp is None:
        return False
    return float(stamp.group(1)) > event.seconds + 1.0


def judge_watch(kernel: KernelResult) -> Iterator[Finding]:
    """Whether the silence of the console means anything."""
    watch = kernel.console_watch
    if watch is None or kernel.status is not Status.COMPLETED:
        return
    seen = f"{watch.seen} of {watch.written} lines"
    void = watch.seen < watch.written or not watch.written
    check = ExpectationCheck("console_watch", "all lines seen", seen, not void)
    if not void:
        yield Finding(check)
        return
    yield Finding(
        check,
        reason=(
            f"the console proves nothing: {seen} that were written into the kernel log came "
            "back on it; leave out quiet and loglevel="
        ),
        unknown=True,
    )


def judge_taint(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> Iterator[Finding]:
    """Every taint at the last count, whenever it came."""
    if kernel.status is not Status.COMPLETED:
        return
    before, after = kernel.taint_before, kernel.taint
    if before is None or after is None:
        yield Finding(
            ExpectationCheck("taint", "none gained", State.UNKNOWN, met=False),
            reason="taint is unknown: it was not read before and after the suite",
        )
        return
    for letter in taint_letters(before | after):
        if letter in taint_letters(before):
            sentence = f"the kernel was tainted before the first test: {letter} ({before})"
        else:
            sentence = f"the suite tainted the kernel: {letter} ({before} -> {after})"
        yield _judge_letter(letter, sentence, kernel, expectations, baseline)


def _judge_letter(
    letter: str,
    sentence: str,
    kernel: KernelResult,
    expectations: Expectations,
    baseline: KernelResult | None,
) -> Finding:
    rule = expectations.of_fact(f"taint.{letter}", kernel.release)
    note = ""
    if rule is None or rule.value != State.ABSENT:
        note = f"tolerated: {sentence}{because(rule)}"
    elif baseline is not None and letter in taint_letters(_taint(baseline)):
        note = f"{sentence}; the baseline has the same"
    check = ExpectationCheck(
        id=f"taint.{letter}",
        expected=rule.value if rule else ANY,
        seen=f"{kernel.taint_before} -> {kernel.taint}",
        met=bool(note),
        explicit=bool(rule and rule.explicit),
    )
    return Finding(check, note=note, reason="" if note else sentence)


def _taint(baseline: KernelResult) -> int:
    known = baseline.status not in NOTHING_KNOWN
    return (baseline.taint_before or 0) | (baseline.taint or 0) if known else 0


def taint_letters(taint: int) -> tuple[str, ...]:
    """Letters of the bits that are set in ``taint``."""
    return tuple(
        TAINT_LETTERS[bit] if bit < len(TAINT_LETTERS) else f"bit{bit}"
        for bit in range(taint.bit_length())
        if taint >> bit & 1
    )
