"""Kernels whose behaviour is known, on both sides of every change that the suite probes.

One run gives an old one and the newest all suites; the others come from the runs of
conftest.py, with what known truth is about. Each test then looks at one kernel's stored
result. All suites on all of them, several times in a row: ci/known_truth.py.
"""

from __future__ import annotations

from collections import Counter

import pytest

from harness.model import Control, KernelResult, Outcome, Role, Status
from tests.known_truth import (
    TRUTH,
    WITNESSED,
    Truth,
    code_words,
    input_paths,
    known_words,
    reports,
    unexplained_failures,
)

from .conftest import AFTER, BEFORE, Finished, execute

_WHOLE = [truth for truth in TRUTH if truth.whole]
_BASELINE = TRUTH[0]
#: Least numbers of tests that pass; a kernel without af_alg_restrict has few of policies.
_LEAST = {"zero_copy": 30, "security": 30}
_LEAST_OF_ALL = {
    "zero_copy": 40,
    "security": 30,
    "functional": 300,
    "policy": 5,
    "differential": 20,
    "consumers": 20,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of all suites, one guest at a time: other tests have guests of their own."""
    out = tmp_path_factory.mktemp("truth") / "run"
    return execute(out, *(truth.spec for truth in _WHOLE), "--jobs", "1")


def _run_of(truth: Truth) -> str:
    """The fixture whose run has this kernel."""
    if truth.whole:
        return "finished"
    return "boundary" if truth.spec in {BEFORE, AFTER} else "generations"


@pytest.fixture(
    params=[truth for truth in TRUTH if not truth.rare], ids=lambda truth: truth.release
)
def truth(request: pytest.FixtureRequest) -> Truth:
    """Each known kernel."""
    assert isinstance(request.param, Truth)
    return request.param


@pytest.fixture
def kernel(request: pytest.FixtureRequest, truth: Truth) -> KernelResult:
    """Its stored result."""
    run = request.getfixturevalue(_run_of(truth))
    assert isinstance(run, Finished)
    return run.kernel(truth.spec)


def test_it_ran_the_kernel_asked_for(kernel: KernelResult, truth: Truth) -> None:
    assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert kernel.identity is not None
    assert kernel.identity.release == kernel.release == truth.release
    assert (kernel.taint_before, kernel.taint) == (0, 0)
    assert reports(kernel) == []


def test_every_planned_test_has_an_outcome(kernel: KernelResult, truth: Truth) -> None:
    assert len(kernel.plan) > (900 if truth.whole else 100)
    assert [test.id for test in kernel.tests] == list(kernel.plan)
    assert unexplained_failures(kernel, truth) == {}
    messages = [test.message for test in kernel.tests if test.outcome is Outcome.FAILED]
    seen = {hole for hole in truth.holes for message in messages if hole in message}
    assert seen == truth.holes
    suites = Counter(
        test.id.partition("/")[0] for test in kernel.tests if test.outcome is Outcome.PASSED
    )
    least = _LEAST_OF_ALL if truth.whole else _LEAST
    assert {suite: count for suite, count in least.items() if suites[suite] < count} == {}
    unexplained = [
        test.id for test in kernel.tests if test.outcome is Outcome.SKIPPED and not test.message
    ]
    assert unexplained == []


def test_zero_copy_of_input(kernel: KernelResult, truth: Truth) -> None:
    paths = input_paths(kernel)
    assert {"skcipher.splice_file", "aead.splice_file", *WITNESSED} <= set(paths)
    assert {kernel.facts.zero_copy[path].control for path in paths} == {Control.FIRED}
    assert paths == dict.fromkeys(paths, truth.zero_copy)


def test_the_code_agrees(kernel: KernelResult, truth: Truth) -> None:
    assert code_words(kernel) == known_words(truth)


def test_page_cache_write(kernel: KernelResult, truth: Truth) -> None:
    fact = kernel.facts.page_cache_write
    assert fact is not None
    assert (fact.state, fact.control) == (truth.page_cache_write, Control.FIRED), fact.evidence


def test_policy_as_booted(kernel: KernelResult, truth: Truth) -> None:
    assert kernel.facts.af_alg_restrict == truth.restrict


def test_verdicts_follow_from_the_states(kernel: KernelResult, truth: Truth) -> None:
    assert kernel.verdict.ok is truth.is_closed, kernel.verdict.reasons


def test_the_run_as_a_whole(finished: Finished) -> None:
    result = finished.result
    assert finished.code == result.exit_code == 0, finished.stderr
    roles = [kernel.role for kernel in result.kernels]
    assert roles == [Role.BASELINE] + [Role.CANDIDATE] * (len(_WHOLE) - 1)
    assert {item.baseline for item in result.comparisons} == {_BASELINE.release}
    newest = next(item for item in result.comparisons if item.candidate == TRUTH[-1].release)
    classes = {change.id: change.cls for change in newest.changes}
    assert classes["zero_copy.skcipher.splice_file"] == "fixed"
    assert classes["page_cache_write"] == "fixed"
    lost = [
        f"{change.id}: {change.explanation}"
        for change in newest.changes
        if change.cls in {"regressed", "vanished"}
        or (change.cls == "newly_unavailable" and not change.explanation)
    ]
    assert lost == []  # whatever differs has its reason
    assert classes["differential/skcipher.wait.gap-no_gap"] == "intended"  # 2f90facc7b94
    for name in ("results.json", "junit.xml", "summary.md"):
        assert (finished.out / name).stat().st_size > 0
    for truth in _WHOLE:
        directory = finished.out / "kernels" / truth.release
        for name in ("console.log", "events.jsonl", "config", "vng.txt"):
            assert (directory / name).stat().st_size > 0
        assert "Linux version " + truth.release in (directory / "console.log").read_text()
