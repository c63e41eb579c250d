"""Changes -> the tests that show them, to be run again before a loss is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.judge.transcripts import SUITE as DIFFERENTIAL
from harness.model import Change, KernelResult


def tests_behind(
    changes: Sequence[Change], kernel: KernelResult, kernels: Sequence[KernelResult]
) -> tuple[str, ...]:
    """Ids of the tests of ``kernel`` by which ``changes`` between ``kernels`` came out.

    In the plan's order; () where no test of its plan has to do with any of them.
    """
    wanted = {test for change in changes for test in _of_change(change, kernels)}
    whole_suites = tuple(f"{DIFFERENTIAL}/" for change in changes if _is_difference(change))[:1]
    return tuple(
        test
        for test in kernel.plan
        if test in wanted or (whole_suites and test.startswith(whole_suites))
    )


def _of_change(change: Change, kernels: Sequence[KernelResult]) -> Iterator[str]:
    yield change.id  # of a test
    for kernel in kernels:
        fact = kernel.facts.named().get(change.id)
        if fact is not None:
            yield from (fact.test, *fact.others)


def _is_difference(change: Change) -> bool:
    return change.id.startswith(f"{DIFFERENTIAL}/")
