"""A run's observations -> its verdicts, comparisons and exit code; one way for all commands.

What goes wrong in judging or comparing is a fault of ours: it is said where the verdict or
the changes would stand, everything observed is kept, and the run does not end as "ok".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import ExitCode
from harness.faults import tell
from harness.judge.compare import compare
from harness.judge.exit_code import exit_code
from harness.judge.expectations import Expectations, run_expectations
from harness.judge.settle import settled
from harness.judge.splats import charge
from harness.judge.verdict import judge_among
from harness.model import Comparison, KernelResult, Role, RunResult, Verdict


def conclude(
    run: RunResult, expectations: Expectations, log: Path | None, *, same_run: bool = True
) -> RunResult:
    """``run`` with its kernels judged, compared with the baseline, and its exit code.

    ``log`` is the directory for details of a fault of ours; ``same_run`` says whether all
    kernels were put to the same tests. Raises nothing.
    """
    return _Conclusion(log).of(run, expectations, same_run=same_run)


def judged_anew(run: RunResult, log: Path | None) -> RunResult:
    """A stored run as its observations have it, whatever verdict was stored with them.

    Runs of earlier versions did not keep all that a verdict rests on: theirs stand.
    """
    return conclude(run, run_expectations(run), log) if can_be_judged_anew(run) else run


def can_be_judged_anew(run: RunResult) -> bool:
    """Whether a stored run holds all that its verdict rests on."""
    observed = (kernel for kernel in run.kernels if kernel.identity is not None)
    return all(kernel.boots for kernel in observed)


class _Conclusion:
    """Remembers the faults of ours on the way."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._faults: list[str] = []

    def of(self, run: RunResult, expectations: Expectations, *, same_run: bool) -> RunResult:
        settled_ones = [self._settle(kernel) for kernel in run.kernels]
        against = next((one for one in settled_ones if one.role is Role.BASELINE), None)
        observed = [
            self._charge(kernel, expectations, against if kernel is not against else None)
            for kernel in settled_ones
        ]
        kernels = tuple(
            replace(kernel, verdict=self._judge(kernel, observed, expectations, run.control))
            for kernel in observed
        )
        baseline = next((kernel for kernel in kernels if kernel.role is Role.BASELINE), None)
        comparisons = tuple(
            self._compare(baseline, kernel, same_run)
            for kernel in kernels
            if baseline is not None
            and kernel is not baseline
            and (not same_run or (kernel.plan and baseline.plan))
        )
        code = self._exit_code(kernels, comparisons)
        return replace(run, kernels=kernels, comparisons=comparisons, exit_code=int(code))

    def _fault(self, error: Exception) -> str:
        self._faults.append(tell(error, self._log).line)
        return self._faults[-1]

    def _settle(self, kernel: KernelResult) -> KernelResult:
        try:
            return settled(kernel)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            self._fault(error)
            return kernel

    def _charge(
        self, kernel: KernelResult, expectations: Expectations, baseline: KernelResult | None
    ) -> KernelResult:
        try:
            return charge(kernel, expectations, baseline)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            self._fault(error)
            return kernel

    def _judge(
        self,
        kernel: KernelResult,
        kernels: Sequence[KernelResult],
        expectations: Expectations,
        control: str,
    ) -> Verdict:
        try:
            return judge_among(kernel, kernels, expectations, control)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            return Verdict(False, (self._fault(error),), unknown=True)

    def _compare(
        self, baseline: KernelResult, candidate: KernelResult, same_run: bool
    ) -> Comparison:
        try:
            return compare(baseline, candidate, same_run=same_run)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            return Comparison(
                baseline.release,
                candidate.release,
                baseline_spec=baseline.spec,
                candidate_spec=candidate.spec,
                baseline_append=baseline.append,
                candidate_append=candidate.append,
                fault=self._fault(error),
            )

    def _exit_code(
        self, kernels: Sequence[KernelResult], comparisons: Sequence[Comparison]
    ) -> ExitCode:
        try:
            code = exit_code(kernels, comparisons)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            self._fault(error)
            return ExitCode.INFRASTRUCTURE
        return ExitCode.INFRASTRUCTURE if self._faults and code is ExitCode.OK else code
