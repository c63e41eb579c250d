"""A guest on a worker of Dask: it ends with its worker, and its kernel runs on another."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness.model import Outcome, Status
from harness.processes import group_members
from harness.report import results_file

from .conftest import AFTER, COMMAND, bootable, guest_processes

_SUITE = "def test_it(): pass\n"
_SECONDS = 600.0  # far more than a boot takes on a busy machine
#: Seconds in which a guest is gone that nobody has any more.
_SOON = 10.0

_T = TypeVar("_T")


def _await(seconds: float, look: Callable[[], _T]) -> _T:
    """What ``look`` finds, once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        signal.sigtimedwait([], 0.05)  # there is nothing to wait on
    return found


def _parent(process: int) -> int:
    text = Path(f"/proc/{process}/stat").read_text()
    return int(text.rpartition(")")[2].split()[1])


def _guests(run: subprocess.Popen[bytes]) -> list[int]:
    """Guests of a run that goes on."""
    assert run.poll() is None, "it ended before a guest was seen"
    return [process for process in _guest_processes() if run.pid in _ancestors(process)]


def _guest_processes() -> list[int]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            # Not that of a worker which only asks QEMU for its version.
            if {b"-name", b"afalg-guest"} <= {*line.read_bytes().split(b"\0")}:
                found.append(int(line.parent.name))
        except OSError:
            continue
    return found


def _ancestors(process: int) -> list[int]:
    found = []
    try:
        while process > 1:
            process = _parent(process)
            found.append(process)
    except OSError:
        pass
    return found


def test_a_guest_ends_with_its_worker_and_runs_on_another(tmp_path: Path) -> None:
    bootable(AFTER)
    suite, out = tmp_path / "tiny", tmp_path / "run"
    suite.mkdir()
    (suite / "test_it.py").write_text(_SUITE)
    argv: list[str | Path] = [COMMAND, "run", AFTER, "--suite", suite, "--out", out, "--no-store"]
    argv += ["--executor", "dask:local", "--jobs", "1"]
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(argv, stdout=said, stderr=said)
    try:
        (guest,) = _await(_SECONDS, lambda: _guests(run))
        group = os.getpgid(guest)
        # vng leads the group; its parent is the worker.
        os.kill(_parent(group), signal.SIGKILL)
        _await(_SOON, lambda: not group_members(group))
        assert run.wait(_SECONDS) == 0, (tmp_path / "said").read_text()
    finally:
        run.terminate()
        run.wait(_SECONDS)
    assert "was lost; again elsewhere" in (tmp_path / "said").read_text()
    (kernel,) = results_file.load(out).kernels
    assert kernel.status is Status.COMPLETED
    outcomes = {test.id: test.outcome for test in kernel.tests}
    assert outcomes == {"tiny/test_it.py::test_it": Outcome.PASSED}
    assert guest_processes(out) == []
