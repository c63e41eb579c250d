"""Observations of one kernel -> its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.expectations import ANY, Expectation, Expectations
from harness.judge.states import told_state, why_unknown
from harness.model import (
    ConsoleEvent,
    ExpectationCheck,
    Fact,
    KernelResult,
    Outcome,
    State,
    Status,
    TestResult,
    Verdict,
)

#: Letters of /proc/sys/kernel/tainted by bit (Documentation/admin-guide/tainted-kernels.rst).
TAINT_LETTERS = "PFSRMBUDAWCIOELKXTNJ"

_NAMED = 3  # names that a sentence lists before it says how many more there are
_SINGLE = 8  # failed tests that get a sentence of their own

_FAILURES = (Outcome.FAILED, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT)


@dataclass(frozen=True)
class _Finding:
    """One thing that the verdict rests on: a reason if it is bad, else perhaps a note."""

    check: ExpectationCheck | None = None
    reason: str = ""
    note: str = ""


def judge(kernel: KernelResult, expectations: Expectations) -> Verdict:
    """What follows from the observations of ``kernel``, given what is expected of it.

    Works on any result, whatever its status; raises nothing. ``ok`` needs evidence: a run
    in which nothing was planned, in which every test was skipped, or in which a planned
    test did not report is not ok.
    """
    if kernel.status in NOTHING_KNOWN:
        words = kernel.status.replace("_", " ")
        return Verdict(
            False,
            (f"{words}, nothing is known of this kernel: {kernel.status_reason}",),
            checks=(_status_check(kernel),),
        )
    findings = [
        *_judge_status(kernel),
        *_judge_plan(kernel),
        *_judge_console(kernel, expectations),
        *_judge_tests(kernel, expectations),
        *_judge_facts(kernel, expectations),
        *_judge_taint(kernel, expectations),
        *_unused_expectations(kernel, expectations),
    ]
    reasons = tuple(dict.fromkeys(finding.reason for finding in findings if finding.reason))
    return Verdict(
        ok=not reasons,
        reasons=reasons,
        notes=tuple(dict.fromkeys(finding.note for finding in findings if finding.note)),
        checks=tuple(finding.check for finding in findings if finding.check is not None),
    )


def missing_tests(kernel: KernelResult) -> tuple[str, ...]:
    """Planned tests of which no outcome is known, in the plan's order."""
    reported = {test.id for test in kernel.tests if test.outcome is not Outcome.MISSING}
    planned = dict.fromkeys(kernel.plan)
    unplanned = (test.id for test in kernel.tests if test.outcome is Outcome.MISSING)
    return tuple(test for test in (planned | dict.fromkeys(unplanned)) if test not in reported)


def listed(names: tuple[str, ...] | list[str], limit: int = _NAMED) -> str:
    """``a, b, c and 4 more``."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def first_line(text: str) -> str:
    """The first line of a message that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def crash_title(kernel: KernelResult) -> str:
    """What the kernel said when it died: its first report in the fatal test, or the status."""
    fatal = _fatal_test(kernel)
    events = [event for event in kernel.console_events if event.test == fatal]
    return events[0].title if events else kernel.status_reason


def _fatal_test(kernel: KernelResult) -> str:
    fatal = (Outcome.CRASHED, Outcome.TIMEOUT)
    running = [test.id for test in kernel.tests if test.outcome in fatal]
    if running:
        return running[-1]
    return kernel.console_events[-1].test if kernel.console_events else ""


def _status_check(kernel: KernelResult) -> ExpectationCheck:
    return ExpectationCheck(
        id="status",
        expected=Status.COMPLETED,
        seen=kernel.status,
        met=kernel.status is Status.COMPLETED,
        explanation=kernel.status_reason,
    )


def _judge_status(kernel: KernelResult) -> Iterator[_Finding]:
    check = _status_check(kernel)
    finished = sum(test.outcome is not Outcome.MISSING for test in kernel.tests)
    of = f"{finished} of {len(kernel.plan)} tests had finished"
    fatal = _fatal_test(kernel)
    if kernel.status in {Status.CRASHED, Status.HUNG}:
        why = crash_title(kernel) if kernel.status is Status.CRASHED else kernel.status_reason
        where = f" in {fatal}" if fatal and fatal not in why else ""
        yield _Finding(check, reason=f"{kernel.status}{where}: {why}")
    elif kernel.status is Status.INTERRUPTED:
        yield _Finding(check, reason=f"interrupted, {of}: {kernel.status_reason}")
    else:
        yield _Finding(check)


def _judge_plan(kernel: KernelResult) -> Iterator[_Finding]:
    """Everything planned must have run, and something must have."""
    for error in kernel.collection_errors:
        yield _Finding(reason=f"tests could not be collected: {first_line(error)}")
    if kernel.records_lost:
        # A lost record may have held the one fact that matters.
        yield _Finding(reason=f"{kernel.records_lost} records of the guest were lost")
    missing = missing_tests(kernel)
    if missing:
        plural = "test" if len(missing) == 1 else "tests"
        yield _Finding(reason=f"{len(missing)} planned {plural} missing: {listed(missing)}")
    if kernel.status is not Status.COMPLETED:
        return
    if not kernel.plan:
        yield _Finding(reason="no tests were planned, so nothing was tested")
    elif kernel.tests and all(test.outcome is Outcome.SKIPPED for test in kernel.tests):
        yield _all_skipped(kernel)
    seen = f"{len(kernel.plan)} planned, {len(missing)} missing"
    problem = bool(missing or kernel.collection_errors or not kernel.plan)
    if kernel.collection_errors:
        seen += f", {len(kernel.collection_errors)} modules not collected"
    yield _Finding(ExpectationCheck("plan", "everything planned ran", seen, not problem))


def _all_skipped(kernel: KernelResult) -> _Finding:
    """Every test was skipped: no evidence, unless the probes saw that AF_ALG is not there."""
    common, _ = Counter(test.message for test in kernel.tests).most_common(1)[0]
    facts = kernel.facts.named()
    states = {told_state(name, fact) for name, fact in facts.items()}
    if states == {State.UNREACHABLE}:
        return _Finding(
            note=f"every test was skipped and every probe says unreachable: {first_line(common)}"
        )
    count = len(kernel.tests)
    return _Finding(
        check=ExpectationCheck("plan.skipped", "some tests run", f"all {count} skipped", met=False),
        reason=f"every test was skipped ({count}), so nothing was tested: {first_line(common)}",
    )


def _judge_console(kernel: KernelResult, expectations: Expectations) -> Iterator[_Finding]:
    """Reports while tests ran. Those from before are of the boot, not of the suite."""
    groups: dict[tuple[str, str, str], list[ConsoleEvent]] = {}
    for event in kernel.console_events:
        groups.setdefault((event.kind, event.title, event.test), []).append(event)
    fatal = _fatal_test(kernel) if kernel.status is Status.CRASHED else None
    for (kind, title, test), events in groups.items():
        times = f" ({len(events)} times)" if len(events) > 1 else ""
        if not test:
            yield _Finding(note=f"console before the first test: {kind}: {title}{times}")
            continue
        rule = expectations.of_fact(f"console.{kind}", kernel.release)
        # A dead kernel cannot be waved through.
        tolerated = rule is None or rule.value != State.ABSENT
        check = ExpectationCheck(
            id=f"console.{kind}",
            expected=rule.value if rule else ANY,
            seen=title,
            met=tolerated,
            explanation=f"in {test}" + (f"; {rule.reason}" if rule and rule.reason else ""),
            explicit=bool(rule and rule.explicit),
        )
        if tolerated:
            yield _Finding(check, note=f"tolerated: {kind} in {test}: {title}{_because(rule)}")
        elif test == fatal and (kind == "panic" or title == crash_title(kernel)):
            yield _Finding(check)  # the sentence on the status says it
        else:
            yield _Finding(check, reason=f"{kind} in {test}: {title}{times}")


def _because(rule: Expectation | None) -> str:
    return f" ({rule.reason})" if rule is not None and rule.reason else ""


def _judge_tests(kernel: KernelResult, expectations: Expectations) -> Iterator[_Finding]:
    failed: list[TestResult] = []
    silent: list[str] = []
    for test in kernel.tests:
        if test.outcome is Outcome.MISSING:
            continue  # counted with the plan
        rule = expectations.of_test(test.id, kernel.release)
        if rule is not None:
            yield _expected_test(test, rule)
        elif test.outcome in _FAILURES:
            failed.append(test)
        elif test.outcome is Outcome.SKIPPED and not test.message.strip():
            silent.append(test.id)
    if kernel.status in {Status.CRASHED, Status.HUNG}:
        # The sentence on the status names the test in which the kernel died.
        failed = [test for test in failed if test.id != _fatal_test(kernel)]
    for test in failed[:_SINGLE]:
        yield _Finding(reason=f"{test.id} {_outcome_words(test)}")
    if len(failed) > _SINGLE:
        rest = [test.id for test in failed[_SINGLE:]]
        yield _Finding(reason=f"{len(rest)} more tests failed: {listed(rest)}")
    if silent:
        yield _Finding(reason=f"{len(silent)} skipped without a reason: {listed(silent)}")


def _outcome_words(test: TestResult) -> str:
    words = {Outcome.ERROR: "ended in an error", Outcome.TIMEOUT: "timed out"}
    message = first_line(test.message)
    return words.get(test.outcome, str(test.outcome)) + (f": {message}" if message else "")


def _expected_test(test: TestResult, rule: Expectation) -> _Finding:
    """A test of which an outcome was explicitly expected.

    That it passes although a failure is known is good news, told as a note.
    """
    as_expected = rule.value in {ANY, test.outcome}
    passed = test.outcome is Outcome.PASSED
    check = ExpectationCheck(
        test.id, rule.value, test.outcome, as_expected or passed, rule.reason, rule.explicit
    )
    because = _because(rule)
    if as_expected:
        note = "" if passed else f"known: {test.id} {test.outcome}{because}"
        return _Finding(check, note=note)
    if passed:
        return _Finding(check, note=f"{test.id} passed, expected {rule.value}{because}")
    return _Finding(
        check, reason=f"{test.id} {_outcome_words(test)}; expected {rule.value}{because}"
    )


def _judge_facts(kernel: KernelResult, expectations: Expectations) -> Iterator[_Finding]:
    unreachable: list[str] = []
    for name, fact in kernel.facts.named().items():
        rule = expectations.of_fact(name, kernel.release)
        if rule is None:
            continue
        finding = _judge_fact(name, fact, rule)
        if finding.check and finding.check.met and told_state(name, fact) is State.UNREACHABLE:
            unreachable.append(name)
        yield finding
    if unreachable:
        evidence = kernel.facts.named()[unreachable[0]].evidence
        yield _Finding(
            note=f"unreachable here, not proven absent: {listed(unreachable)}"
            + (f" ({first_line(evidence)})" if evidence else "")
        )
    stateless = _skipped_probes(kernel)
    if stateless:
        yield _Finding(note=f"skipped without telling a state: {listed(stateless)}")
        if not kernel.facts.zero_copy:
            yield _Finding(
                ExpectationCheck("zero_copy", "some path probed", "none", met=False),
                reason="zero-copy tests were planned, but none told the state of a path",
            )


def _judge_fact(name: str, fact: Fact, rule: Expectation) -> _Finding:
    state = told_state(name, fact)
    # What cannot be reached cannot be abused; the note says that it was not proven absent.
    harmless = rule.value == State.ABSENT and state is State.UNREACHABLE
    met = rule.value in {ANY, state} or harmless
    explanation = rule.reason or fact.evidence
    check = ExpectationCheck(name, rule.value, state, met, explanation, rule.explicit)
    if met:
        return _Finding(check)
    why = f" ({why_unknown(fact)})" if state is State.UNKNOWN else _because(rule)
    return _Finding(check, reason=f"{name} is {state}, expected {rule.value}{why}")


def _skipped_probes(kernel: KernelResult) -> list[str]:
    """Zero-copy tests that were skipped and recorded no fact at all."""
    tellers = {fact.test for fact in kernel.facts.named().values()}
    return [
        test.id
        for test in kernel.tests
        if test.id.startswith("zero_copy/")
        and test.outcome is Outcome.SKIPPED
        and test.id not in tellers
    ]


def _judge_taint(kernel: KernelResult, expectations: Expectations) -> Iterator[_Finding]:
    if kernel.status is not Status.COMPLETED:
        return
    if kernel.taint is None or kernel.taint_before is None:
        yield _Finding(
            ExpectationCheck("taint", "none gained", State.UNKNOWN, met=False),
            reason="taint is unknown: it was not read before and after the suite",
        )
        return
    for letter in gained_taint(kernel.taint_before, kernel.taint):
        rule = expectations.of_fact(f"taint.{letter}", kernel.release)
        tolerated = rule is None or rule.value != State.ABSENT
        seen = f"{kernel.taint_before} -> {kernel.taint}"
        explicit = bool(rule and rule.explicit)
        check = ExpectationCheck(
            f"taint.{letter}", rule.value if rule else ANY, seen, tolerated, explicit=explicit
        )
        sentence = f"the suite tainted the kernel: {letter} ({seen})"
        if tolerated:
            yield _Finding(check, note=f"tolerated: {sentence}{_because(rule)}")
        else:
            yield _Finding(check, reason=sentence)


def gained_taint(before: int, after: int) -> tuple[str, ...]:
    """Letters of the taint bits set in ``after`` and not in ``before``."""
    gained = after & ~before
    return tuple(
        TAINT_LETTERS[bit] if bit < len(TAINT_LETTERS) else f"bit{bit}"
        for bit in range(gained.bit_length())
        if gained >> bit & 1
    )


def _unused_expectations(kernel: KernelResult, expectations: Expectations) -> Iterator[_Finding]:
    """Expectations that a person gave and that nothing here answered to.

    One on the command line is about this very run, so a misspelt name must not go
    unnoticed; a file serves many runs, of which each may select other suites.
    """
    names = [*kernel.facts.named(), *kernel.plan, *(test.id for test in kernel.tests)]
    idle: list[str] = []
    for rule in expectations.rules:
        if not rule.explicit or rule.pattern.startswith(("console.", "taint.")):
            continue
        if rule.kernels is not None and kernel.release not in rule.kernels:
            continue
        if any(rule.matches(name, kernel.release) for name in names):
            continue
        if rule.source == "--expect":
            check = ExpectationCheck(
                rule.pattern, rule.value, State.UNKNOWN, met=False, explicit=True
            )
            yield _Finding(
                check, reason=f"{rule.pattern}: expected {rule.value}, but nothing recorded it"
            )
        else:
            idle.append(rule.pattern)
    if idle:
        yield _Finding(note=f"expectations that matched nothing in this run: {listed(idle)}")
