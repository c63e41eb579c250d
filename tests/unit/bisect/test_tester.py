"""One step of a bisect: votes, and what is no fault of the kernel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.bisect import tester as module
from harness.bisect.check import BisectCheck
from harness.bisect.state import Asked, BisectState
from harness.bisect.tester import majority
from harness.errors import BuildError, FetchError, HarnessError, InputError, Interrupted
from harness.judge.expectations import Expectations
from harness.kernels.job import KernelSources
from harness.model import KernelResult, Outcome, Role, Status, TestResult
from harness.progress import SilentProgress
from harness.run import RunOptions

TEST = "functional/test_hash.py::test_empty"
OUTCOMES = {"p": Outcome.PASSED, "f": Outcome.FAILED, "-": Outcome.SKIPPED}


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
) -> module.Tester:
    """A tester whose guests answer as ``boots`` says, one letter each."""
    answers = iter(boots)

    class FakeRun:
        def __init__(self, options: RunOptions, _: object) -> None:
            self.options = options
            self.stop = threading.Event()

        def execute(self) -> Any:
            test = TestResult(TEST, OUTCOMES[next(answers)])
            spec = self.options.specs[0]
            assert self.options.selection.suites == (TEST,)
            kernel = KernelResult(
                spec, "1.0", Role.CANDIDATE, status, status_reason="why", tests=(test,)
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
        ("-p-p", 2, "", 4),
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
    ("status", "raised"), [(Status.INTERRUPTED, Interrupted), (Status.UNAVAILABLE, HarnessError)]
)
def test_a_run_that_did_not_happen(
    status: Status,
    raised: type[Exception],
    state: BisectState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(raised):
        make(monkeypatch, tmp_path, status=status).test("a", state)


def test_a_kernel_that_does_not_boot_is_skipped(
    state: BisectState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = make(monkeypatch, tmp_path, "-", status=Status.BOOT_FAILED).test("a", state)
    assert (step.value, step.reason) == ("", "why")
