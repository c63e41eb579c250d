"""Verdicts and changes -> the exit code of the run."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import ExitCode
from harness.model import (
    Change,
    ChangeClass,
    Comparison,
    KernelResult,
    Outcome,
    Role,
    Status,
)

#: Nothing was learnt of the kernel itself.
NOTHING_KNOWN = (Status.BOOT_FAILED, Status.UNAVAILABLE)


def exit_code(kernels: Sequence[KernelResult], comparisons: Sequence[Comparison]) -> ExitCode:
    """The exit code of a run; the first that applies, in this order.

    1. INTERRUPTED: a kernel was not finished because somebody stopped the run.
    2. USAGE: nothing was planned on any kernel that completed, so the selection was wrong.
    3. REGRESSION: something speaks against a candidate, or it lost something that the
       baseline had. This is certain, whatever else went wrong. Or not everything planned
       ran on the baseline, so that the comparison is a partial one.
    4. USAGE: a kernel, baseline or candidate, could not be had because an input is bad.
       Before INFRASTRUCTURE, because trying again would not help.
    5. INFRASTRUCTURE: a kernel could not be had, did not boot or was killed from outside;
       a candidate could not be observed, or was seen to copy what its code still shares; or
       no candidate ran.
    6. OK: every candidate is as expected.

    Whether a baseline is as expected does not count.
    """
    candidates = [kernel for kernel in kernels if kernel.role is Role.CANDIDATE]
    stopped = [kernel for kernel in kernels if kernel.status is Status.INTERRUPTED]
    if not all(map(killed_from_outside, stopped)):
        return ExitCode.INTERRUPTED
    completed = [kernel for kernel in kernels if kernel.status is Status.COMPLETED]
    if completed and not any(kernel.plan or kernel.collection_errors for kernel in completed):
        return ExitCode.USAGE
    if any(not kernel.verdict.ok and not kernel.verdict.unknown for kernel in candidates):
        return ExitCode.REGRESSION
    if any(ran_in_part(kernel) for kernel in kernels if kernel.role is Role.BASELINE):
        return ExitCode.REGRESSION
    if any(losses(comparison, kernels) for comparison in comparisons):
        return ExitCode.REGRESSION
    lost = [kernel for kernel in kernels if kernel.status in NOTHING_KNOWN]
    if any(kernel.status_exit == ExitCode.USAGE for kernel in lost):
        return ExitCode.USAGE
    if lost or stopped or not candidates:
        return ExitCode.INFRASTRUCTURE
    if not all(kernel.verdict.ok for kernel in candidates):
        return ExitCode.INFRASTRUCTURE
    return ExitCode.OK


def killed_from_outside(kernel: KernelResult) -> bool:
    """Whether QEMU was killed under it, and by nobody who stopped the run."""
    stopped = kernel.status is Status.INTERRUPTED
    return stopped and kernel.status_exit == ExitCode.INFRASTRUCTURE


def ran_in_part(kernel: KernelResult) -> bool:
    """Whether something planned on a kernel that booted did not run to its end there."""
    if kernel.status in NOTHING_KNOWN or killed_from_outside(kernel):
        return False
    reported = {test.id for test in kernel.tests if test.outcome is not Outcome.MISSING}
    return (
        kernel.status is Status.INTERRUPTED
        or not (kernel.plan or kernel.status is Status.COMPLETED)
        or bool(kernel.collection_errors)
        or kernel.records_lost > 0
        or not reported.issuperset(kernel.plan)
    )


def losses(comparison: Comparison, kernels: Sequence[KernelResult]) -> tuple[Change, ...]:
    """The changes for which a run fails: what was lost, and neither explained nor expected.

    ``kernels`` are those of the run. A change that an explicit expectation of the
    candidate allows (``--expect``, expectations file) is no loss.
    """
    candidate = compared_candidate(comparison, kernels)
    checks = candidate.verdict.checks if candidate is not None else ()
    allowed = {check.id for check in checks if check.explicit and check.met}
    return tuple(
        change for change in comparison.changes if change.id not in allowed and _is_loss(change)
    )


def _is_loss(change: Change) -> bool:
    if change.cls is ChangeClass.NEWLY_UNAVAILABLE:
        return not change.explanation
    return change.cls in {ChangeClass.REGRESSED, ChangeClass.VANISHED}


def compared_candidate(
    comparison: Comparison, kernels: Sequence[KernelResult]
) -> KernelResult | None:
    """The candidate that a comparison is about."""
    alike = [
        kernel
        for kernel in kernels
        if kernel.role is Role.CANDIDATE and kernel.release == comparison.candidate
    ]

    def likeness(kernel: KernelResult) -> tuple[bool, bool]:
        return (
            kernel.spec == comparison.candidate_spec,
            kernel.append == comparison.candidate_append,
        )

    return max(alike, key=likeness, default=None)
