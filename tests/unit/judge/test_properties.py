"""What holds of every judgement, whatever the results are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.emulator import emulator_fault
from harness.errors import ExitCode
from harness.judge.compare import compare, something_in_common
from harness.judge.exit_code import NOTHING_KNOWN, exit_code, losses
from harness.judge.expectations import Expectations
from harness.judge.fingerprint import fingerprint
from harness.judge.splats import taint_letters
from harness.judge.states import told_state
from harness.judge.verdict import judge, judge_run
from harness.model import (
    FAILURES,
    ChangeClass,
    ConsoleEvent,
    KernelResult,
    Outcome,
    Role,
    State,
    Status,
    Verdict,
)
from tests.unit.judge.strategies import event_lists, expectations, kernels

# Results are large: they are drawn slowly, and what a machine needs for one varies.
_some = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

BASELINES = st.none() | kernels(Role.BASELINE)


@_some
@given(kernels(), BASELINES)
def test_ok_rests_on_evidence(kernel: KernelResult, baseline: KernelResult | None) -> None:
    found = judge(kernel, Expectations(), baseline)
    assert found.ok is not bool(found.reasons)
    assert not (found.ok and found.unknown)
    if not found.ok:
        return
    assert kernel.status is Status.COMPLETED
    assert kernel.identity is not None
    reported = {test.id: test.outcome for test in kernel.tests}
    assert kernel.plan
    assert len(set(kernel.plan)) == len(kernel.plan)
    assert all(reported.get(test, Outcome.MISSING) is not Outcome.MISSING for test in kernel.plan)
    assert not FAILURES & {test.outcome for test in kernel.tests}
    states = {told_state(name, fact) for name, fact in kernel.facts.named().items()}
    passed = any(reported[test] is Outcome.PASSED for test in kernel.plan)
    # A kernel without AF_ALG has been looked at: each probe found it out of reach.
    assert passed or states == {State.UNREACHABLE}
    assert not kernel.records_lost
    assert not kernel.collection_errors
    watch = kernel.console_watch
    assert watch is None or watch.seen >= watch.written > 0


@_some
@given(kernels(), BASELINES)
def test_ok_leaves_no_report_and_no_taint_unexplained(
    kernel: KernelResult, baseline: KernelResult | None
) -> None:
    if not judge(kernel, Expectations(), baseline).ok:
        return
    heard = [] if baseline is None or baseline.status in NOTHING_KNOWN else [baseline]
    marks = {
        fingerprint(event)
        for one in heard
        for events in (one.console_events, *(boot.console_events for boot in one.boots))
        for event in events
    }
    assert {fingerprint(event) for event in kernel.console_events} <= marks
    for boot in kernel.boots[:-1]:
        reports = {fingerprint(event) for event in boot.console_events}
        assert reports <= marks or emulator_fault(boot) is not None
    excused = {
        letter
        for one in heard
        for letter in taint_letters((one.taint_before or 0) | (one.taint or 0))
    }
    assert kernel.taint is not None
    assert set(taint_letters(kernel.taint)) <= excused


@_some
@given(kernels(), event_lists, st.integers(1, 1 << 20))
def test_a_report_or_a_taint_makes_no_kernel_better(
    kernel: KernelResult, more: tuple[ConsoleEvent, ...], taint: int
) -> None:
    before = judge(kernel, Expectations())
    tainted = (kernel.taint or 0) | taint
    for worse in (
        replace(kernel, console_events=(*kernel.console_events, *more)),
        replace(kernel, taint=None if kernel.taint is None else tainted),
    ):
        assert before.ok or not judge(worse, Expectations()).ok


@_some
@given(kernels(Role.BASELINE), kernels(Role.CANDIDATE))
def test_swapping_the_sides_swaps_better_and_worse(one: KernelResult, other: KernelResult) -> None:
    def classes(baseline: KernelResult, candidate: KernelResult) -> dict[str, ChangeClass]:
        shared = {test.id for test in baseline.tests} & {test.id for test in candidate.tests}
        known = {
            test.id: test.outcome
            for kernel in (baseline, candidate)
            for test in kernel.tests
            if test.outcome is Outcome.MISSING
        }
        return {
            change.id: change.cls
            for change in compare(baseline, candidate).changes
            if change.id in shared and change.id not in known and "::" in change.id
        }

    swapped = {ChangeClass.REGRESSED: ChangeClass.FIXED, ChangeClass.FIXED: ChangeClass.REGRESSED}
    forth, back = classes(one, other), classes(other, one)
    for there, again in ((forth, back), (back, forth)):
        for test, cls in there.items():
            if cls in swapped:
                assert again.get(test) is swapped[cls], test


@_some
@given(kernels(), st.booleans())
def test_a_kernel_compared_with_itself(kernel: KernelResult, same_run: bool) -> None:
    found = compare(replace(kernel, role=Role.BASELINE), kernel, same_run=same_run)
    assert found.changes == ()
    assert (found.only_baseline, found.only_candidate) == ((), ())


@_some
@given(st.lists(kernels(), max_size=3), expectations, st.booleans())
def test_no_input_raises(
    several: Sequence[KernelResult], rules: Expectations, same_run: bool
) -> None:
    judged = judge_run(several, rules)
    assert [replace(one, verdict=Verdict(False)) for one in judged] == [
        replace(one, verdict=Verdict(False)) for one in several
    ]
    baseline = next((one for one in judged if one.role is Role.BASELINE), None)
    comparisons = [
        compare(baseline, one, same_run=same_run)
        for one in judged
        if baseline and one is not baseline
    ]
    for one in judged:
        assert something_in_common(one, one) in {True, False}
    code = exit_code(judged, comparisons)
    candidates = [one for one in judged if one.role is Role.CANDIDATE]
    for comparison in comparisons:
        assert set(losses(comparison, judged)) <= set(comparison.changes)
    if code is ExitCode.OK:
        assert candidates
        assert all(one.verdict.ok for one in candidates)
        assert not any(losses(comparison, judged) for comparison in comparisons)
    # Judging again, with verdicts in place, comes to the same.
    assert judge_run(judged, rules) == judged


def test_the_results_made_are_good_and_bad() -> None:
    """What the properties rest on: of nothing but bad results they would hold, too."""
    seen: Counter[bool] = Counter()

    @_some
    @given(kernels())
    def collect(kernel: KernelResult) -> None:
        seen[judge(kernel, Expectations()).ok] += 1

    collect()
    assert min(seen[True], seen[False]) > 4
