"""Known defects that tests looked for, and of which of them a result is evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.judge.defects import defects
from harness.judge.expectations import Expectations
from harness.judge.verdict import judge
from harness.model import Control, Defect, Fact, KernelResult, Outcome, State, TestResult
from harness.report.summary import summary_lines
from tests.unit import samples


def looked(cve: str, outcome: Outcome, *, provoked: bool, test: str = "") -> TestResult:
    return TestResult(
        f"security/test_x.py::test_{test or cve}", outcome, defect=Defect(cve, "fix", provoked)
    )


def kernel(*tests: TestResult) -> KernelResult:
    base = samples.new()
    plan = (*base.plan, *(test.id for test in tests))
    return replace(base, plan=plan, tests=(*base.tests, *tests))


PASSED, FAILED, SKIPPED = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED
ALL = (
    looked("CVE-1", PASSED, provoked=True),
    looked("CVE-2", PASSED, provoked=False),
    looked("CVE-3", FAILED, provoked=False),
    looked("CVE-4", SKIPPED, provoked=False),
    looked("CVE-5, CVE-6", PASSED, provoked=True),
    looked("", PASSED, provoked=False, test="nameless"),
    looked("CVE-7", PASSED, provoked=False),
    looked("CVE-7", PASSED, provoked=True, test="one_provoked"),
    looked("CVE-8", PASSED, provoked=True),
    looked("CVE-8", FAILED, provoked=True, test="one_failed"),
)


def test_each_is_told_once() -> None:
    found = defects(kernel(*ALL))
    assert found.seen == ("CVE-3", "CVE-8")
    assert found.not_seen == ("CVE-1", "CVE-5", "CVE-6", "CVE-7")
    assert found.unprovoked == ("CVE-2",)


def test_what_was_not_provoked_is_a_note_and_no_evidence() -> None:
    seen = kernel(*(test for test in ALL if test.outcome is PASSED))
    verdict = judge(seen, Expectations())
    assert verdict.ok
    assert "not provoked, so no evidence: CVE-2" in verdict.notes
    lines = summary_lines(samples.run(seen))
    (line,) = (line for line in lines if "provoked, not seen" in line)
    assert line == "- provoked, not seen: CVE-1, CVE-5, CVE-6, CVE-7, CVE-8"


@pytest.mark.parametrize(
    ("state", "seen"), [(State.PRESENT, ("CVE-9",)), (State.ABSENT, ()), (State.UNKNOWN, ())]
)
def test_a_test_that_passes_and_records_a_wrong_state(state: State, seen: tuple[str, ...]) -> None:
    """Copy Fail: the test passes whatever it sees, the fact says what that was."""
    test = looked("CVE-9", PASSED, provoked=True)
    found = kernel(test)
    fact = Fact(state, Control.FIRED, test=test.id)
    told = defects(replace(found, facts=replace(found.facts, page_cache_write=fact)))
    assert told.seen == seen
    assert told.not_seen == (() if seen else ("CVE-9",))


def test_a_result_without_them_says_nothing() -> None:
    """Those of earlier versions have no defects."""
    assert not any("provoked" in note for note in judge(samples.new(), Expectations()).notes)
    assert not any("provoked" in line for line in summary_lines(samples.main_job()))
