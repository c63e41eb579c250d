"""Kernels that answer from a table, for bisects of the whole command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from harness.bisect import search, tester
from harness.commands.actions import bisect_step, refusals
from harness.model import (
    ConsoleEvent,
    Control,
    Fact,
    Facts,
    GuestIdentity,
    KernelResult,
    Outcome,
    Role,
    State,
    Status,
    TestResult,
)
from harness.run_options import RunOptions

TEST = "functional/test_hash.py::test_sha256"
PANIC = ConsoleEvent("panic", "Kernel panic - not syncing: Fatal exception", 9.0)


def kernel(*tests: TestResult, **facts: Fact) -> KernelResult:
    """A kernel that was booted, and was the one asked for."""
    return KernelResult(
        "debian:x",
        "x",
        Role.CANDIDATE,
        Status.COMPLETED,
        identity=GuestIdentity("x", "#1", "x86_64", "", "c0ffee"),
        facts=Facts(other=facts),
        tests=tests,
    )


def writes(state: str) -> KernelResult:
    """A kernel whose page_cache_write was seen as ``state``."""
    return replace(kernel(), facts=Facts(page_cache_write=Fact(State(state), Control.FIRED)))


def ended(outcome: str, **changes: Any) -> KernelResult:
    """A kernel on which TEST ended as ``outcome``."""
    return replace(kernel(TestResult(TEST, Outcome(outcome))), **changes)


def simulate(
    monkeypatch: pytest.MonkeyPatch, table: Mapping[str, KernelResult | Exception]
) -> list[str]:
    """Let every boot of a bisect have the result that ``table`` has for its spec.

    Returns the specs that are booted, in order, as they are.
    """
    booted: list[str] = []

    class SimulatedRun:
        errors: ClassVar[dict[str, Exception]] = {}

        def __init__(self, options: RunOptions, _: object, **__: object) -> None:
            self.spec = options.specs[0]

        def execute(self) -> Any:
            booted.append(self.spec)
            result = table[self.spec]
            if isinstance(result, Exception):
                raise result
            return type("Result", (), {"kernels": (result,)})

    monkeypatch.setattr(tester, "Run", SimulatedRun)
    monkeypatch.setattr(tester, "resolve", lambda *_: None)
    monkeypatch.setattr(refusals, "refuse_impossible", lambda *_: None)
    monkeypatch.setattr(bisect_step, "parse_spec", lambda _: None)
    monkeypatch.setattr(search, "fetch_ahead", lambda *_: None)
    return booted
