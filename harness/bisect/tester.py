"""Tests one kernel for a bisect: boots it as often as asked, and takes a vote."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, replace

from harness.bisect.check import BisectCheck, Seen
from harness.bisect.state import BisectState, Step
from harness.errors import (
    BuildError,
    HarnessError,
    InfrastructureError,
    InputError,
    Interrupted,
)
from harness.executors.executor import Executors
from harness.executors.local import LocalExecutor
from harness.executors.names import is_elsewhere
from harness.judge.exit_code import killed_from_outside
from harness.kernels.resolve import resolve
from harness.model import KernelResult, Outcome, State, Status
from harness.processes import interruptible
from harness.progress import Progress, SilentProgress
from harness.run import Run
from harness.run_options import RunOptions

#: Of one vote: a boot that failed is made up for, a crash is looked at once more.
_BOOTS = 3


@dataclass(frozen=True)
class Tester:
    """Everything that testing a kernel takes. ``options`` is a run's, but for its kernel."""

    check: BisectCheck
    options: RunOptions
    repeat: int
    progress: Progress
    stop: threading.Event
    suites: tuple[str, ...] = ()  # where the check is a command: the suite that holds it
    find: str = ""  # the value that --find asks for
    executors: Executors = LocalExecutor  # where guests are
    at_once: int = 1  # how many kernels may be tested at a time

    def test(self, spec: str, state: BisectState, test: str = "") -> Step:
        """The step for ``spec``; ``test`` is the id of the test that saw the check before.

        Raises Interrupted, and HarnessError where it is the host, the network or the cache
        that failed: such a step says nothing of the kernel, and is not stored.
        """
        started = time.monotonic()
        try:
            if not is_elsewhere(self.options.executor):
                with interruptible(self.stop):
                    resolve(spec, self.options.sources, self.progress)
            return self._votes(spec, state, test, started)
        except (BuildError, InputError) as error:
            return Step(spec, "", f"cannot be had: {error}")

    def _votes(self, spec: str, state: BisectState, test: str, started: float) -> Step:
        """Boot it as often as it takes."""
        votes: list[Seen] = []
        runs: list[str] = []
        release = ""
        for number in range(1, 2 * self.repeat + 1):
            if number > self.repeat and len({seen.value for seen in votes}) == 1:
                break  # all of one mind: no second round
            result, directory = self._boot(spec, state, number, test)
            release = result.release or release
            runs.append(directory)
            votes.append(self.check.see(result))
        decisive = self._decide(votes)
        return Step(
            spec,
            decisive.value,
            decisive.reason,
            release,
            decisive.test,
            tuple(seen.value for seen in votes) if self.repeat > 1 else (),
            round(time.monotonic() - started, 1),
            tuple(runs),
        )

    def _decide(self, votes: list[Seen]) -> Seen:
        """What more than half of those say that answered, who must be as many as were asked.

        A boot that could not be judged has no say: it is no answer to what was asked.
        """
        answers = [seen for seen in votes if seen.value]
        if len(answers) < self.repeat:
            return next(seen for seen in votes if not seen.value)
        winner = majority([seen.value for seen in answers])
        if winner is None and not self.find and self.check.kind in ("test", "command"):
            # Failed, crashed, timed out: apart none may have a majority, and together one.
            passed = str(Outcome.PASSED)
            bad = [seen for seen in answers if seen.value != passed]
            if 2 * len(bad) > len(answers):
                return replace(bad[0], value=str(Outcome.FAILED))
        decisive = next((seen for seen in answers if seen.value == winner), None)
        if decisive is not None:
            return decisive
        counted = Counter(seen.value or "not judged" for seen in votes)
        told = ", ".join(f"{number} times {value}" for value, number in counted.items())
        return Seen("", f"its votes differ: {told}")

    def _boot(
        self, spec: str, state: BisectState, number: int, test: str
    ) -> tuple[KernelResult, str]:
        out = state.run_directory(spec, number)
        selection = replace(self.options.selection, suites=self.suites or self.check.suites(test))
        options = replace(self.options, specs=(spec,), out=out, selection=selection, boots=_BOOTS)
        run = Run(options, self.progress, executors=self.executors, stop=self.stop)
        whole = run.execute()
        if isinstance(error := run.errors.get(spec), BuildError | InputError):
            raise error  # where it was to be built, elsewhere
        result = whole.kernels[0]
        killed = killed_from_outside(result)
        if self.stop.is_set() or (result.status is Status.INTERRUPTED and not killed):
            raise Interrupted("interrupted; the same command goes on with this kernel")
        if killed or result.status is Status.UNAVAILABLE:
            raise InfrastructureError(f"{spec}: {result.status_reason}")
        fails_to_boot = self.check.kind == "boots" and self.check.see(result).value == State.FAILS
        if fails_to_boot and not whole.control:
            raise InfrastructureError(f"{spec}: no kernel boots here: {result.status_reason}")
        return result, str(out.relative_to(state.directory))


def majority(votes: list[str]) -> str | None:
    """The value that more than half of ``votes`` have, None if there is none."""
    value, number = Counter(votes).most_common(1)[0]
    return value if 2 * number > len(votes) else None


def fetch_ahead(tester: Tester, spec: str, stop: threading.Event) -> None:
    """Resolve a kernel that may be needed soon; ``stop`` ends that.

    If it fails that is seen when the kernel is needed. Whoever boots it elsewhere fetches it.
    """
    if is_elsewhere(tester.options.executor):
        return
    try:
        with interruptible(stop):
            resolve(spec, tester.options.sources, SilentProgress())
    except (HarnessError, OSError):
        return
