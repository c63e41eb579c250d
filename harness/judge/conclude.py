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
from harness.judge.expectations import Expectations
from harness.judge.verdict import judge
from harness.model import Comparison, KernelResult, Role, RunResult, Verdict


def conclude(run: RunResult, expectations: Expectations, log: Path | None) -> RunResult:
    """``run`` with its kernels judged, compared with the baseline, and its exit code.

    ``log`` is the directory for details of a fault of ours. Raises nothing.
    """
    return _Conclusion(log).of(run, expectations)


def compare_all(run: RunResult, log: Path | None) -> RunResult:
    """The same with the kernels' verdicts left as they are; nothing is left uncompared."""
    return _Conclusion(log).of(run, None)


class _Conclusion:
    """Remembers the faults of ours on the way."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._faults: list[str] = []

    def of(self, run: RunResult, expectations: Expectations | None) -> RunResult:
        kernels = run.kernels
        if expectations is not None:
            kernels = tuple(
                replace(kernel, verdict=self._judge(kernel, expectations)) for kernel in kernels
            )
        baseline = next((kernel for kernel in kernels if kernel.role is Role.BASELINE), None)
        comparisons = tuple(
            self._compare(baseline, kernel)
            for kernel in kernels
            if baseline is not None
            and kernel is not baseline
            and (expectations is None or (kernel.plan and baseline.plan))
        )
        code = self._exit_code(kernels, comparisons)
        return replace(run, kernels=kernels, comparisons=comparisons, exit_code=int(code))

    def _fault(self, error: Exception) -> str:
        self._faults.append(tell(error, self._log).line)
        return self._faults[-1]

    def _judge(self, kernel: KernelResult, expectations: Expectations) -> Verdict:
        try:
            return judge(kernel, expectations)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            return Verdict(False, (self._fault(error),), unknown=True)

    def _compare(self, baseline: KernelResult, candidate: KernelResult) -> Comparison:
        try:
            return compare(baseline, candidate)
        except Exception as error:  # noqa: BLE001  (ours, whatever it is)
            return Comparison(
                baseline.release,
                candidate.release,
                baseline_spec=baseline.spec,
                candidate_spec=candidate.spec,
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
