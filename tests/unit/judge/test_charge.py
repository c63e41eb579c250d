"""A test fails for what the kernel reports while it runs, unless that is expected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.compare import compare
from harness.judge.expectations import Expectations, load_expectations
from harness.judge.fingerprint import fingerprint
from harness.judge.splats import charge
from harness.model import (
    Boot,
    ChangeClass,
    ConsoleEvent,
    KernelResult,
    Outcome,
    Purpose,
    Status,
    TestResult,
)
from tests.unit import samples

TEST = samples.SHA256_TEST
WARNING = ConsoleEvent("warning", samples.WARNING, 5.0, TEST, ("RIP: 0010:af_alg_x+0x1/0x2",))
NAME = f"console.warning.{fingerprint(WARNING)}"


def reporting(*events: ConsoleEvent) -> KernelResult:
    boot = Boot(Status.COMPLETED, accel="tcg", identity=samples.new().identity)
    boot = replace(boot, console_events=events)
    return replace(samples.new(), console_events=events, boots=(boot,))


def result(kernel: KernelResult) -> TestResult:
    return next(test for test in kernel.tests if test.id == TEST)


def charged(
    kernel: KernelResult, *expected: str, baseline: KernelResult | None = None
) -> TestResult:
    expectations = load_expectations(None, expected) if expected else Expectations()
    return result(charge(kernel, expectations, baseline))


def test_a_report_fails_the_test_it_came_in() -> None:
    test = charged(reporting(WARNING))
    assert test.outcome is Outcome.FAILED
    assert test.message == f"the kernel reported warning: {WARNING.title} ({NAME})"
    assert test.details == WARNING.lines[0]


@pytest.mark.parametrize(
    "event", [replace(WARNING, test=""), replace(WARNING, test="functional/test_x.py::other")]
)
def test_a_report_elsewhere_fails_no_test(event: ConsoleEvent) -> None:
    assert charged(reporting(event)).outcome is Outcome.PASSED


def test_what_is_expected_fails_nothing() -> None:
    assert charged(reporting(WARNING), f"{NAME}=any").outcome is Outcome.PASSED
    assert charged(reporting(WARNING), baseline=reporting(WARNING)).outcome is Outcome.PASSED


def test_a_taint_fails_the_test_it_came_with() -> None:
    tainted = samples.with_test(
        replace(samples.new(), taint=512), TestResult(TEST, Outcome.PASSED, taint=512)
    )
    assert charged(tainted).message == "it tainted the kernel: W"
    assert charged(tainted, "taint.W=any").outcome is Outcome.PASSED


def test_a_charge_is_taken_back_when_something_else_is_expected() -> None:
    once = charge(reporting(WARNING), Expectations(), None)
    assert charge(once, Expectations(), None) == once
    assert result(once).outcome is Outcome.FAILED
    assert charged(once, f"{NAME}=any") == result(reporting(WARNING))


def test_a_test_that_failed_by_itself_keeps_its_words() -> None:
    failed = samples.with_test(reporting(WARNING), samples.failed(TEST, "digest differs"))
    assert charged(failed).message == "digest differs"


def test_the_verdict_says_it_once() -> None:
    run = samples.run(reporting(WARNING))
    assert run.exit_code == 1
    assert result(run.kernels[0]).outcome is Outcome.FAILED
    assert run.kernels[0].verdict.reasons == (f"warning in {TEST}: {WARNING.title} ({NAME})",)


def test_reports_that_only_one_kernel_made_are_changes() -> None:
    again = replace(WARNING, seconds=6.0)
    found = {one.id: one for one in compare(samples.new(), reporting(WARNING, again)).changes}
    assert (found[NAME].cls, found[NAME].candidate) == (ChangeClass.REGRESSED, "seen 2 times")
    back = {one.id: one.cls for one in compare(reporting(WARNING), samples.new()).changes}
    assert back[NAME] is ChangeClass.FIXED
    assert not any(one.id == NAME for one in compare(reporting(again), reporting(WARNING)).changes)


def test_of_several_boots_the_same_report_is_counted() -> None:
    rest = Boot(
        Status.COMPLETED,
        accel="tcg",
        identity=samples.new().identity,
        number=2,
        purpose=Purpose.REST,
        console_events=(replace(WARNING, seconds=7.0),),
    )
    kernel = reporting(WARNING)
    several = replace(kernel, boots=(*kernel.boots, rest))
    (reason,) = samples.run(several).kernels[0].verdict.reasons
    assert "(2 times)" in reason
