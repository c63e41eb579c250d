"""Root causes: what is alike is told once, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.causes import (
    Origin,
    RootCause,
    change_causes,
    skip_causes,
    verdict_causes,
)
from harness.judge.expectations import load_expectations
from harness.judge.known_changes import KNOWN_CHANGES, change_behind
from harness.model import (
    Cause,
    ChangeClass,
    Control,
    Defect,
    Fact,
    KernelResult,
    Outcome,
    Reason,
    Role,
    State,
    TestResult,
    Verdict,
)
from tests.unit import samples


def causes_of(kernel: KernelResult) -> tuple[RootCause, ...]:
    (judged,) = samples.run(kernel).kernels
    return verdict_causes(judged)


def sentences(causes: tuple[RootCause, ...]) -> list[str]:
    return [cause.sentence for cause in causes]


def present(release: str = "6.12.95") -> KernelResult:
    return replace(samples.kernel(release), facts=samples.facts(State.PRESENT, State.PRESENT, None))


def test_a_good_kernel_has_none() -> None:
    assert causes_of(samples.new()) == ()


def test_all_paths_are_one_cause() -> None:
    write, paths = causes_of(present())
    assert paths.sentence == f"zero-copy present on {len(samples.PATHS)} of 12 paths"
    assert paths.ids == tuple(f"zero_copy.{path}" for path in samples.PATHS)
    assert len(paths.lines) == len(paths.ids)
    assert (paths.origin, paths.gates, paths.unknown) == (Origin.ZERO_COPY, True, False)
    assert write.sentence == "the page cache can be written through a request (CVE-2026-31431)"


def test_a_baseline_gates_nothing_unless_it_did_not_run_whole() -> None:
    baseline = replace(present(), role=Role.BASELINE)
    assert [cause.gates for cause in causes_of(baseline)] == [False, False]
    (lost,) = causes_of(replace(samples.unavailable(), role=Role.BASELINE))
    assert lost.gates and lost.unknown and lost.origin is Origin.NOT_RUN


def test_unknown_paths_are_apart_from_present_ones() -> None:
    void = samples.path_fact(samples.PATHS[0], State.UNKNOWN, Control.FAILED)
    kernel = samples.with_path(present(), samples.PATHS[0], void)
    told = [cause for cause in causes_of(kernel) if cause.origin is Origin.ZERO_COPY]
    assert sorted(cause.count for cause in told) == [1, len(samples.PATHS) - 1]
    assert any("unknown on 1 of 12 paths: the control failed" in one.sentence for one in told)


def test_a_path_that_only_the_witness_saw() -> None:
    kernel = samples.with_path(
        samples.new(), "aead.suite", Fact(State.PRESENT, Control.FIRED, test="a::b")
    )
    assert sentences(causes_of(kernel)) == [
        "zero-copy present in what the tests spliced in (zero_copy.aead.suite)"
    ]


def test_tests_of_one_defect_are_one_cause() -> None:
    defect = Defect("CVE-2026-52972", "e4c06479d705", True)
    kernel = samples.new()
    for test in samples.FUNCTIONAL[:2]:
        bad = replace(samples.failed(test, f"CVE-2026-52972: {test}"), defect=defect)
        kernel = samples.with_test(kernel, bad)
    (cause,) = causes_of(kernel)
    assert cause.sentence == "CVE-2026-52972: 2 tests failed (fixed by e4c06479d705)"
    assert cause.ids == samples.FUNCTIONAL[:2]
    assert cause.origin is Origin.DEFECT


@pytest.mark.parametrize("number", [1, 4, 12])
def test_tests_with_one_message_are_one_cause(number: int) -> None:
    kernel = samples.new()
    tests = samples.PLAN[:number]
    for test in tests:
        kernel = samples.with_test(kernel, samples.failed(test, "AssertionError: no memory"))
    (cause,) = causes_of(kernel)
    assert cause.ids == tests
    expected = (
        f"{number} tests failed: no memory" if number > 1 else f"{tests[0]} failed: no memory"
    )
    assert cause.sentence == expected


def test_a_report_takes_its_taint_and_test_along() -> None:
    reports = [cause for cause in causes_of(samples.regressed()) if cause.origin is Origin.REPORT]
    (report,) = reports
    assert report.sentence.startswith("warning in functional/test_hash.py")
    assert report.sentence.endswith("tainted by it")
    assert report.ids[1:] == ("taint.W",)


def test_death_comes_first() -> None:
    death, missing, *_ = causes_of(samples.crashed())
    assert death.origin is Origin.DEATH
    assert samples.path_test(samples.PATHS[0]) in death.ids
    assert missing.origin is Origin.NOT_RUN
    assert missing.count == 12


def test_nothing_ran() -> None:
    (cause,) = causes_of(samples.unavailable())
    assert cause.unknown and cause.origin is Origin.NOT_RUN
    assert "not in the archive any more" in cause.sentence


def test_unmet_expectation_is_told_by_name() -> None:
    rules = load_expectations(None, [f"{samples.SHA256_TEST}=failed", "page_cache_write=present"])
    (kernel,) = samples.run(
        samples.with_test(
            samples.new(), replace(samples.results()[0], outcome=Outcome.ERROR, message="x")
        ),
        expectations=rules,
    ).kernels
    told = verdict_causes(kernel)
    assert {cause.origin for cause in told} == {Origin.EXPECTATION}
    assert {cause.ids[0] for cause in told} == {samples.SHA256_TEST, "page_cache_write"}


def test_every_reason_of_a_stored_verdict_is_told() -> None:
    """Runs of earlier versions have no grounds."""
    kernel = replace(samples.new(), verdict=Verdict(False, ("one", "two")))
    assert sentences(verdict_causes(kernel)) == ["one", "two"]


@pytest.mark.parametrize(
    "make",
    [present, samples.crashed, samples.hung, samples.unavailable, samples.boot_failed,
     samples.all_skipped, samples.regressed, samples.old],
)  # fmt: skip
def test_what_is_not_ok_has_a_cause(make: object) -> None:
    assert callable(make)
    (kernel,) = samples.run(make()).kernels
    grounds = {name for ground in kernel.verdict.grounds for name in ground.ids}
    told = verdict_causes(kernel)
    assert told
    assert {name for cause in told for name in cause.ids} == grounds
    assert all(cause.unknown for cause in told) == kernel.verdict.unknown


def test_skips_by_cause() -> None:
    kernel = samples.kernel("6.12")
    sysctl = Reason(Cause.NO_SYSCTL, name="af_alg_restrict")
    for test in samples.PLAN[:3]:
        kernel = samples.with_test(kernel, samples.skipped(test, "no such sysctl", sysctl))
    kernel = samples.with_test(kernel, samples.not_bound(samples.PLAN[3], "hash", "sm3"))
    kernel = samples.with_test(kernel, samples.not_bound(samples.PLAN[4], "skcipher", "salsa20"))
    kernel = samples.with_test(kernel, samples.skipped(samples.PLAN[5], "raining"))
    assert sentences(skip_causes(kernel)) == [
        "3 tests skipped: the sysctl af_alg_restrict is not there",
        "2 tests skipped: no such algorithm: sm3, salsa20",
        "1 test skipped: raining",
    ]


def test_changes_by_cause() -> None:
    run = samples.main_job()
    found = change_causes(run.comparisons[0], run.kernels)
    changes = [change.id for change in run.comparisons[0].changes]
    assert sorted(name for cause in found for name in cause.ids) == sorted(changes)
    fixed = next(cause for cause in found if cause.origin is Origin.ZERO_COPY)
    assert fixed.sentence == "zero-copy present -> absent on 12 paths"
    assert fixed.cls is ChangeClass.FIXED
    assert not any(cause.gates for cause in found)


def test_what_the_run_fails_for_comes_first() -> None:
    lost = samples.with_test(samples.new(), samples.failed(samples.SHA256_TEST, "wrong digest"))
    run = samples.run(samples.old(), lost)
    first, *others = change_causes(run.comparisons[0], run.kernels)
    assert first.gates and first.ids == (samples.SHA256_TEST,)
    assert not any(cause.gates for cause in others)


def test_known_change_is_found_by_its_explanation() -> None:
    for known in KNOWN_CHANGES:
        assert change_behind(known.explanation("seen")) is known
    assert change_behind("") is None
    assert change_behind("can be used now") is None


def test_of_many_that_failed_each_is_told_by_its_own_words() -> None:
    """The verdict names the first few alone, and counts the others."""
    plan = tuple(f"functional/test_x.py::test_{number:02}" for number in range(30))
    tests = tuple(
        TestResult(name, Outcome.FAILED, message=f"saw {name[-2:]}" if name > plan[20] else "same")
        for name in plan
    )
    told = sentences(causes_of(replace(samples.kernel("7.3"), plan=plan, tests=tests)))
    assert "21 tests failed: same" in told
    assert f"{plan[-1]} failed: saw 29" in told
    assert len(told) == len(set(told)) == 10
