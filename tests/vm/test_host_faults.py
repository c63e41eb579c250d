"""What the host does to a run: full disks, odd places, other runs, an end from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import Outcome, Status
from harness.report import results_file

from .conftest import COMMAND, RunCommand, execute_until, guest_processes, recorded

_KERNEL = "debian:6.12.43+deb12-amd64"
_QUICK = "def test_quick(): pass\n"
_WAITING = """
import signal
def test_before(): pass
def test_waits(): signal.pause()
"""
#: On the root's disk, whose writes QEMU keeps in a file.
_FILLS = """
import os
def test_before(): pass
def test_fills():
    with open("/usr/filled", "wb") as file:
        for _ in range(64): file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
"""


def _suite(tmp_path: Path, text: str) -> str:
    (tmp_path / "test_host.py").write_text(text)
    return str(tmp_path / "test_host.py")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 24 MiB, at a path short enough for sockets."""
    place = Path(tempfile.mkdtemp(prefix="small."))
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        place.rmdir()
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)
    place.rmdir()


def test_a_full_disk_under_a_guest(
    run_command: RunCommand, tmp_path: Path, small_disk: Path
) -> None:
    """QEMU stops the guest for want of room: no hang of the kernel's."""
    environment = {"TMPDIR": str(small_disk)}
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _FILLS), environment=environment)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 3, finished.stdout
    assert kernel.status is Status.INTERRUPTED
    assert kernel.status_reason.startswith(f"no space left in {small_disk} (TMPDIR)")
    assert [test.outcome for test in kernel.tests] == [Outcome.PASSED, Outcome.MISSING]
    assert list(small_disk.iterdir()) == []


def test_two_runs_in_one_odd_place(tmp_path: Path) -> None:
    """One in a PID namespace of its own. No word of the place reaches a shell."""
    place = tmp_path / ("a b'\"; touch pwned; $(touch pwned) `touch pwned` &".ljust(115, "x"))
    place.mkdir()
    suite = _suite(tmp_path, _QUICK)
    namespace = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode != 0:
        namespace = []
    words: list[str | Path] = [COMMAND, "run", _KERNEL, "--suite", suite, "--quiet", "--out"]
    runs = [
        subprocess.Popen(
            [*prefix, *words, tmp_path / name],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(place)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, prefix in {"one": list[str](), "two": namespace}.items()
    ]
    told = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    for name in ("one", "two"):
        (kernel,) = results_file.load(tmp_path / name).kernels
        assert [test.outcome for test in kernel.tests] == [Outcome.PASSED]
    assert [*tmp_path.rglob("pwned"), *place.iterdir()] == []


def test_vng_killed_alone(tmp_path: Path) -> None:
    """Its terminal goes with it, and QEMU with the terminal: no crash of the kernel's."""

    def kill_vng(out: Path) -> bool:
        if not recorded(out, "outcome"):
            return False
        for process in guest_processes(out):
            os.kill(os.getsid(process), signal.SIGKILL)  # vng leads their session
        return True

    # Signal 0 only asks whether the process exists: the run itself is left alone.
    suite = _suite(tmp_path, _WAITING)
    finished = execute_until(tmp_path / "run", kill_vng, 0, _KERNEL, "--suite", suite)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 3
    assert kernel.status is Status.INTERRUPTED
    assert "killed from outside" in kernel.status_reason
    assert [test.outcome for test in kernel.tests] == [Outcome.PASSED, Outcome.MISSING]
    assert guest_processes(tmp_path / "run") == []
