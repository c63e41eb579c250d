"""Two kernels' observations -> what changed between them, and what each change amounts to.

Only what was observed on both sides is compared. That a kernel crashed, hung or never
ran is said by its verdict, and its lost tests are not repeated here one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.judge import facts
from harness.judge.earlier import chance, known_of, no_fix
from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.facts import Weight, kind_of
from harness.judge.findings import first_line
from harness.judge.known_changes import Difference, describe_option, explain, lost_option
from harness.judge.selection import left_out
from harness.judge.splats import compare_reports
from harness.judge.states import only_code_contradicts, told_state, why_unknown
from harness.judge.transcripts import compare_transcripts
from harness.judge.verdict import missing_tests
from harness.model import (
    FAILURES,
    FATAL,
    Cause,
    Change,
    ChangeClass,
    Comparison,
    Fact,
    KernelResult,
    Outcome,
    State,
    Status,
    TestResult,
)

#: States of a program that uses AF_ALG.
_OF_PROGRAMS = frozenset({State.WORKS, State.FAILS})

_NOT_RECORDED = "not recorded"
_NOT_PLANNED = "not planned"
#: Outcomes, better ones first.
_BADNESS = (
    Outcome.MISSING,
    Outcome.PASSED,
    Outcome.SKIPPED,
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.TIMEOUT,
    Outcome.CRASHED,
).index


def compare(
    baseline: KernelResult, candidate: KernelResult, *, same_run: bool = True
) -> Comparison:
    """What changed from ``baseline`` to ``candidate``: facts, tests, answers to sequences.

    Without a guest on both sides there is nothing to compare and the result has no changes.
    Kernels of two runs (``same_run`` false) may have been put to different tests: what
    only one was put to is named and is no change.
    """
    changes: tuple[Change, ...] = ()
    apart = _Apart()
    if _was_observed(baseline) and _was_observed(candidate):
        apart = _Apart() if same_run else _selected_apart(baseline, candidate)
        seen = [*_compare_policy(baseline, candidate), *_compare_facts(baseline, candidate, apart)]
        told = _tests_behind(seen, baseline, candidate)
        tests = (
            change
            for change in _compare_tests(baseline, candidate, apart)
            # The fact's change says it already.
            if not (change.cls is ChangeClass.NEWLY_UNAVAILABLE and change.id in told)
        )
        reports = compare_reports(baseline, candidate)
        changes = (*seen, *tests, *reports, *compare_transcripts(baseline, candidate))
    return Comparison(
        baseline=baseline.release,
        candidate=candidate.release,
        changes=changes,
        baseline_spec=baseline.spec,
        candidate_spec=candidate.spec,
        baseline_append=baseline.append,
        candidate_append=candidate.append,
        only_baseline=tuple(test for test in _outcomes(baseline) if test in apart.baseline),
        only_candidate=tuple(test for test in _outcomes(candidate) if test in apart.candidate),
    )


def something_in_common(baseline: KernelResult, candidate: KernelResult) -> bool:
    """Whether two kernels were put to any test, or show any fact or answer, that both have.

    True, too, where nothing was seen of one of them: that is said otherwise.
    """
    if not (_was_observed(baseline) and _was_observed(candidate)):
        return True
    pairs = (
        (_outcomes(baseline), _outcomes(candidate)),
        (baseline.facts.named(), candidate.facts.named()),
        (baseline.transcripts, candidate.transcripts),
    )
    return any(before.keys() & after.keys() for before, after in pairs)


@dataclass(frozen=True)
class _Apart:
    """Tests that only one of two runs had selected."""

    baseline: frozenset[str] = frozenset()
    candidate: frozenset[str] = frozenset()


def _selected_apart(baseline: KernelResult, candidate: KernelResult) -> _Apart:
    before, after = _outcomes(baseline), _outcomes(candidate)
    return _Apart(
        left_out([test for test in before if test not in after], candidate, baseline),
        left_out([test for test in after if test not in before], baseline, candidate),
    )


def _was_observed(kernel: KernelResult) -> bool:
    """Whether a guest reported at all."""
    return kernel.status not in NOTHING_KNOWN and (kernel.identity is not None or bool(kernel.plan))


def _tests_behind(
    changes: list[Change], baseline: KernelResult, candidate: KernelResult
) -> set[str]:
    """Tests that recorded a fact whose change says what the test's own would say."""
    changed = {change.id for change in changes if kind_of(change.id).weight is not Weight.REPORTED}
    return {
        fact.test
        for kernel in (baseline, candidate)
        for name, fact in kernel.facts.named().items()
        if name in changed
    }


def _compare_policy(baseline: KernelResult, candidate: KernelResult) -> Iterator[Change]:
    """``af_alg_restrict`` as booted."""
    before, after = baseline.facts.af_alg_restrict, candidate.facts.af_alg_restrict
    if before == after:
        return
    known = explain(Difference("af_alg_restrict", baseline, candidate))
    if known:
        cls, explanation = ChangeClass.INTENDED, known
    elif after is None and _no_af_alg(candidate):
        cls, explanation = ChangeClass.NEWLY_UNAVAILABLE, "AF_ALG itself cannot be used"
    elif (after or 0) < (before or 0):
        cls, explanation = ChangeClass.REGRESSED, "the policy is more open than on the baseline"
    else:
        cls, explanation = ChangeClass.NEW, "the policy is stricter than on the baseline"
    yield Change("af_alg_restrict", cls, _level(before), _level(after), explanation)


def _level(restrict: int | None) -> str:
    return "none" if restrict is None else str(restrict)


def _no_af_alg(kernel: KernelResult) -> bool:
    # A program fails where a probe is unreachable.
    states = {fact.state for fact in kernel.facts.named().values()} - _OF_PROGRAMS
    return states == {State.UNREACHABLE}


def _compare_facts(
    baseline: KernelResult, candidate: KernelResult, apart: _Apart
) -> Iterator[Change]:
    before, after = baseline.facts.named(), candidate.facts.named()
    for name in before | after:
        # Its test ran on one of them only.
        if name not in before and after[name].test in apart.candidate:
            continue
        if name not in after and before[name].test in apart.baseline:
            continue
        change = _compare_fact(name, before.get(name), after.get(name), baseline, candidate)
        if change is not None:
            yield change


def _compare_fact(
    name: str,
    before: Fact | None,
    after: Fact | None,
    baseline: KernelResult,
    candidate: KernelResult,
) -> Change | None:
    was, now = told_state(name, before), told_state(name, after)
    if after is None and not _should_have_recorded(before, candidate):
        return None
    if before is None:
        seen = Change(name, ChangeClass.NEW, _NOT_RECORDED, now)
        return None if now is State.UNKNOWN else seen
    if was is State.UNKNOWN:
        return None
    difference = Difference(name, baseline, candidate)
    if was is now:
        return _compare_values(difference, before, after)
    known = explain(difference)
    if known:
        return Change(name, ChangeClass.INTENDED, was, now, known)
    if now is State.UNKNOWN:
        explanation = f"cannot be told any more: {why_unknown(after)}"
        seen_now = now if after is not None else _NOT_RECORDED
        cls = ChangeClass.NEW if _is_no_proof(name, after) else _worse(name)
        return Change(name, cls, was, seen_now, explanation)
    why = _config_explains(difference)
    if now is State.UNREACHABLE:
        if kind_of(name).weight is Weight.REPORTED:
            why = why or "only reported; a test that cannot run any more is a change of its own"
        elif after is not None and after.reason and after.reason.cause is Cause.NO_WITNESS:
            why = why or f"a second look at what the probes tell of each path: {after.evidence}"
        return Change(name, ChangeClass.NEWLY_UNAVAILABLE, was, now, why)
    if now is State.FAILS and why:
        return Change(name, ChangeClass.NEWLY_UNAVAILABLE, was, now, why)
    cls, explanation = _classify_states(name, was, now)
    if now is State.FAILS and after is not None:
        explanation = explanation or first_line(after.evidence)
    return Change(name, cls, was, now, explanation)


def _compare_values(difference: Difference, before: Fact, after: Fact | None) -> Change | None:
    """A change of what was found, where the state is the same."""
    # Results of earlier versions have no values.
    if after is None or not before.value or not after.value or before.value == after.value:
        return None
    known = explain(difference)
    return Change(
        difference.id,
        ChangeClass.INTENDED if known else _worse(difference.id),
        f"{before.state} ({before.value})",
        f"{after.state} ({after.value})",
        known or first_line(after.evidence),
    )


def _should_have_recorded(before: Fact | None, candidate: KernelResult) -> bool:
    """Whether a fact that only the baseline has is a loss of its own.

    Not if its test is not planned any more or the candidate died: both are said elsewhere.
    """
    if before is None:
        return False
    if candidate.status is not Status.COMPLETED:
        outcome = _outcomes(candidate).get(before.test, Outcome.MISSING)
        return outcome is not Outcome.MISSING and outcome not in FATAL
    return not before.test or before.test in candidate.plan


def _classify_states(name: str, was: State, now: State) -> tuple[ChangeClass, str]:
    """Class and explanation of a change between two states that are told."""
    kind = kind_of(name)
    if was is State.UNREACHABLE and (now is kind.right or kind.weight is not Weight.JUDGED):
        return ChangeClass.NEW, "" if now is State.FAILS else "can be used now"
    if kind.right is None:
        # Whether such a property is good or bad is for an expectation to say.
        return ChangeClass.NEW, "differs; no direction is known to be right"
    if now is kind.right:
        return ChangeClass.FIXED, facts.explain(name, now)
    return _worse(name), facts.explain(name, now)


def _is_no_proof(name: str, fact: Fact | None) -> bool:
    """Whether guest or host were at fault, or only the kernel's code says otherwise than what
    was seen: the verdict says what that is worth."""
    if fact is None:
        return False
    host = fact.reason is not None and fact.reason.cause is Cause.HOST
    return host or only_code_contradicts(name, fact)


def _worse(name: str) -> ChangeClass:
    """The class of a change for the worse."""
    reported = kind_of(name).weight is Weight.REPORTED
    return ChangeClass.NEW if reported else ChangeClass.REGRESSED


def _config_explains(difference: Difference) -> str:
    option = lost_option(difference)
    return describe_option(option, difference.candidate.config) if option else ""


def _compare_tests(
    baseline: KernelResult, candidate: KernelResult, apart: _Apart
) -> Iterator[Change]:
    before = _outcomes(baseline)
    after = _outcomes(candidate)
    flaky = {test.id for kernel in (baseline, candidate) for test in kernel.tests if test.is_flaky}
    for test in dict.fromkeys([*before, *after]):
        if test in apart.baseline or test in apart.candidate:
            continue
        if test not in before:
            yield Change(test, ChangeClass.NEW, _NOT_PLANNED, after[test])
        elif test not in after:
            # A candidate that died while it collected has no plan; its verdict says so.
            if candidate.plan or candidate.status is Status.COMPLETED:
                yield Change(test, ChangeClass.VANISHED, before[test], _NOT_PLANNED)
        else:
            change = _compare_test(test, before[test], after[test], baseline, candidate)
            if change is None and test in flaky:
                change = _flaky(test, baseline, candidate)
            if change is not None:
                yield change


def _flaky(test: str, baseline: KernelResult, candidate: KernelResult) -> Change:
    """A test that is alike on both, and yet came to other things in some boots of one."""
    was, now = (_record(_of_id(test, kernel)) for kernel in (baseline, candidate))
    return Change(test, ChangeClass.FLAKY, was, now, "did not come out alike in every boot")


def _of_id(test: str, kernel: KernelResult) -> TestResult | None:
    return next((result for result in kernel.tests if result.id == test), None)


def _record(result: TestResult | None) -> str:
    """What a test came to, boot by boot: "passed (failed, passed, passed)"."""
    if result is None:
        return _NOT_RECORDED
    if not result.is_flaky:
        return str(result.outcome)
    return f"{result.outcome} ({', '.join(attempt.outcome for attempt in result.attempts)})"


def _outcomes(kernel: KernelResult) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for test in kernel.tests:
        # Of two of one name the worse: nothing that failed is hidden by what did not.
        outcomes[test.id] = max(outcomes.get(test.id, test.outcome), test.outcome, key=_BADNESS)
    return outcomes | dict.fromkeys(missing_tests(kernel), Outcome.MISSING)


def _compare_test(
    test: str,
    was: Outcome,
    now: Outcome,
    baseline: KernelResult,
    candidate: KernelResult,
) -> Change | None:
    if was is now or was is Outcome.MISSING:
        return None  # nothing is known of the baseline, or nothing changed
    if now is Outcome.MISSING:
        if candidate.status is not Status.COMPLETED:
            return None
        return Change(test, ChangeClass.REGRESSED, was, now, "planned, never reported")
    message = _message(candidate, test)
    if now is Outcome.SKIPPED:
        difference = Difference(test, baseline, candidate)
        known = explain(difference)
        if known:
            return Change(test, ChangeClass.INTENDED, was, now, known)
        why = _config_explains(difference)
        if not why and was in FAILURES:
            why = f"nothing is lost, for it failed before: {_message(baseline, test)}"
        return Change(test, ChangeClass.NEWLY_UNAVAILABLE, was, now, why)
    if was is Outcome.SKIPPED:
        words = "can be used now" + (f", {message}" if message else "")
        return Change(test, ChangeClass.NEW, was, now, words)
    if now is Outcome.PASSED:
        why = no_fix(test, baseline)
        if why:
            return Change(test, ChangeClass.FLAKY, was, now, why)
        return Change(test, ChangeClass.FIXED, was, now, f"was: {_message(baseline, test)}")
    # From one failure to another is only news if it now takes the kernel or the test along.
    if was is Outcome.PASSED or (now in FATAL and was not in FATAL):
        result = _of_id(test, candidate)
        why = chance(result, baseline) if result is not None else ""
        if why:
            return Change(test, ChangeClass.FLAKY, was, _record(result), why)
        often = f"{_record(result)}: " if result is not None and result.is_flaky else ""
        known = known_of(test, candidate, baseline)
        return Change(test, ChangeClass.REGRESSED, was, now, often + message + known)
    if was in FATAL and now not in FATAL:
        words = f"it still fails, but ends: {message}"
        return Change(test, ChangeClass.FIXED, was, now, words)
    return None


def _message(kernel: KernelResult, test: str) -> str:
    return next((first_line(seen.message) for seen in kernel.tests if seen.id == test), "")
