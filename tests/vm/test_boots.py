"""Several boots of a kernel make one result: gone on with after a kill, and confirmed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from harness.model import ChangeClass, Outcome, Purpose, Status
from harness.report import results_file
from tests import documented

from .conftest import AFTER, BEFORE, COMMAND, RunCommand, boots_that_ran, execute_until, recorded

#: On the first of two kernels the third test waits for ever, unless it is in a part of the plan.
_WAITS = """
import os, pytest, signal
@pytest.mark.parametrize("number", range(6))
def test_each(number, request):
    whole = len(request.session.items) == 6
    if number == 2 and whole and "6.12.95" in os.uname().release: signal.pause()
"""
#: Of what fails on the newer kernel alone, one fails only among others.
_LOST = """
import os
NEW = "6.12.96" in os.uname().release
def test_is_there(): pass
def test_is_lost(): assert not NEW
def test_is_flaky(request): assert not NEW or len(request.session.items) < 3
"""


def _suite(tmp_path: Path, text: str) -> str:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_it.py").write_text(text)
    return str(folder)


def test_a_killed_run_is_gone_on_with(tmp_path: Path) -> None:
    """kill -9 amid the first kernel's tests: what had finished is kept, the rest is run."""
    out = tmp_path / "run"
    arguments = (BEFORE, AFTER, "--suite", _suite(tmp_path, _WAITS))
    killed = execute_until(out, lambda out: recorded(out, "outcome"), signal.SIGKILL, *arguments)
    assert killed.code == -signal.SIGKILL
    *resuming, _ = documented.arguments("run --resume")
    resume: list[str | Path] = [COMMAND, *resuming, out]
    done = subprocess.run(resume, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = results_file.load(out)
    first, second = result.kernels
    for kernel in (first, second):
        assert kernel.status is Status.COMPLETED, kernel.status_reason
        assert [test.outcome for test in kernel.tests] == 6 * [Outcome.PASSED]
        assert kernel.records_lost == 0
    boots = boots_that_ran(first)
    assert [boot.purpose for boot in boots] == [Purpose.PLAN, Purpose.REST]
    before, after = (set(boot.outcomes) for boot in boots)
    assert before and not before & after
    assert result.ended
    again = subprocess.run(resume, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert again.returncode == 2
    assert "has come to its end" in again.stderr


def test_what_was_lost_is_confirmed(run_command: RunCommand, tmp_path: Path) -> None:
    suite = ("--suite", _suite(tmp_path, _LOST))
    finished = run_command(BEFORE, AFTER, *suite, "--jobs", "2", "--confirm", "1")
    assert finished.code == 1, finished.stdout + finished.stderr
    for kernel in finished.result.kernels:
        boots = boots_that_ran(kernel)
        assert [boot.purpose for boot in boots] == [Purpose.PLAN, Purpose.CONFIRM]
        assert [len(boot.asked) for boot in boots] == [0, 2]
    (comparison,) = finished.result.comparisons
    classes = {change.id.rpartition("::")[2]: change.cls for change in comparison.changes}
    assert classes["test_is_lost"] is ChangeClass.REGRESSED
    assert classes["test_is_flaky"] is ChangeClass.FLAKY
    notes = " ".join(finished.kernel(AFTER).verdict.notes)
    assert "flaky: suite/test_it.py::test_is_flaky passed in 1 of 2 boots" in notes
