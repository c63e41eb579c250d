"""Known defects that tests looked for: of which of them a kernel's result is evidence."""

from __future__ import annotations

from dataclasses import dataclass

from harness.judge.facts import kind_of
from harness.judge.states import told_state
from harness.model import FAILURES, KernelResult, Outcome, State


@dataclass(frozen=True)
class Defects:
    """CVEs by what a kernel's tests say of them; each in one of the fields, in order."""

    seen: tuple[str, ...]  # a test of it failed, or recorded a state that is not right
    not_seen: tuple[str, ...]  # provoked, and did not show
    unprovoked: tuple[str, ...]  # its tests passed, but what it needs did not come about


def defects(kernel: KernelResult) -> Defects:
    """What the tests of ``kernel`` say of each CVE; nothing of one whose tests were skipped."""
    wrong = _tests_that_saw_a_wrong_state(kernel)
    failed: set[str] = set()
    passed: dict[str, bool] = {}
    for test in kernel.tests:
        if test.defect is None or not test.defect.cve:
            continue
        for cve in test.defect.cve.split(", "):
            if test.outcome in FAILURES or test.id in wrong:
                failed.add(cve)
            elif test.outcome is Outcome.PASSED:
                passed[cve] = passed.get(cve, False) or test.defect.provoked
    told = {cve: provoked for cve, provoked in sorted(passed.items()) if cve not in failed}
    return Defects(
        seen=tuple(sorted(failed)),
        not_seen=tuple(cve for cve, provoked in told.items() if provoked),
        unprovoked=tuple(cve for cve, provoked in told.items() if not provoked),
    )


def _tests_that_saw_a_wrong_state(kernel: KernelResult) -> set[str]:
    """Tests that pass all the same: what their fact is worth is for an expectation to say."""
    undecided = {State.UNKNOWN, State.UNREACHABLE}
    return {
        fact.test
        for name, fact in kernel.facts.named().items()
        if (right := kind_of(name).right) is not None
        and told_state(name, fact) not in {right, *undecided}
    }
