"""What the host does to a run: full disks, odd places, other runs, an end from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.emulator import tells_of_emulator_fault
from harness.guest.vng import APPEND_BYTES
from harness.model import Outcome, Status
from harness.processes import group_members
from tests import documented

from .conftest import AFTER, COMMAND, Finished, RunCommand

_KERNEL = "debian:6.12.43+deb12-amd64"
#: As much as may be added to a command line: it has to fit, however ours grow.
_LONG = "x.y=" + "a" * (APPEND_BYTES["disk"] - len(" x.y="))
_QUICK = "def test_quick(): pass\n"
_HAND = """
def test_mine(record_fact, known_answers, provoked):
    record_fact("mine", state="absent", control="fired", evidence=str(len(known_answers)))
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


@dataclass(frozen=True)
class Beside:
    """A run and a shell that were there at the same time."""

    run: Finished
    shell: Finished
    left: tuple[Path, ...]  # files


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Beside:
    """Both in one odd place, the shell in a PID namespace of its own."""
    folder = tmp_path_factory.mktemp("host")
    place = folder / ("a b'\"; touch pwned; $(touch pwned) `touch pwned` &".ljust(115, "x"))
    place.mkdir()
    namespace = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode != 0:
        namespace = []
    write = f"printf %s '{_HAND}' > test_hand.py"
    *shown, tests = documented.arguments("shell debian:6.12.96+deb13-amd64 --exec")
    command = f"uname -r; {tests}; {write}; pytest -q test_hand.py; echo err >&2; exit 7"
    suite = _suite(folder, _QUICK)
    commands: list[list[str | Path]] = [
        [COMMAND, "run", _KERNEL, "--suite", suite, "--out", folder / "run", "--append", _LONG],
        [*namespace, COMMAND, *shown, command],
    ]
    run, shell = (
        subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(place)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for argv in commands
    )
    out, told = folder / "run", [process.communicate() for process in (run, shell)]
    return Beside(
        Finished(run.returncode, *told[0], out),
        Finished(shell.returncode, *told[1], out),
        (*folder.rglob("pwned"), *place.iterdir()),
    )


def test_a_run_beside_a_shell(beside: Beside) -> None:
    """Neither takes what the other has, and no word of the place reaches a shell."""
    assert beside.run.code == 0, beside.run.stderr
    (kernel,) = beside.run.result.kernels
    assert [test.outcome for test in kernel.tests] == [Outcome.PASSED]
    assert beside.left == ()


def test_a_command(beside: Beside) -> None:
    """Output, errors and status arrive as they are; the suite is at hand."""
    done = beside.shell
    assert done.code == 7, done.stderr
    assert done.stdout.startswith(AFTER.removeprefix("debian:") + "\n")
    assert re.search(r"^\.?fact mine = absent \(control fired\): [1-9]", done.stdout, re.MULTILINE)
    assert len(re.findall(r"\b[1-9]\d* passed", done.stdout)) == 2, done.stdout
    assert done.stderr.endswith("err\n")


def _output_of(script: Path, place: Path) -> str:
    """What a script prints whose processes are all gone soon after it."""
    with subprocess.Popen(
        ["sh", script],
        cwd=place,
        env={**os.environ, "TMPDIR": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        output, _ = process.communicate(timeout=1200)
        started = time.monotonic()
        while group_members(process.pid) and time.monotonic() < started + 10:
            signal.sigtimedwait([], 0.1)
        assert not group_members(process.pid)
    return output


def test_vng_txt_boots_the_guest_again(beside: Beside, tmp_path: Path) -> None:
    """When the run is over: the script needs nothing but the cache and the run directory."""
    (script,) = beside.run.out.glob("kernels/*/vng.txt")
    output = _output_of(script, tmp_path)
    if tells_of_emulator_fault(output.splitlines()):
        output = _output_of(script, tmp_path)  # in a run it would be booted again
    records = Path(re.findall(r"^records: (.*)", output, re.MULTILINE)[0])
    text = records.read_text()
    assert '"type": "end"' in text, output[-2000:]
    assert text.count('"outcome": "passed"') == 1
