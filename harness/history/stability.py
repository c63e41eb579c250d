"""How steady a test is: what it came to where nothing was different.

Observations are alike if they are of one kernel (not of one name alone), with the same
arguments and the same revision of the suite. What differs among those is chance: the test is
flaky there. That a test passes on one kernel and fails on another says nothing of that.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from harness.history.queries import StoredOutcome
from harness.model import (
    FAILURES,
    EarlierRecord,
    KernelIdentity,
    KernelResult,
    Outcome,
    Revisions,
)

#: What says how a test behaves; skipped and missing ones say nothing of that.
TELLING = FAILURES | {Outcome.PASSED}


@dataclass(frozen=True)
class Stability:
    """The record of a test, on one kernel or on several."""

    runs: int  # in which it passed or failed
    boots: int  # the same
    passes: int  # boots in which it passed
    in_a_row: int  # newest runs in which it passed in every boot
    flakes: int  # boots that came to something else than most of those alike

    @property
    def flake_rate(self) -> float:
        """The share of boots that came to something else than most, 0 to 0.5."""
        return self.flakes / self.boots if self.boots else 0.0


def stability(outcomes: Sequence[StoredOutcome]) -> Stability:
    """The record that ``outcomes`` of one test make, which come newest first."""
    telling = [outcome for outcome in outcomes if outcome.outcome in TELLING]
    alike: dict[object, tuple[int, int]] = {}
    for one in telling:
        boots, passes = alike.get(one.circumstances, (0, 0))
        alike[one.circumstances] = boots + one.boots, passes + one.passes
    return Stability(
        runs=len(telling),
        boots=sum(boots for boots, _ in alike.values()),
        passes=sum(passes for _, passes in alike.values()),
        in_a_row=_in_a_row(telling),
        flakes=sum(min(passes, boots - passes) for boots, passes in alike.values()),
    )


def circumstances_of(kernel: KernelResult, revisions: Revisions) -> tuple[str, str, str, str]:
    """In what the tests of a kernel ran, as ``StoredOutcome.circumstances`` has it."""
    known = kernel.kernel or KernelIdentity()
    packages = (*known.packages, *(package.sha256 for package in kernel.packages))
    identity = known.build_id or known.commit or next(iter(packages), "")
    suites = "".join((revisions.suite, "\n".join(sorted(revisions.own_suites))))
    return kernel.release, identity, shlex.join(kernel.append), suites


def earlier_record(
    outcomes: Iterable[StoredOutcome], circumstances: tuple[str, str, str, str]
) -> EarlierRecord | None:
    """What ``outcomes`` of one test say of it in the same circumstances; None if nothing."""
    alike = [
        one for one in outcomes if one.outcome in TELLING and one.circumstances == circumstances
    ]
    boots = sum(one.boots for one in alike)
    return EarlierRecord(boots, sum(one.passes for one in alike)) if boots else None


def _in_a_row(outcomes: Iterable[StoredOutcome]) -> int:
    return sum(1 for _ in takewhile(lambda one: one.passes == one.boots, outcomes))
