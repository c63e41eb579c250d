"""Helper programs: their failures in one line, and none that outlives its asker."""

from __future__ import annotations

import ast
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import InfrastructureError, Interrupted
from harness.processes import finish, finish_bytes, group_members, helper, interruptible, run

_HARNESS = Path(__file__).parents[2] / "harness"
#: What starts programs, by the module it is in; ours kill what they start when we end.
_PAST_US = {
    "subprocess": {"Popen", "call", "check_call", "check_output", "getoutput", "run"},
    "os": {"popen", "posix_spawn", "posix_spawnp", "spawnv", "spawnvp", "system"},
}


def _starts(path: Path) -> list[str]:
    """Where a module starts a program by itself."""
    names = {f"{module}.{name}" for module, names in _PAST_US.items() for name in names}
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            found.append(f"{path.relative_to(_HARNESS)}:{node.lineno}")
        if isinstance(node, ast.ImportFrom) and node.module in _PAST_US:
            imported = {alias.name for alias in node.names} & _PAST_US[node.module]
            found += [f"{path.relative_to(_HARNESS)}:{node.lineno}"] * bool(imported)
    return found


def test_no_program_is_started_past_us() -> None:
    ours = _starts(_HARNESS / "processes.py")
    inside = _HARNESS / "guest/inside"  # runs in the guest, where the harness is not
    others = [path for path in _HARNESS.rglob("*.py") if inside not in path.parents]
    assert len(ours) == 1
    assert [start for path in others for start in _starts(path)] == ours


def test_bytes_go_in_and_come_out(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    done = finish_bytes(["cat"], stdin=data)
    assert (done.returncode, done.stdout) == (0, data)
    file = tmp_path / "file"
    file.write_bytes(data)
    with file.open("rb") as opened:
        assert finish_bytes(["cat"], stdin=opened.fileno()).stdout == data
    assert finish_bytes(["true"], stdin=data).returncode == 0
    assert finish_bytes(["cat"]).stdout == b""


def test_text_is_decoded_whatever_it_is() -> None:
    assert finish(["cat"], stdin=b"a\xff\r\nb").stdout == "a\ufffd\nb"


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
    os.mkfifo(pid_file)
    code = (
        "from harness.processes import finish\n"
        f"finish(['sh', '-c', 'echo $$ > {pid_file}; exec sleep 300'])"
    )
    asker = subprocess.Popen([sys.executable, "-c", code])
    group = int(pid_file.read_text())  # as soon as it is written
    assert group_members(group) == [group]
    ended = os.pidfd_open(group)
    asker.kill()
    asker.wait()
    select.select([ended], [], [], 20)
    os.close(ended)
    survived = group_members(group)
    for pid in survived:
        os.kill(pid, 9)
    assert survived == []
