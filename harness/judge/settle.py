"""A kernel's facts, completed by what the host knows beside what its guest recorded.

The code of the kernel has a word on each zero-copy path, and a judged fact that a test was
to record and did not is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.judge.facts import recorded_by, way_of
from harness.merge import together
from harness.model import (
    Cause,
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    Reason,
    State,
    TestResult,
)

#: Of tests that ended without a complaint.
_CONTENT = {Outcome.PASSED: "passed", Outcome.SKIPPED: "was skipped"}


def settled(kernel: KernelResult) -> KernelResult:
    """``kernel`` with its facts completed; one that was settled before stays as it is."""
    named = kernel.facts.named()
    for name, fact in _unrecorded(kernel, named):
        named[name] = together(named.get(name), fact)
    ways = {finding.way: finding for finding in kernel.code}
    named = {name: replace(fact, code=ways.get(way_of(name))) for name, fact in named.items()}
    return replace(kernel, facts=Facts.of(named, kernel.facts.af_alg_restrict))


def _unrecorded(kernel: KernelResult, named: dict[str, Fact]) -> Iterator[tuple[str, Fact]]:
    """What tests that ended well did not record, though they are there to.

    One that is there for several facts has recorded something if it recorded one: which of
    its paths the table of shapes has is not known here.
    """
    planned = set(kernel.plan)
    tellers = {(name, test) for name, fact in named.items() for test in (fact.test, *fact.others)}
    for test in kernel.tests:
        if test.id not in planned or test.outcome not in _CONTENT:
            continue
        names = recorded_by(test.id)
        if not any((name, test.id) in tellers for name in names):
            yield from ((name, _untold(test)) for name in names)


def _untold(test: TestResult) -> Fact:
    said = f": {test.message.strip()}" if test.message.strip() else ""
    return Fact(
        State.UNKNOWN,
        Control.NOT_RUN,
        f"{test.id} {_CONTENT[test.outcome]} without recording a state{said}",
        test.id,
        # Whatever kept it from that, it was no behaviour of the kernel's that was seen.
        Reason(Cause.HOST),
    )
