"""junit.xml: one suite per kernel, everything the exit code rests on as a test case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, cast

from junit_xml import TestCase, TestSuite, to_xml_report_string

from harness.judge.exit_code import NOTHING_KNOWN, compared_candidate, losses, ran_in_part
from harness.judge.states import told_state
from harness.judge.verdict import missing_tests
from harness.judge.witnesses import marks
from harness.model import (
    ExpectationCheck,
    KernelResult,
    Outcome,
    Role,
    RunResult,
    Status,
    TestResult,
)
from harness.report.options import ReportOptions
from harness.report.overview import distinct_name, is_unknown, side_names, verdict_word
from harness.text import xml_text

T = TypeVar("T")
_ERRORS = (Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT, Outcome.MISSING)


def pieces(result: RunResult, _options: ReportOptions) -> Iterator[str]:
    """``result`` as JUnit XML.

    A reader of this file alone sees red exactly when a candidate fails the run, or a
    kernel could not be run: a baseline's failures are shown as skipped, with their text.
    """
    result = _legal(result)
    suites = [_suite(kernel, result) for kernel in result.kernels]
    yield to_xml_report_string(suites, encoding="utf-8")


def _legal(value: T) -> T:
    """``value`` with every character that XML 1.0 cannot hold replaced, however deep.

    junit-xml drops control characters, but not a lone surrogate (from undecodable bytes).
    """
    legal: Any = value
    if isinstance(value, str) and not isinstance(value, Enum):
        legal = xml_text(value)
    elif isinstance(value, tuple):
        legal = tuple(map(_legal, value))
    elif isinstance(value, Mapping):
        legal = {_legal(name): _legal(item) for name, item in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        legal = replace(
            value, **{one.name: _legal(getattr(value, one.name)) for one in fields(value)}
        )
    return cast(T, legal)


def _suite(kernel: KernelResult, result: RunResult) -> TestSuite:
    cases = [*_kernel_cases(kernel), *_test_cases(kernel), *_change_cases(kernel, result)]
    return TestSuite(
        name=distinct_name(kernel, result.kernels),
        test_cases=cases,
        timestamp=result.started,
        properties=_properties(kernel, result),
        stdout=f"again: {kernel.reproduce}" if kernel.reproduce else None,
    )


def _properties(kernel: KernelResult, result: RunResult) -> dict[str, str]:
    facts = kernel.facts.named()
    known = kernel.taint is not None and kernel.status is Status.COMPLETED
    restrict = kernel.facts.af_alg_restrict
    return {
        "spec": kernel.spec,
        "release": kernel.release,
        "role": kernel.role,
        "status": kernel.status,
        "verdict": verdict_word(kernel),
        "accel": result.host.accel,
        "taint": str(kernel.taint) if known else "unknown",
        "af_alg_restrict": "none" if restrict is None else str(restrict),
        **{name: told_state(name, fact) for name, fact in sorted(facts.items())},
        **{
            f"{name} witnesses": told
            for name, fact in sorted(facts.items())
            if (told := marks(name, fact))
        },
    }


def _kernel_cases(kernel: KernelResult) -> Iterator[TestCase]:
    """What was expected of the kernel as a whole: its status, its facts, its console."""
    broken = kernel.status in NOTHING_KNOWN or ran_in_part(kernel)
    tests = {test.id for test in kernel.tests}
    for check in kernel.verdict.checks:
        if check.id in tests:
            continue
        case = TestCase(name=check.id, classname="expectations", stdout=_again(kernel))
        if not check.met:
            message = f"{check.id}: expected {check.expected}, saw {check.seen}"
            if check.id == "status":
                case.add_error_info(f"{kernel.status}: {kernel.status_reason}", _all(kernel))
            elif is_unknown(kernel):
                case.add_error_info(message, check.explanation, error_type="unknown")
            else:
                case.add_failure_info(message, check.explanation, failure_type="expectation")
        yield case if broken else _softened(case, kernel)
    if not kernel.verdict.ok:
        yield _softened_verdict(kernel, broken)


def _softened_verdict(kernel: KernelResult, broken: bool) -> TestCase:
    """The verdict itself: red even if a reason has no case of its own; unknown is no failure."""
    case = TestCase(name="verdict", classname="expectations", stdout=_again(kernel))
    first = kernel.verdict.reasons[0] if kernel.verdict.reasons else "not ok"
    if is_unknown(kernel):
        case.add_error_info(first, _all(kernel), error_type="unknown")
    else:
        case.add_failure_info(first, _all(kernel), failure_type="verdict")
    return case if broken else _softened(case, kernel)


def _all(kernel: KernelResult) -> str:
    return "\n".join(kernel.verdict.reasons)


def _again(kernel: KernelResult) -> str | None:
    return f"again: {kernel.reproduce}" if kernel.reproduce else None


def _softened(case: TestCase, kernel: KernelResult) -> TestCase:
    """A baseline's failure does not fail the run: show it as skipped, never as passed."""
    problems = [*case.failures, *case.errors]
    if kernel.role is Role.BASELINE and problems:
        case.failures, case.errors = [], []
        case.add_skipped_info(
            f"on the baseline, which is not judged: {problems[0]['message']}",
            problems[0]["output"],
        )
    return case


def _test_cases(kernel: KernelResult) -> Iterator[TestCase]:
    explicit = {check.id: check for check in kernel.verdict.checks}
    reported = set()
    for test in kernel.tests:
        reported.add(test.id)
        yield _softened(_test_case(test, kernel, explicit.get(test.id)), kernel)
    for test_id in missing_tests(kernel):
        if test_id not in reported:
            missing = TestResult(test_id, Outcome.MISSING, message="planned, never reported")
            yield _softened(_test_case(missing, kernel, None), kernel)


def _test_case(test: TestResult, kernel: KernelResult, check: ExpectationCheck | None) -> TestCase:
    file, _, name = test.id.partition("::")
    case = TestCase(
        name=name or test.id,
        classname=file.removesuffix(".py").replace("/", "."),
        elapsed_sec=test.seconds,
        file=file,
        stdout=_again(kernel),
    )
    message = test.message or str(test.outcome)
    known = check is not None and check.met
    if test.outcome is Outcome.SKIPPED:
        if check is not None and not check.met:
            case.add_failure_info(f"skipped, expected {check.expected}: {message}", test.details)
        else:
            case.add_skipped_info(message, test.details)
    elif test.outcome is not Outcome.PASSED and known and check is not None:
        case.add_skipped_info(f"known, {test.outcome}: {check.explanation or message}", message)
    elif test.outcome in _ERRORS:
        case.add_error_info(f"{test.outcome}: {message}", test.details, error_type=test.outcome)
    elif test.outcome is Outcome.FAILED:
        case.add_failure_info(message, test.details or message, failure_type="failed")
    return case


def _change_cases(kernel: KernelResult, result: RunResult) -> Iterator[TestCase]:
    """Losses against the baseline; they fail the run even if each test is content."""
    for comparison in result.comparisons:
        if compared_candidate(comparison, result.kernels) is not kernel:
            continue
        for change in losses(comparison, result.kernels):
            case = TestCase(
                name=change.id,
                classname=f"changes from {side_names(comparison, result.kernels)[0]}",
                stdout=_again(kernel),
            )
            seen = f"{change.cls}: {change.baseline} -> {change.candidate}"
            case.add_failure_info(seen, change.explanation, failure_type=change.cls)
            yield case
