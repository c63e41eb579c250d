"""What a run has to do with the store: it goes there, and asks what earlier ones say.

Whatever may be wrong with that, the run goes on without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.faults import tell
from harness.history.store import Store
from harness.model import FAILURES, ChangeClass, KernelResult, Revisions, RunResult
from harness.output import complain


def keep(store: Store, result: RunResult, out: Path) -> None:
    """Store the run in the directory ``out``; what goes wrong is one line on stderr.

    Raises nothing: the verdict is known, and results.json is there. A run that was
    interrupted is left to be gone on with.
    """
    if not result.ended:
        return
    try:
        from harness.history.importing import import_run  # noqa: PLC0415  (it may be broken)

        import_run(store, out)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (the run is not lost by it)
        complain(
            f"the run was not put into the store: {tell(error, out).line}"
            f" (later: afalg-harness runs import {out})"
        )


#: What is known of the tests of a run from earlier ones: its kernels, in their order.
LookUp = Callable[[RunResult], tuple[KernelResult, ...]]

_ASKED = 200  # tests at most: where more failed, chance is no question
_OF_CHANCE = (ChangeClass.REGRESSED, ChangeClass.FIXED, ChangeClass.FLAKY)


def with_records(store: Store, run: RunResult) -> tuple[KernelResult, ...]:
    """The kernels of a run with what the store says of tests that failed or differ.

    Raises nothing; what goes wrong is one line on stderr.
    """
    tests = _of_interest(run)
    try:
        if not tests or not store.exists():
            return run.kernels
        return tuple(_with_record(store, kernel, run, tests) for kernel in run.kernels)
    except Exception as error:  # noqa: BLE001  (judged without it)
        complain(f"what earlier runs say is not known: {tell(error).line}")
        return run.kernels


def _of_interest(run: RunResult) -> Sequence[str]:
    changed = [
        change.id
        for comparison in run.comparisons
        for change in comparison.changes
        if change.cls in _OF_CHANCE
    ]
    failed = [
        test.id for kernel in run.kernels for test in kernel.tests if test.outcome in FAILURES
    ]
    return list(dict.fromkeys(changed + failed))[:_ASKED]


def _with_record(
    store: Store, kernel: KernelResult, run: RunResult, tests: Sequence[str]
) -> KernelResult:
    from harness.history import queries  # noqa: PLC0415  (it may be broken)
    from harness.history.stability import circumstances_of, earlier_record  # noqa: PLC0415

    if not kernel.release:
        return kernel
    ran = {test.id for test in kernel.tests}
    circumstances = circumstances_of(kernel, run.revisions or Revisions())
    # Of a run that is gone on with, what it stored before is no other run, and of a result that
    # was reused, where it is from is none either.
    this = {run.id, kernel.reused.run if kernel.reused is not None else run.id}
    found = {
        test: earlier_record(
            [
                one
                for one in queries.line(store, test, release=kernel.release)
                if one.run not in this
            ],
            circumstances,
        )
        for test in tests
        if test in ran
    }
    known = {test: record for test, record in found.items() if record is not None}
    return replace(kernel, earlier=known)
