"""Helper programs: their failures in one line, and none that outlives its asker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import InfrastructureError, Interrupted
from harness.processes import finish, group_members, helper, interruptible, run


def test_failure_is_one_line() -> None:
    argv = ["sh", "-c", "echo one >&2; echo two >&2; exit 3"]
    with pytest.raises(InfrastructureError, match=r"^trying: sh failed \(3\): one / two$"):
        run(argv, doing="trying")


def test_full_disk_is_told_apart() -> None:
    argv = ["sh", "-c", "echo 'x: No space left on device' >&2; exit 1"]
    with pytest.raises(OSError, match="No space left on device: 'trying'"):
        run(argv, doing="trying")


def _group_after(error: type[BaseException]) -> int:
    argv = ["sh", "-c", "sleep 300 & sleep 300"]
    with (
        pytest.raises(error),
        helper(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        assert group_members(process.pid) != []
        raise error
    return process.pid


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_left_by_an_exception(error: type[BaseException]) -> None:
    assert group_members(_group_after(error)) == []


def test_interrupted_from_another_thread() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    with interruptible(stop), pytest.raises(Interrupted):
        finish(["sleep", "300"])
    assert time.monotonic() - started < 5
    with interruptible(stop), pytest.raises(Interrupted):
        finish(["true"])
    finish(["true"])


def test_ends_when_we_are_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "from harness.processes import finish\n"
        f"finish(['sh', '-c', 'echo $$ > {pid_file}; exec sleep 300'])"
    )
    asker = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    group = int(pid_file.read_text())
    assert group_members(group) == [group]
    asker.kill()
    asker.wait()
    while group_members(group) and time.monotonic() < deadline:
        time.sleep(0.01)
    survived = group_members(group)
    for pid in survived:
        os.kill(pid, 9)
    assert survived == []
