"""Observations of one kernel -> its verdict."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.judge.defects import defects
from harness.judge.earlier import chance, known_of
from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.expectations import ANY, Expectation, Expectations
from harness.judge.findings import Finding, because, first_line, listed
from harness.judge.settle import settled
from harness.judge.splats import (
    boots_of,
    crash_title,
    judge_reports,
    judge_taint,
    judge_watch,
    own_deaths,
    reported_names,
)
from harness.judge.states import only_code_contradicts, told_state, why_unknown
from harness.judge.transcripts import SUITE as DIFFERENTIAL
from harness.judge.transcripts import compare_transcripts
from harness.judge.witnesses import evidence
from harness.model import (
    FAILURES,
    FATAL,
    Boot,
    Cause,
    Change,
    CodeWord,
    ExpectationCheck,
    Fact,
    KernelResult,
    Outcome,
    Purpose,
    Reused,
    Role,
    State,
    Status,
    TestResult,
    Verdict,
    Waited,
    Witness,
)

_SINGLE = 8  # failed tests that get a sentence of their own


def judge_run(
    kernels: Sequence[KernelResult], expectations: Expectations
) -> tuple[KernelResult, ...]:
    """The kernels of a run with their verdicts, each held against the run's baseline.

    May be called again when more is known: verdicts that the kernels had do not count.
    """
    return tuple(
        replace(kernel, verdict=judge_among(kernel, kernels, expectations)) for kernel in kernels
    )


def judge_among(
    kernel: KernelResult,
    kernels: Sequence[KernelResult],
    expectations: Expectations,
    control: str = "",
) -> Verdict:
    """What follows for ``kernel``, one of the ``kernels`` of a run.

    ``control`` names a kernel beside them that booted on this host, if one was tried.
    """
    baseline = next((other for other in kernels if other.role is Role.BASELINE), None)
    other_boots = bool(control) or any(
        other is not kernel and other.identity is not None for other in kernels
    )
    against = baseline if kernel is not baseline else None
    return judge(kernel, expectations, against, other_boots=other_boots)


def judge(
    kernel: KernelResult,
    expectations: Expectations,
    baseline: KernelResult | None = None,
    *,
    other_boots: bool = False,
) -> Verdict:
    """What follows from the observations of ``kernel``, given what is expected of it.

    Works on any result, whatever its status; raises nothing. ``ok`` needs evidence: a run
    in which nothing was planned, in which every test was skipped, or in which a planned
    test did not report is not ok. Reports and taints count unless
    ``baseline`` has the same; ``other_boots`` says whether another kernel booted in the
    same run.

    ``unknown`` is set if nothing speaks against the kernel and something could not be
    observed through no fault of its own: the console was silenced, the guest was killed
    from outside or never reported, a test that a judged fact depends on lacked something
    in the guest (``Cause.HOST``), ended well and recorded no state, or saw a path copied that
    the kernel's code still has. Another test that lacked something is a note.
    """
    kernel = settled(kernel)
    if kernel.status in NOTHING_KNOWN:
        findings = [_never_ran(kernel, other_boots=other_boots)]
    else:
        findings = [
            *_note_reused(kernel),
            *_judge_status(kernel),
            *_judge_plan(kernel),
            *judge_reports(kernel, expectations, baseline),
            *judge_watch(kernel),
            *_judge_arguments(kernel),
            *_judge_tests(kernel, expectations, baseline),
            *_judge_facts(kernel, expectations),
            *_judge_defects(kernel),
            *judge_taint(kernel, expectations, baseline),
            *_judge_explicit(kernel, expectations, baseline),
        ]
    bad = [finding for finding in findings if finding.reason]
    return Verdict(
        ok=not bad,
        reasons=tuple(dict.fromkeys(finding.reason for finding in bad)),
        notes=tuple(dict.fromkeys(finding.note for finding in findings if finding.note)),
        checks=tuple(finding.check for finding in findings if finding.check is not None),
        unknown=bool(bad) and all(finding.unknown for finding in bad),
        grounds=tuple(dict.fromkeys(finding.ground for finding in bad)),
    )


def missing_tests(kernel: KernelResult) -> tuple[str, ...]:
    """Planned tests of which no outcome is known, in the plan's order."""
    reported = {test.id for test in kernel.tests if test.outcome is not Outcome.MISSING}
    planned = dict.fromkeys(kernel.plan)
    unplanned = (test.id for test in kernel.tests if test.outcome is Outcome.MISSING)
    return tuple(test for test in (planned | dict.fromkeys(unplanned)) if test not in reported)


def _status_check(kernel: KernelResult) -> ExpectationCheck:
    return ExpectationCheck(
        id="status",
        expected=Status.COMPLETED,
        seen=kernel.status,
        met=kernel.status is Status.COMPLETED,
        explanation=kernel.status_reason,
    )


def _never_ran(kernel: KernelResult, *, other_boots: bool) -> Finding:
    """Of a kernel that no guest reported from.

    That it died in each of several boots is its own doing if another kernel booted on
    this very machine, and the deaths are none of the emulator's.
    """
    deaths = own_deaths(kernel.boots)
    if kernel.status is Status.BOOT_FAILED and other_boots and len(deaths) > 1:
        return Finding(
            _status_check(kernel),
            reason=f"does not boot: died in each of {len(deaths)} boots, where another kernel"
            f" boots: {deaths[-1].title}",
        )
    words = kernel.status.replace("_", " ")
    return Finding(
        _status_check(kernel),
        reason=f"{words}, nothing is known of this kernel: {kernel.status_reason}",
        unknown=True,
    )


def _judge_status(kernel: KernelResult) -> Iterator[Finding]:
    check = _status_check(kernel)
    finished = sum(test.outcome is not Outcome.MISSING for test in kernel.tests)
    of = f"{finished} of {len(kernel.plan)} tests had finished"
    if kernel.status in {Status.CRASHED, Status.HUNG}:
        for number, (fatal, sentence) in enumerate(_deaths(kernel)):
            ids = (check.id, fatal) if fatal else (check.id,)
            yield Finding(None if number else check, reason=sentence, ids=ids)
    elif kernel.status is Status.INTERRUPTED:
        yield Finding(check, reason=f"interrupted, {of}: {kernel.status_reason}", unknown=True)
    elif kernel.identity is None:
        yield Finding(check, reason="no guest said who it is, so nothing is known of this kernel")
    else:
        yield Finding(check)


def _deaths(kernel: KernelResult) -> Iterator[tuple[str, str]]:
    """Each test, or "", in which the kernel died or fell silent, with a sentence."""
    boots = boots_of(kernel)
    told: set[str] = set()
    for boot in boots:
        fatal = boot.fatal_test
        if not boot.died or fatal in told:
            continue
        told.add(fatal)
        why = boot.status_reason
        if boot.status is Status.CRASHED:
            why = crash_title(replace(kernel, fatal_test=fatal, status=boot.status))
        where = f" in {fatal}" if fatal and fatal not in why else ""
        yield fatal, f"{boot.status}{where}: {why}{_again(fatal, boots)}"


def _again(fatal: str, boots: Sequence[Boot]) -> str:
    """What became of the test in which a kernel died when it ran alone."""
    alone = [
        boot
        for boot in boots
        if boot.purpose is Purpose.ALONE and boot.asked == (fatal,) and not boot.stopped
    ]
    if not fatal or not alone:
        return ""
    if any(boot.died or boot.outcomes.get(fatal) in FATAL for boot in alone):
        return "; again when run alone"
    times = "once" if len(alone) == 1 else f"{len(alone)} times"
    return f"; flaky: not when run alone {times}"


def _note_reused(kernel: KernelResult) -> Iterator[Finding]:
    if kernel.reused is not None:
        yield Finding(note=f"not booted in this run: {reused_in_words(kernel.reused)}")


def reused_in_words(reused: Reused) -> str:
    """``result of run 0123456789abcdef of 2026-11-26T12:00:00+00:00, of the same kernel, ...``."""
    return (
        f"result of run {reused.run} of {reused.started}, of the same kernel, suite, guest image"
        " and settings (--reuse)"
    )


def _judge_plan(kernel: KernelResult) -> Iterator[Finding]:
    """Everything planned must have run, and something must have."""
    # What a guest that was stopped did not report speaks against nobody.
    stopped = kernel.status is Status.INTERRUPTED
    for error in kernel.collection_errors:
        yield Finding(reason=f"tests could not be collected: {first_line(error)}", ids=("plan",))
    if kernel.records_lost:
        # A lost record may have held the one fact that matters.
        lost = f"{kernel.records_lost} records of the guest were lost"
        yield Finding(reason=lost, unknown=stopped, ids=("plan",))
    missing = missing_tests(kernel)
    if missing:
        plural = "test" if len(missing) == 1 else "tests"
        boots = f" after {len(kernel.boots)} boots" if len(kernel.boots) > 1 else ""
        sentence = f"{len(missing)} planned {plural} missing{boots}: {listed(missing)}"
        yield Finding(reason=sentence, unknown=stopped, ids=missing)
    yield from _judge_names(kernel)
    if kernel.status is not Status.COMPLETED:
        return
    if not kernel.plan:
        yield Finding(reason="no tests were planned, so nothing was tested", ids=("plan",))
    else:
        planned = [test for test in kernel.tests if test.id in set(kernel.plan)]
        if planned and all(test.outcome is Outcome.SKIPPED for test in planned):
            yield _all_skipped(kernel, planned)
    seen = f"{len(kernel.plan)} planned, {len(missing)} missing"
    problem = bool(missing or kernel.collection_errors or not kernel.plan)
    if kernel.collection_errors:
        seen += f", {len(kernel.collection_errors)} modules not collected"
    yield Finding(ExpectationCheck("plan", "everything planned ran", seen, not problem))


def _judge_names(kernel: KernelResult) -> Iterator[Finding]:
    """Each test must be told from the others, and have been planned."""
    twice = [test for test, count in Counter(kernel.plan).items() if count > 1]
    if twice:
        # Two suites of one name: which of the two an outcome is of is not known.
        reason = f"planned more than once: {listed(twice)}"
        yield Finding(reason=reason, unknown=True, ids=tuple(twice))
    strangers = {test.id for test in kernel.tests}.difference(kernel.plan)
    if strangers and kernel.plan:
        yield Finding(note=f"reported, but not planned: {listed(sorted(strangers))}")


def _all_skipped(kernel: KernelResult, tests: Sequence[TestResult]) -> Finding:
    """Every test was skipped: no evidence, unless the probes saw that AF_ALG is not there."""
    common, _ = Counter(test.message for test in tests).most_common(1)[0]
    facts = kernel.facts.named()
    states = {told_state(name, fact) for name, fact in facts.items()}
    if states == {State.UNREACHABLE}:
        return Finding(
            note=f"every test was skipped and every probe says unreachable: {first_line(common)}"
        )
    count = len(tests)
    return Finding(
        check=ExpectationCheck("plan.skipped", "some tests run", f"all {count} skipped", met=False),
        reason=f"every test was skipped ({count}), so nothing was tested: {first_line(common)}",
        unknown=all(map(_lacks_something, tests)),
    )


def _lacks_something(test: TestResult) -> bool:
    """Whether a test was skipped for what the guest or the harness lacks."""
    reason = test.reason
    skipped = test.outcome is Outcome.SKIPPED
    return skipped and reason is not None and reason.cause is Cause.HOST


def _judge_arguments(kernel: KernelResult) -> Iterator[Finding]:
    for argument in kernel.ignored_arguments:
        yield Finding(note=f"the kernel called {argument} unknown: it had no effect")


def _judge_tests(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> Iterator[Finding]:
    failed: list[TestResult] = []
    silent: list[str] = []
    lacking: list[TestResult] = []
    for test in kernel.tests:
        if test.outcome is Outcome.MISSING:
            continue  # counted with the plan
        rule = expectations.of_test(test.id, kernel.release)
        if rule is not None:
            yield _expected_test(test, rule)
        elif why := chance(test, baseline):
            yield Finding(note=f"flaky: {test.id} {_outcome_words(test)}; {why}")
        elif test.outcome in FAILURES:
            # Of what is charged to it the sentence on the report tells.
            failed += [] if test.charged else [test]
        elif _lacks_something(test):
            lacking.append(test)
        elif test.outcome is Outcome.SKIPPED and not test.message.strip():
            silent.append(test.id)
    if kernel.status in {Status.CRASHED, Status.HUNG}:
        # The sentences on the status name the tests in which the kernel died.
        died_in = {boot.fatal_test for boot in boots_of(kernel) if boot.died}
        failed = [test for test in failed if test.id not in died_in]
    yield from _note_flaky(kernel)
    yield from _note_not_waited_for(kernel)
    for test in failed[:_SINGLE]:
        known = known_of(test.id, kernel, baseline)
        yield Finding(reason=f"{test.id} {_outcome_words(test)}{known}", ids=(test.id,))
    if len(failed) > _SINGLE:
        rest = [test.id for test in failed[_SINGLE:]]
        yield Finding(reason=f"{len(rest)} more tests failed: {listed(rest)}", ids=tuple(rest))
    if silent:
        reason = f"{len(silent)} skipped without a reason: {listed(silent)}"
        yield Finding(reason=reason, ids=tuple(silent))
    if lacking:
        names = listed([test.id for test in lacking])
        yield Finding(
            note=f"{len(lacking)} could not run, which says nothing of the kernel: {names}"
            f" ({first_line(lacking[0].message)})"
        )


def _outcome_words(test: TestResult) -> str:
    words = {Outcome.ERROR: "ended in an error", Outcome.TIMEOUT: "timed out"}
    message = first_line(test.message)
    often = f" in {_times(test)}" if test.is_flaky else ""
    return words.get(test.outcome, str(test.outcome)) + often + (f": {message}" if message else "")


def _times(test: TestResult) -> str:
    """In how many of the boots that ran it a test came to its outcome."""
    same = sum(attempt.outcome is test.outcome for attempt in test.attempts)
    return f"{same} of {len(test.attempts)} boots"


def _note_flaky(kernel: KernelResult) -> Iterator[Finding]:
    """Tests that came to other things in other boots, and count as what they mostly did."""
    for test in kernel.tests:
        if test.is_flaky and test.outcome not in FAILURES:
            other = next(one for one in test.attempts if one.outcome is not test.outcome)
            said = f" ({first_line(other.message)})" if other.message else ""
            yield Finding(
                note=f"flaky: {test.id} {test.outcome} in {_times(test)},"
                f" and {other.outcome} in boot {other.boot}{said}"
            )


def _note_not_waited_for(kernel: KernelResult) -> Iterator[Finding]:
    """Tests of which less is known than of others that timed out."""
    names = [test.id for test in kernel.tests if test.waited is Waited.NOT_WAITED_FOR]
    if names:
        noun = "test was" if len(names) == 1 else "tests were"
        yield Finding(
            note=f"{len(names)} {noun} not waited for: begun, and ended as soon as the guest was"
            f" as idle as in several tests before that hung in the same place: {listed(names)}"
        )


def _expected_test(test: TestResult, rule: Expectation) -> Finding:
    """A test of which an outcome was explicitly expected.

    That it passes although a failure is known is good news, told as a note.
    """
    as_expected = rule.value in {ANY, test.outcome}
    passed = test.outcome is Outcome.PASSED
    check = ExpectationCheck(
        test.id, rule.value, test.outcome, as_expected or passed, rule.reason, rule.explicit
    )
    why = because(rule)
    if as_expected:
        note = "" if passed else f"known: {test.id} {test.outcome}{why}"
        return Finding(check, note=note)
    if passed:
        return Finding(check, note=f"{test.id} passed, expected {rule.value}{why}")
    return Finding(check, reason=f"{test.id} {_outcome_words(test)}; expected {rule.value}{why}")


def _judge_facts(kernel: KernelResult, expectations: Expectations) -> Iterator[Finding]:
    lacking = {test.id for test in kernel.tests if _lacks_something(test)}
    unreachable: list[str] = []
    facts = kernel.facts.named()
    for name, fact in facts.items():
        rule = expectations.of_fact(name, kernel.release)
        if rule is None:
            continue
        finding = _judge_fact(name, fact, rule, lacking)
        if finding.check and finding.check.met and told_state(name, fact) is State.UNREACHABLE:
            unreachable.append(name)
        yield finding
    if unreachable:
        evidence = facts[unreachable[0]].evidence
        yield Finding(
            note=f"unreachable here, not proven absent: {listed(unreachable)}"
            + (f" ({first_line(evidence)})" if evidence else "")
        )
    unwitnessed = [name for name, fact in facts.items() if fact.witness is Witness.SILENT]
    if unwitnessed:
        yield Finding(
            note="the witness inside the kernel could not be asked, so these rest on the probe"
            f" outside alone: {listed(unwitnessed)}"
        )
    yield from _note_silent_code(facts)
    yield from _judge_stateless(kernel, lacking)


def _note_silent_code(facts: Mapping[str, Fact]) -> Iterator[Finding]:
    """Paths that the kernel's code says nothing of, together where the reason is the same."""
    silent: dict[str, list[str]] = {}
    for name, fact in facts.items():
        if fact.code is not None and fact.code.word is CodeWord.SILENT:
            silent.setdefault(fact.code.reason, []).append(name)
    for reason, names in silent.items():
        yield Finding(
            note=f"the kernel's code says nothing of {listed(names)}, which rest on what was"
            f" observed alone ({first_line(reason)})"
        )


def _judge_fact(name: str, fact: Fact, rule: Expectation, lacking: set[str]) -> Finding:
    state = told_state(name, fact)
    # What cannot be reached cannot be abused; the note says that it was not proven absent.
    harmless = rule.value == State.ABSENT and state is State.UNREACHABLE
    met = rule.value in {ANY, state} or harmless
    explanation = rule.reason or evidence(name, fact)
    check = ExpectationCheck(name, rule.value, state, met, explanation, rule.explicit)
    if met:
        return Finding(check)
    why = f" ({why_unknown(fact)})" if state is State.UNKNOWN else because(rule)
    # Nothing else makes a state unknown without speaking against the kernel.
    no_proof = only_code_contradicts(name, fact)
    host = fact.test in lacking or (fact.reason is not None and fact.reason.cause is Cause.HOST)
    return Finding(
        check,
        reason=f"{name} is {state}, expected {rule.value}{why}",
        unknown=state is State.UNKNOWN and (host or no_proof),
    )


def _judge_stateless(kernel: KernelResult, lacking: set[str]) -> Iterator[Finding]:
    """Zero-copy tests of what is not judged that were skipped and recorded no fact at all."""
    facts = kernel.facts.named().values()
    tellers = {test for fact in facts for test in (fact.test, *fact.others)}
    stateless = [
        test.id
        for test in kernel.tests
        if test.id.startswith("zero_copy/")
        and test.outcome is Outcome.SKIPPED
        and test.id not in tellers
    ]
    if not stateless:
        return
    yield Finding(note=f"skipped without telling a state: {listed(stateless)}")
    host = [test for test in stateless if test in lacking]
    if host:
        reason = f"no state was told by {listed(host)}"
        yield Finding(reason=reason, unknown=True, ids=tuple(host))
    if not kernel.facts.zero_copy:
        yield Finding(
            ExpectationCheck("zero_copy", "some path probed", "none", met=False),
            reason="zero-copy tests were planned, but none told the state of a path",
            unknown=host == stateless,
        )


def _judge_defects(kernel: KernelResult) -> Iterator[Finding]:
    unprovoked = defects(kernel).unprovoked
    if unprovoked:
        yield Finding(note=f"not provoked, so no evidence: {listed(unprovoked, len(unprovoked))}")


def _judge_explicit(
    kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
) -> Iterator[Finding]:
    """Expectations of differences to the baseline, and those that nothing answered to."""
    differences: list[Change] = []
    compared = baseline is not None and baseline.status not in NOTHING_KNOWN
    # Comparing takes seconds, so only where somebody asks.
    if compared and baseline is not None and any(map(_may_be_difference, expectations.rules)):
        differences = list(compare_transcripts(baseline, kernel))
    for change in differences:
        rule = expectations.of_change(change.id, kernel.release)
        if rule is not None:
            seen = f"{change.baseline} -> {change.candidate}"
            yield Finding(
                ExpectationCheck(change.id, rule.value, seen, True, rule.reason, rule.explicit),
                note=f"tolerated: {change.id}: {seen}{because(rule)}",
            )
    yield from _unused_expectations(
        kernel, expectations, [change.id for change in differences], compared=compared
    )


def _may_be_difference(rule: Expectation) -> bool:
    """Whether a rule may be about a difference, and not a test, of the differential suite."""
    wild = rule.pattern.startswith(("*", "?"))
    return rule.explicit and (wild or rule.pattern.startswith(f"{DIFFERENTIAL}/"))


def _unused_expectations(
    kernel: KernelResult, expectations: Expectations, differences: Sequence[str], *, compared: bool
) -> Iterator[Finding]:
    """Expectations that a person gave and that nothing here answered to.

    One on the command line is about this very run, so a misspelt name must not go
    unnoticed; a file serves many runs, of which each may select other suites.
    """
    names = [
        *kernel.facts.named(),
        *kernel.plan,
        *(test.id for test in kernel.tests),
        *differences,
        *reported_names(kernel),
    ]
    idle: list[str] = []
    for rule in expectations.rules:
        if not rule.explicit or _forbids_or_tolerates(rule):
            continue
        if rule.kernels is not None and kernel.release not in rule.kernels:
            continue
        if any(rule.matches(name, kernel.release) for name in names):
            continue
        # Without a baseline there are no differences to speak of.
        void = rule.pattern.startswith(f"{DIFFERENTIAL}/") and not compared
        if rule.source == "--expect" and not void:
            check = ExpectationCheck(
                rule.pattern, rule.value, State.UNKNOWN, met=False, explicit=True
            )
            yield Finding(
                check, reason=f"{rule.pattern}: expected {rule.value}, but nothing recorded it"
            )
        else:
            idle.append(rule.pattern)
    if idle:
        yield Finding(note=f"expectations that matched nothing in this run: {listed(idle)}")


def _forbids_or_tolerates(rule: Expectation) -> bool:
    """Whether a rule is about a sort of report or taint, of which there may well be none."""
    one_report = re.match(r"console\.[^.]+\.[0-9a-f]{8}$", rule.pattern)
    return rule.pattern.startswith(("console.", "taint.")) and one_report is None
