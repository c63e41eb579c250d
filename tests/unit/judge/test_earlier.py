"""Earlier runs explain what comes and goes, and hide nothing that is new."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.model import (
    Attempt,
    ChangeClass,
    EarlierRecord,
    KernelResult,
    Outcome,
    RunResult,
    TestResult,
)
from tests.unit import samples

_TEST = samples.SHA256_TEST
_PASSED, _FAILED, _CRASHED = Outcome.PASSED, Outcome.FAILED, Outcome.CRASHED


def _baseline(record: EarlierRecord | None, result: TestResult | None = None) -> KernelResult:
    kernel = replace(samples.old(), facts=samples.kernel("").facts)
    kernel = samples.with_test(kernel, result) if result else kernel
    return replace(kernel, earlier={_TEST: record} if record else {})


def _failed(*attempts: Outcome) -> TestResult:
    told = tuple(Attempt(number, one) for number, one in enumerate(attempts, 1))
    return replace(samples.failed(_TEST, "wrong"), attempts=told)


def _run(baseline: KernelResult, *attempts: Outcome) -> RunResult:
    candidate = samples.kernel("6.12.44+deb12-amd64")
    return samples.run(baseline, samples.with_test(candidate, _failed(*attempts)))


def _change(run: RunResult) -> tuple[ChangeClass, str]:
    (comparison,) = run.comparisons
    (change,) = [change for change in comparison.changes if change.id == _TEST]
    return change.cls, change.explanation


def test_what_comes_and_goes_on_the_baseline_as_well() -> None:
    run = _run(_baseline(EarlierRecord(40, 28)), _FAILED, _PASSED, _FAILED)
    cls, why = _change(run)
    assert cls is ChangeClass.FLAKY
    assert "flaky on the baseline 6.12.43+deb12-amd64 as well" in why
    assert "failed it in 12 of 40 earlier boots" in why
    verdict = run.kernels[1].verdict
    assert verdict.ok and run.exit_code == 0
    assert any(note.startswith(f"flaky: {_TEST} failed in 2 of 3 boots") for note in verdict.notes)


@pytest.mark.parametrize(
    ("record", "attempts"),
    [
        (EarlierRecord(40, 28), (_FAILED, _FAILED, _FAILED)),  # it came back every time
        (EarlierRecord(40, 28), ()),  # it was not run again
        (EarlierRecord(40, 28), (_FAILED, _CRASHED, _PASSED)),  # not only that
        (EarlierRecord(40, 39), (_FAILED, _PASSED, _FAILED)),  # far more often than there
        (EarlierRecord(40, 40), (_FAILED, _PASSED)),  # never seen there
        (EarlierRecord(9, 5), (_FAILED, _PASSED)),  # too few
        (None, (_FAILED, _PASSED)),
    ],
)
def test_no_regression_is_hidden(
    record: EarlierRecord | None, attempts: tuple[Outcome, ...]
) -> None:
    run = _run(_baseline(record), *attempts)
    assert _change(run)[0] is ChangeClass.REGRESSED
    assert not run.kernels[1].verdict.ok
    assert run.exit_code == 1


def test_that_the_candidate_is_flaky_excuses_nothing() -> None:
    candidate = samples.with_test(
        samples.kernel("6.12.44+deb12-amd64"), _failed(_FAILED, _PASSED, _FAILED)
    )
    candidate = replace(candidate, earlier={_TEST: EarlierRecord(40, 28)})
    run = samples.run(_baseline(None), candidate)
    assert run.exit_code == 1
    (reason,) = run.kernels[1].verdict.reasons
    assert reason.endswith("; flaky before, on this kernel: failed it in 12 of 40 earlier boots")


def test_a_record_is_named_with_a_failure_that_stands() -> None:
    (reason,) = _run(_baseline(EarlierRecord(40, 40)), _FAILED).kernels[1].verdict.reasons
    steady = "steady before, on the baseline: passed in all of 40 earlier boots"
    assert reason.endswith(f"; {steady}")
    (reason,) = _run(_baseline(EarlierRecord(40, 39)), _FAILED).kernels[1].verdict.reasons
    assert reason.endswith("; flaky before, on the baseline: failed it in 1 of 40 earlier boots")


def test_no_fix_of_what_comes_and_goes() -> None:
    candidate = samples.kernel("6.12.44+deb12-amd64")
    bad = samples.failed(_TEST, "wrong")
    assert _change(samples.run(_baseline(None, bad), candidate))[0] is ChangeClass.FIXED
    record = EarlierRecord(40, 28)
    assert _change(samples.run(_baseline(record, bad), candidate))[0] is ChangeClass.FLAKY
