"""One step of a bisect: votes, and what is no fault of the kernel."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.bisect import tester as module
from harness.bisect.check import BisectCheck
from harness.bisect.state import Asked, BisectState
from harness.bisect.tester import majority
from harness.errors import (
    BuildError,
    FetchError,
    HarnessError,
    InfrastructureError,
    InputError,
    Interrupted,
)
from harness.judge.expectations import Expectations
from harness.kernels.sources import KernelSources
from harness.model import KernelResult, Outcome, Role, Status, TestResult
from harness.progress import SilentProgress
from harness.run_options import RunOptions

TEST = "functional/test_hash.py::test_sha256"
OUTCOMES = {
    "p": Outcome.PASSED,
    "f": Outcome.FAILED,
    "c": Outcome.CRASHED,
    "t": Outcome.TIMEOUT,
    "-": Outcome.SKIPPED,
}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[BisectState]:
    opened = BisectState(tmp_path / "out", Asked("x", "", ("a", "b"), ()), fresh=False)
    yield opened
    opened.close()


def make(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    boots: str = "p",
    *,
    repeat: int = 1,
    error: HarnessError | None = None,
    status: Status = Status.COMPLETED,
    status_exit: int | None = None,
) -> module.Tester:
    """A tester whose guests answer as ``boots`` says, one letter each."""
    answers = iter(boots)

    class FakeRun:
        errors: ClassVar[dict[str, Exception]] = {}

        def __init__(self, options: RunOptions, _: object, **__: object) -> None:
            self.options = options

        def execute(self) -> Any:
            test = TestResult(TEST, OUTCOMES[next(answers)])
            spec = self.options.specs[0]
            assert self.options.selection.suites == (TEST,)
            kernel = KernelResult(
                spec, "1.0", Role.CANDIDATE, status, "why", status_exit, tests=(test,)
            )
            return type("Result", (), {"kernels": (kernel,)})

    def resolve(*_: object) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(module, "Run", FakeRun)
    monkeypatch.setattr(module, "resolve", resolve)
    options = RunOptions(
        (), None, KernelSources(tmp_path), tmp_path / "out", "command", Expectations()
    )
    return module.Tester(
        BisectCheck("test", TEST), options, repeat, SilentProgress(), threading.Event()
    )


@pytest.mark.parametrize(
    ("boots", "repeat", "value", "booted"),
    [
        ("p", 1, "passed", 1),
        ("f", 1, "failed", 1),
        ("-", 1, "", 1),
        ("ppp", 3, "passed", 3),
        ("ppfppp", 3, "passed", 6),  # they differ: once more, then the majority
        ("pfpfff", 3, "failed", 6),
        ("pfpf", 2, "", 4),  # a draw steers nothing
        ("-p-p", 2, "passed", 4),  # what could not be judged has no say
        ("-p--", 2, "", 4),  # fewer answers than were asked for
        ("--", 2, "", 2),
        ("fpcpct", 3, "failed", 6),  # none has a majority, but it does not pass
        ("ctcppt", 3, "failed", 6),
        ("pcppff", 3, "", 6),
    ],
)
def test_votes(
    boots: str,
    repeat: int,
    value: str,
    booted: int,
    state: BisectState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = make(monkeypatch, tmp_path, boots, repeat=repeat).test("a", state)
    assert (step.value, len(step.runs)) == (value, booted)
    assert len(step.votes) == (booted if repeat > 1 else 0)
    assert step.value or step.reason


def test_a_vote_on_one_sort_of_failure(
    state: BisectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for a crash does not get told of other failures instead."""
    tester = make(monkeypatch, tmp_path, "fpcpct", repeat=3)
    step = dataclasses.replace(tester, find="crashed").test("a", state)
    assert step.value == ""
    assert "2 times crashed" in step.reason


def test_majority() -> None:
    assert majority(["a", "a", "b"]) == "a"
    assert majority(["a", "b"]) is None


@pytest.mark.parametrize("error", [BuildError("does not build"), InputError("gone")])
def test_a_kernel_that_cannot_be_had_is_skipped(
    error: HarnessError, state: BisectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = make(monkeypatch, tmp_path, error=error).test("a", state)
    assert (step.value, step.runs) == ("", ())
    assert str(error) in step.reason


def test_a_failed_download_is_not_held_against_the_kernel(
    state: BisectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FetchError):
        make(monkeypatch, tmp_path, error=FetchError("no network")).test("a", state)
    assert state.steps == {}


@pytest.mark.parametrize(
    ("status", "status_exit", "raised"),
    [
        (Status.INTERRUPTED, None, Interrupted),
        (Status.INTERRUPTED, 3, InfrastructureError),  # QEMU was killed from outside
        (Status.UNAVAILABLE, 3, InfrastructureError),
        (Status.UNAVAILABLE, 2, InfrastructureError),
    ],
)
def test_a_run_that_did_not_happen(
    status: Status,
    status_exit: int | None,
    raised: type[Exception],
    state: BisectState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(raised):
        make(monkeypatch, tmp_path, status=status, status_exit=status_exit).test("a", state)
    assert state.steps == {}, "it says nothing of the kernel"


def test_a_kernel_that_does_not_boot_is_skipped(
    state: BisectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = make(monkeypatch, tmp_path, "-", status=Status.BOOT_FAILED).test("a", state)
    assert (step.value, step.reason) == ("", "why")
