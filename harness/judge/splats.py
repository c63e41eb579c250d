"""What a kernel said of its own faults, from power-on to power-off: reports and taint.

A report or a taint that the baseline has as well is no news of the candidate: it comes with
the machine that QEMU plays, or was there before. Any other one counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.emulator import emulator_fault
from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.expectations import ANY, Expectations
from harness.judge.findings import Finding, because
from harness.judge.fingerprint import fingerprint
from harness.model import (
    Boot,
    Change,
    ChangeClass,
    ConsoleEvent,
    ExpectationCheck,
    KernelResult,
    Outcome,
    State,
    Status,
    TestResult,
)

#: Letters of /proc/sys/kernel/tainted by bit (Documentation/admin-guide/tainted-kernels.rst).
TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ"

#: Reports that time passed in which nothing happened: they are only as good as the clock.
_OF_TIME = frozenset({"rcu_stall", "soft_lockup", "hung_task"})
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
        deadly = [boot.deadly_report for boot in boots_of(kernel) if boot.died]
        events = [event for event in deadly if event is not None and not event.test]
    return events[0].title if events else kernel.status_reason


def boots_of(kernel: KernelResult) -> tuple[Boot, ...]:
    """Its boots, the last one heard with all that the kernel's own fields say beside them.

    Results of earlier versions have no boots, and what others made may contradict itself:
    nothing that either says is lost but what a kernel said as the emulator failed it.
    """
    known = {event for boot in kernel.boots for event in boot.console_events}
    more = tuple(event for event in kernel.console_events if event not in known)
    boots = list(kernel.boots) or [_only_boot(kernel)]
    heard = [number for number, boot in enumerate(boots) if boot.identity is not None]
    ran = kernel.status not in NOTHING_KNOWN
    # Of several the last one that was heard: a guest that died before is no other for it.
    number = heard[-1] if heard else len(boots) - 1
    last = boots[number]
    died = kernel.status in {Status.CRASHED, Status.HUNG}
    if died and not any(boot.died for boot in kernel.boots):
        last = replace(
            last,
            status=kernel.status,
            status_reason=kernel.status_reason,
            fatal_test=fatal_test(kernel),
        )
    boots[number] = replace(
        last,
        identity=last.identity or (kernel.identity if ran else None),
        console_events=(*last.console_events, *more),
    )
    pairs = zip(boots, _emulator_faults(boots), strict=True)
    return tuple(boot if fault is None else _until(boot, fault) for boot, fault in pairs)


def _emulator_faults(boots: Sequence[Boot]) -> Iterator[ConsoleEvent | None]:
    """Of each boot, the emulator's fault that ended it, if one did.

    What comes in one test more than once is no accident, and the kernel's own.
    """
    faults = [emulator_fault(boot) for boot in boots]
    times = Counter(fault.test for fault in faults if fault is not None and fault.test)
    for fault in faults:
        yield None if fault is None or times[fault.test] > 1 else fault


def _until(boot: Boot, fault: ConsoleEvent) -> Boot:
    """A boot with what was reported in it before the emulator's fault."""
    events = boot.console_events
    return replace(boot, console_events=events[: events.index(fault)])


def _only_boot(kernel: KernelResult) -> Boot:
    """What a result that has no boots says of its one."""
    return Boot(
        kernel.status,
        kernel.status_reason,
        boot_seconds=kernel.boot_seconds,
        suite_seconds=kernel.suite_seconds,
        console_watch=kernel.console_watch,
    )


def judge_reports(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> Iterator[Finding]:
    """Every report of every boot; what several have in the same place is told once."""
    excused = _fingerprints(baseline)
    boots = boots_of(kernel)
    yield from _failed_boots(kernel, expectations, excused)
    died_in = {boot.fatal_test for boot in boots if boot.died}
    titles = {test: _first_title(test, boots) for test in died_in}
    reports: dict[tuple[str, str, str, bool], _Report] = {}
    for boot in boots:
        if not _was_heard(boot, kernel):
            continue
        for report in _grouped(boot, len(boots)):
            known = reports.get(report.key)
            reports[report.key] = report.more(known.times) if known else report
    for report in reports.values():
        event = report.event
        if event.test in died_in and (event.kind == "panic" or event.title == titles[event.test]):
            # The sentence on the status says it; a dead kernel cannot be waved through.
            check, _ = _check(report, kernel, expectations, excused)
            yield Finding(check)
        else:
            yield _judge_report(report, kernel, expectations, excused)


def _was_heard(boot: Boot, kernel: KernelResult) -> bool:
    """Whether a guest reported in it, or nobody says that none did."""
    return boot.identity is not None or not kernel.boots


def _first_title(test: str, boots: Iterable[Boot]) -> str:
    """The first report in the test in which a kernel died; outside any, the deadly one."""
    died = [boot for boot in boots if boot.died and boot.fatal_test == test]
    for boot in died:
        deadly = boot.deadly_report
        if not test:
            return deadly.title if deadly is not None else ""
        for event in boot.console_events:
            if event.test == test:
                return event.title
    return ""


def charge(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> KernelResult:
    """``kernel`` with those tests failed that passed while it reported or was tainted by
    something that counts against it.

    May be done again when other things are expected: what was charged before is taken back.
    """
    words = dict(_accusations(kernel, expectations, baseline))
    return replace(kernel, tests=tuple(_charged(test, words) for test in kernel.tests))


def _accusations(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """The tests to be charged, each with words and lines of the console; the last one counts."""
    for test in kernel.tests:
        for letter in taint_letters(test.taint):
            words = f"it tainted the kernel: {letter}"
            if _judge_letter(letter, words, kernel, expectations, baseline).reason:
                yield test.id, (words, ())
    excused = _fingerprints(baseline)
    boots = boots_of(kernel)
    for boot in boots:
        for report in reversed(_grouped(boot, len(boots))):
            event = report.event
            if event.test and not report.jumped:
                _, excuse = _check(report, kernel, expectations, excused)
                if not excuse:
                    words = f"the kernel reported {event.kind}: {event.title} ({report.name})"
                    yield event.test, (words, event.lines)


def _charged(test: TestResult, words: Mapping[str, tuple[str, tuple[str, ...]]]) -> TestResult:
    if test.charged:
        test = replace(test, outcome=Outcome.PASSED, message="", details="", charged="")
    if test.id not in words or test.outcome is not Outcome.PASSED:
        return test
    said, lines = words[test.id]
    return replace(
        test, outcome=Outcome.FAILED, message=said, details="\n".join(lines), charged=said
    )


def compare_reports(baseline: KernelResult, candidate: KernelResult) -> Iterator[Change]:
    """Reports, by kind and fingerprint, that only one of two kernels made."""
    before, after = _by_name(baseline), _by_name(candidate)
    for name in before | after:
        was, now = (_counted(reports.get(name, [])) for reports in (before, after))
        if name not in before:
            yield Change(name, ChangeClass.REGRESSED, was, now, after[name][0].title)
        elif name not in after and candidate.status is Status.COMPLETED:
            yield Change(name, ChangeClass.FIXED, was, now, before[name][0].title)


def _by_name(kernel: KernelResult) -> dict[str, list[ConsoleEvent]]:
    """Reports of the boots of which something was heard, but those of a death."""
    found: dict[str, list[ConsoleEvent]] = {}
    for boot in boots_of(kernel):
        for event in boot.console_events if _was_heard(boot, kernel) else ():
            deadly = boot.died and (event.kind == "panic" or event.test == boot.fatal_test)
            if not deadly and not clock_ran_ahead(event, boot.accel):
                found.setdefault(f"console.{event.kind}.{fingerprint(event)}", []).append(event)
    return found


def _counted(events: Sequence[ConsoleEvent]) -> str:
    return f"seen {len(events)} times" if len(events) > 1 else "seen" if events else "not seen"


@dataclass(frozen=True)
class _Report:
    """The same report, once or several times, in the same place."""

    event: ConsoleEvent
    mark: str  # fingerprint
    where: str  # "in TEST"
    times: int
    jumped: bool  # it is of time that was lost, by a clock of QEMU's that ran ahead

    @property
    def key(self) -> tuple[str, str, str, bool]:
        """By which the same report in the same place is known."""
        return self.event.kind, self.mark, self.where, self.jumped

    def more(self, times: int) -> _Report:
        """The report, seen that much more often."""
        return replace(self, times=self.times + times)

    @property
    def name(self) -> str:
        return f"console.{self.event.kind}.{self.mark}"

    def sentence(self) -> str:
        times = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.event.kind} {self.where}: {self.event.title}{times}"


def _grouped(boot: Boot, of: int) -> list[_Report]:
    """The reports of a boot, one of so many."""
    reports: dict[tuple[str, str, str, bool], _Report] = {}
    for event in boot.console_events:
        place, jumped = _where(event, boot, of), clock_ran_ahead(event, boot.accel)
        report = _Report(event, fingerprint(event), place, 1, jumped)
        known = reports.get(report.key)
        reports[report.key] = known.more(1) if known else report
    return list(reports.values())


def _where(event: ConsoleEvent, boot: Boot, of: int) -> str:
    if event.test:
        return f"in {event.test}"
    if boot.identity is None and of > 1:
        return f"in boot {boot.number} of {of}"
    if boot.boot_seconds is not None and boot.suite_seconds is not None:
        end = boot.boot_seconds + boot.suite_seconds
        return "after the last test" if event.seconds > end else "before the first test"
    return "before the first test"


def _fingerprints(kernel: KernelResult | None) -> frozenset[str]:
    """All reports of a baseline that ran, whatever it was doing."""
    if kernel is None or kernel.status in NOTHING_KNOWN:
        return frozenset()
    events = (event for boot in boots_of(kernel) for event in boot.console_events)
    return frozenset(map(fingerprint, events))


def reported_names(kernel: KernelResult) -> tuple[str, ...]:
    """``console.KIND.FINGERPRINT`` of every report of every boot."""
    events = [event for boot in boots_of(kernel) for event in boot.console_events]
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
) -> Finding:
    check, excuse = _check(report, kernel, expectations, excused)
    if excuse:
        return Finding(check, note=excuse)
    if report.jumped:
        note = f"{report.sentence()}: by a clock of QEMU's TCG that had jumped"
        return Finding(replace(check, met=True, explanation=note), note=note)
    return Finding(check, reason=f"{report.sentence()} ({report.name})")


def _failed_boots(
    kernel: KernelResult, expectations: Expectations, excused: frozenset[str]
) -> Iterator[Finding]:
    """That another boot worked makes good for nothing the kernel itself reported."""
    of = len(kernel.boots)
    faults = _emulator_faults(kernel.boots)
    for boot, fault in zip(boots_of(kernel) if of else (), faults, strict=True):
        name = f"boot {boot.number} of {of}"
        if fault is not None:
            yield Finding(note=f"{name} ended by a known fault of QEMU's TCG: {fault.title}")
        if boot.identity is not None or boot.stopped:
            continue
        if fault is None and boot.deadly_report is None:
            yield Finding(note=f"{name} failed: {boot.status_reason or boot.status}")
        for report in _grouped(boot, of):
            yield _judge_report(report, kernel, expectations, excused)


def own_deaths(boots: Iterable[Boot]) -> tuple[ConsoleEvent, ...]:
    """What a kernel said as it died in boots of which nothing else was heard; () if in one of
    them it said nothing, which may be anyone's fault.

    A boot that was ended from outside, or by a known fault of the emulator, has no say.
    """
    mine = [boot for boot in boots if not boot.killed and emulator_fault(boot) is None]
    deaths = [boot.deadly_report for boot in mine]
    return tuple(death for death in deaths if death is not None) if all(deaths) else ()


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
    if watch is None or kernel.status is Status.INTERRUPTED:
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
    before, after = kernel.taint_before, kernel.taint
    if kernel.status is not Status.COMPLETED and not any(
        boot.status is Status.COMPLETED for boot in kernel.boots
    ):
        return
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
