"""Several boots of a kernel make one result: gone on with after a kill, and confirmed."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from harness.cli import main
from harness.model import ChangeClass, KernelResult, Outcome, Purpose, RunResult, Status
from harness.report import results_file
from harness.scratch import leftovers, sweep
from tests import documented

from .conftest import (
    AFTER,
    BEFORE,
    COMMAND,
    Finished,
    assert_replayed,
    boots_that_ran,
    execute_until,
    guest_processes,
    recorded,
)

#: On the first of two kernels the third test waits for ever, in what is left of the plan the
#: fifth, and in what is then left none. Of what fails on the newer kernel alone, one fails only
#: among others.
_TESTS = """
import os, pytest, signal
NEW = "6.12.96" in os.uname().release
def is_whole(request): return len(request.session.items) == 8
def has_third(request): return "test_each[2]" in [item.name for item in request.session.items]
@pytest.mark.parametrize("number", range(6))
def test_each(number, request):
    waiting = 2 if is_whole(request) else 4 if has_third(request) else None
    if number == waiting and not NEW: signal.pause()
def test_is_lost(): assert not NEW
def test_is_flaky(request): assert not NEW or not is_whole(request)
"""


@dataclass(frozen=True)
class Seen:
    """What is there once a command has ended, in this way or that."""

    ended: Finished
    result: RunResult
    guests: tuple[int, ...]  # processes
    leftovers: tuple[str, ...]
    has_records: bool


@dataclass(frozen=True)
class Story:
    """One run that was killed, gone on with, interrupted, gone on with and asked for again."""

    killed: Seen
    interrupted: Seen
    whole: Seen
    again: Finished

    def kernel(self, spec: str) -> KernelResult:
        """The result of one kernel in the end."""
        return self.whole.ended.kernel(spec)


def _look(ended: Finished) -> Seen:
    for _ in range(100):
        if not guest_processes(ended.out):
            break
        signal.sigtimedwait([], 0.1)  # QEMU notices the closed terminal in its own time
    return Seen(
        ended,
        results_file.load(ended.out),
        tuple(guest_processes(ended.out)),
        tuple(map(str, leftovers())),
        recorded(ended.out, "outcome"),
    )


def _resume(out: Path) -> Finished:
    *resuming, _ = documented.arguments("run --resume")
    done = subprocess.run(
        [COMMAND, *resuming, out],
        capture_output=True,
        text=True,
        check=False,
        cwd=out.parent,
    )
    return Finished(done.returncode, done.stdout, done.stderr, out)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, leaving: FileLock) -> Story:
    """kill -9 amid the first kernel's tests, Ctrl-C amid the rest of them."""
    folder = tmp_path_factory.mktemp("boots")
    (folder / "suite").mkdir()
    (folder / "suite/test_it.py").write_text(_TESTS)
    out = folder / "run"
    arguments = (BEFORE, AFTER, "--suite", str(folder / "suite"), "--jobs", "1", "--confirm", "1")
    with leaving:
        seen, interrupted = _kill_and_interrupt(out, *arguments)
    return Story(seen, interrupted, _look(_resume(out)), _resume(out))


def _kill_and_interrupt(out: Path, *arguments: str) -> tuple[Seen, Seen]:
    sweep()
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        killed = execute_until(out, _before_has('"outcome"'), signal.SIGKILL, *arguments)
    finally:
        signal.signal(signal.SIGHUP, previous)
    seen = _look(killed)
    interrupted = execute_until(out, _before_has('"outcome"', "test_each[3]"), signal.SIGINT)
    return seen, _look(interrupted)  # it sweeps as any run


def _before_has(*words: str) -> Callable[[Path], bool]:
    """Whether the older kernel sent a record of these words: it may run first or second."""

    def has_sent(out: Path) -> bool:
        lines = [
            line
            for file in out.glob(f"kernels/*{BEFORE.partition(':')[2]}*/events.jsonl")
            for line in file.read_text().splitlines()
        ]
        return any(all(word in line for word in words) for line in lines)

    return has_sent


def test_a_killed_run_leaves_no_guest(story: Story) -> None:
    """Its guest goes with it, its records stay."""
    assert story.killed.ended.code == -signal.SIGKILL
    assert story.killed.guests == ()
    assert story.killed.has_records
    assert story.killed.result.kernels[0].status is Status.INTERRUPTED


def test_an_interrupted_run(story: Story) -> None:
    """By Ctrl-C; both signals are taken alike (tests/unit/test_signals.py)."""
    seen = story.interrupted
    assert seen.ended.code == 130, seen.ended.stderr
    assert "Traceback" not in seen.ended.stderr
    assert seen.guests == ()
    assert seen.leftovers == ()
    assert seen.result.exit_code == 130
    before, after = seen.result.kernels
    assert before.status is Status.INTERRUPTED
    assert after.status in (Status.INTERRUPTED, Status.COMPLETED)  # if it was ready first
    outcomes = [test.outcome for test in before.tests[:4]]
    assert outcomes == 4 * [Outcome.PASSED], "of both boots"
    assert not before.verdict.ok


def test_a_killed_run_is_gone_on_with(story: Story) -> None:
    """What had finished is kept, the rest is run, after any number of attempts."""
    whole = story.whole.ended
    assert whole.code == 1, whole.stdout + whole.stderr  # for what was lost
    for kernel in whole.result.kernels:
        assert kernel.status is Status.COMPLETED, kernel.status_reason
        assert [test.outcome for test in kernel.tests[:6]] == 6 * [Outcome.PASSED]
        assert kernel.records_lost == 0
    purposes = [boot.purpose for boot in boots_that_ran(story.kernel(BEFORE))]
    assert purposes == [Purpose.PLAN, Purpose.REST, Purpose.REST, Purpose.CONFIRM]
    parts = [set(boot.outcomes) for boot in boots_that_ran(story.kernel(BEFORE))[:3]]
    assert all(parts)
    assert sum(map(len, parts)) == len(set().union(*parts)) == 8
    assert whole.result.ended
    assert story.whole.guests == ()
    assert story.again.code == 2
    assert "has come to its end" in story.again.stderr


def test_what_was_lost_is_confirmed(story: Story) -> None:
    for spec in (BEFORE, AFTER):
        confirming = boots_that_ran(story.kernel(spec))[-1]
        assert confirming.purpose is Purpose.CONFIRM
        assert len(confirming.asked) == 2
    (comparison,) = story.whole.result.comparisons
    classes = {change.id.rpartition("::")[2]: change.cls for change in comparison.changes}
    assert classes["test_is_lost"] is ChangeClass.REGRESSED
    assert classes["test_is_flaky"] is ChangeClass.FLAKY
    notes = " ".join(story.kernel(AFTER).verdict.notes)
    assert "flaky: suite/test_it.py::test_is_flaky passed in 1 of 2 boots" in notes


def test_files_say_what_the_run_said(story: Story) -> None:
    assert_replayed(story.whole.ended.out)


def test_two_guests_share_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one kernel alone is run with all suites; these are few, so that it takes less time."""
    monkeypatch.setattr("harness.sharing._WORTH", 1.0)
    monkeypatch.setattr("harness.sharing._BOOT", 0.0)
    out = tmp_path / "run"
    chosen = ["--suite", "zero_copy", "--suite", "policy"]
    words = ["run", AFTER, *chosen, "--jobs", "2", "--no-store", "--out", str(out)]
    assert main(words) == 0
    if results_file.load(out).kernels[0].boots[0].identity is None:  # the emulation failed
        shutil.rmtree(out)
        capsys.readouterr()
        assert main(words) == 0
    said = capsys.readouterr().err
    assert said.index("first answer after") < said.index("waiting for the second guest")
    (kernel,) = results_file.load(out).kernels
    first, beside = kernel.boots[:2]
    assert (first.purpose, beside.purpose) == (Purpose.PLAN, Purpose.BESIDE)
    whole = "zero_copy/test_handovers.py"  # each guest says what it handed over
    assert (*first.left, whole) == beside.asked
    twice = first.outcomes.keys() & beside.outcomes.keys()
    assert {test.partition("::")[0] for test in twice} == {whole}
    assert {test.partition("::")[0] for test in beside.outcomes} == set(beside.asked)
    assert all(test.outcome in {Outcome.PASSED, Outcome.SKIPPED} for test in kernel.tests)
    assert [test.id for test in kernel.tests] == list(kernel.plan)
    assert_replayed(out)
