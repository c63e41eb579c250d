"""Known defects that tests looked for: of which of them a kernel's result is evidence."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import FAILURES, KernelResult, Outcome


@dataclass(frozen=True)
class Defects:
    """CVEs by what a kernel's tests say of them; each in one of the fields, in order."""

    seen: tuple[str, ...]  # a test of it failed
    not_seen: tuple[str, ...]  # provoked, and did not show
    unprovoked: tuple[str, ...]  # its tests passed, but what it needs did not come about


def defects(kernel: KernelResult) -> Defects:
    """What the tests of ``kernel`` say of each CVE; nothing of one whose tests were skipped."""
    failed: set[str] = set()
    passed: dict[str, bool] = {}
    for test in kernel.tests:
        if test.defect is None or not test.defect.cve:
            continue
        for cve in test.defect.cve.split(", "):
            if test.outcome in FAILURES:
                failed.add(cve)
            elif test.outcome is Outcome.PASSED:
                passed[cve] = passed.get(cve, False) or test.defect.provoked
    told = {cve: provoked for cve, provoked in sorted(passed.items()) if cve not in failed}
    return Defects(
        seen=tuple(sorted(failed)),
        not_seen=tuple(cve for cve, provoked in told.items() if provoked),
        unprovoked=tuple(cve for cve, provoked in told.items() if not provoked),
    )
