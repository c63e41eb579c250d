"""A judged fact that a test was to record and did not: unknown, and never a pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.guest.payload import Selection
from harness.judge.expectations import Expectations
from harness.judge.facts import NAMES, Weight, kind_of, recorded_by
from harness.judge.settle import settled
from harness.judge.states import told_state
from harness.judge.verdict import judge
from harness.listing import list_tests
from harness.model import Control, KernelResult, Outcome, State, TestResult
from tests.unit import samples

PATH = "skcipher.splice_file"
PROBE = samples.path_test(PATH)
SHAPES = "zero_copy/test_shapes.py::test_input[skcipher]"


def with_shapes(
    kernel: KernelResult, *paths: str, outcome: Outcome = Outcome.PASSED
) -> KernelResult:
    """The kernel once shapes were tried as well, which recorded ``paths``."""
    done = TestResult(SHAPES, outcome, message="so")
    kernel = replace(kernel, plan=(*kernel.plan, SHAPES), tests=(*kernel.tests, done))
    for path in paths:
        fact = kernel.facts.zero_copy.get(path, samples.path_fact(path, State.ABSENT))
        kernel = samples.with_path(kernel, path, replace(fact, others=(SHAPES,)))
    return kernel


ALL = tuple(name.removeprefix("zero_copy.") for name in recorded_by(SHAPES))


def test_every_judged_fact_is_recorded_by_a_test_that_there_is() -> None:
    tests = [test.id for test in list_tests(Selection())]
    assert tests
    recorded = {name for test in tests for name in recorded_by(test)}
    assert recorded == {name for name in NAMES if kind_of(name).weight is Weight.JUDGED}
    probes = [test for test in tests if test.startswith("zero_copy/test_input.py::test_skcipher[")]
    assert probes and all(map(recorded_by, probes))
    assert recorded_by("zero_copy/test_rng.py::test_input[splice]") == ()
    assert recorded_by("mine/zero_copy/test_input.py::test_skcipher[splice_file]") == ()


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.SKIPPED])
def test_a_probe_that_recorded_nothing(outcome: Outcome) -> None:
    kernel = samples.with_test(
        samples.with_path(samples.new(), PATH, None), TestResult(PROBE, outcome, message="so")
    )
    verdict = judge(kernel, Expectations())
    assert not verdict.ok and verdict.unknown
    said = f"zero_copy.{PATH} is unknown, expected absent ({PROBE} "
    assert [reason for reason in verdict.reasons if reason.startswith(said)]
    assert samples.run(kernel).exit_code == 3
    assert settled(settled(kernel)) == settled(kernel)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERROR, Outcome.MISSING])
def test_one_that_complained_is_a_reason_of_its_own(outcome: Outcome) -> None:
    kernel = samples.with_test(
        samples.with_path(samples.new(), PATH, None), TestResult(PROBE, outcome)
    )
    assert PATH not in settled(kernel).facts.zero_copy
    assert not judge(kernel, Expectations()).ok


def test_what_another_test_saw_does_not_make_it_good() -> None:
    other = replace(samples.path_fact(PATH, State.ABSENT), test=SHAPES)
    kernel = samples.with_path(with_shapes(samples.new(), *ALL), PATH, other)
    assert told_state(f"zero_copy.{PATH}", settled(kernel).facts.zero_copy[PATH]) is State.UNKNOWN
    assert not judge(kernel, Expectations()).ok
    # But a page that was seen shared was.
    seen = replace(other, state=State.PRESENT)
    shared = settled(samples.with_path(kernel, PATH, seen)).facts.zero_copy[PATH]
    assert shared.state is State.PRESENT


def test_shapes_that_recorded_nothing() -> None:
    assert judge(with_shapes(samples.new(), *ALL), Expectations()).ok
    silent = judge(with_shapes(samples.new()), Expectations())
    assert silent.unknown
    assert {check.id for check in silent.checks if not check.met} == set(recorded_by(SHAPES))
    skipped = with_shapes(samples.new(), outcome=Outcome.SKIPPED)
    assert judge(skipped, Expectations()).unknown
    # Not every path has shapes of its own.
    assert judge(with_shapes(samples.new(), ALL[0]), Expectations()).ok


def test_copy_fail_that_recorded_nothing() -> None:
    facts = replace(samples.new().facts, page_cache_write=None)
    verdict = judge(replace(samples.new(), facts=facts), Expectations())
    assert verdict.unknown
    assert verdict.reasons[0].startswith("page_cache_write is unknown")


def test_what_was_not_planned_is_no_matter() -> None:
    kernel = samples.with_path(samples.new(), PATH, None)
    less = replace(
        kernel,
        plan=tuple(test for test in kernel.plan if test != PROBE),
        tests=tuple(test for test in kernel.tests if test.id != PROBE),
    )
    assert judge(less, Expectations()).ok


def test_a_control_is_not_made_up() -> None:
    kernel = samples.with_path(samples.new(), PATH, None)
    made = settled(kernel).facts.zero_copy[PATH]
    assert (made.state, made.control) == (State.UNKNOWN, Control.NOT_RUN)
