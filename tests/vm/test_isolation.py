"""What a guest on our own image can reach of the host, seen from inside one, and from beside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.guest.launcher import DISK_LIMIT, USER_IDS
from harness.model import Outcome, Status

from .conftest import AFTER, COMMAND, Finished, boots_that_ran, guest_processes

_SUITE = '''
import errno
import os
from pathlib import Path

import pytest


def _words(pattern):
    return sorted(path.read_text().strip() for path in Path("/sys").glob(pattern))


def test_no_file_system_of_the_host():
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    assert "ext4" in kinds
    assert not kinds & {"9p", "virtiofs"}


def test_virtio_devices():
    """Three disks and a console (virtio_ids.h): none for 9p (9), a network (1) or vsock (19)."""
    assert _words("bus/virtio/devices/*/device") == ["0x0002"] * 3 + ["0x0003"]


def test_pci_devices():
    """Those four, QEMU's host bridge and its ISA bridge: no watchdog, for one."""
    devices = [
        "".join((path / name).read_text().strip()[2:] for name in ("vendor", "device"))
        for path in Path("/sys/bus/pci/devices").iterdir()
    ]
    virtio = ["1af41001"] * 3 + ["1af41003"]
    assert sorted(devices) == sorted([*virtio, "808629c0", "80862918"])


def test_one_port():
    assert _words("class/virtio-ports/*/name") == ["afalg.results"]


def test_no_network():
    assert [path.name for path in Path("/sys/class/net").iterdir()] == ["lo"]


def test_came_compiled():
    """Pytest writes what it has compiled by itself anew: then the file has a time."""
    (compiled,) = Path(__file__).parent.glob("__pycache__/test_seen.*-pytest-*.pyc")
    assert compiled.stat().st_mtime == 0


def test_a_disk_has_a_limit():
    """Runs last. Each piece is written out at once, so that its failure is heard."""
    piece, written = os.urandom(1 << 20), 0
    descriptor = os.open("/filled", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with pytest.raises(OSError) as refused:
            while written < 2 * LIMIT:
                for _ in range(8):
                    written += os.write(descriptor, piece)
                os.fsync(descriptor)
        assert refused.value.errno == errno.EIO, f"{refused.value} after {written} bytes"
        assert written <= LIMIT + (16 << 20)
    finally:
        os.close(descriptor)
        os.unlink("/filled")
'''


@dataclass(frozen=True)
class Watched:
    """A run, and what was seen of its QEMU from the host."""

    finished: Finished
    statuses: tuple[dict[str, str], ...]  # /proc/PID/status, once for each look
    written: int  # the most that a file of QEMU's took on the host's disk, in bytes
    arguments: str  # QEMU's


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One boot with the suite above."""
    folder = tmp_path_factory.mktemp("isolation")
    suite, out = folder / "isolated", folder / "run"
    suite.mkdir()
    (suite / "test_seen.py").write_text(_SUITE.replace("LIMIT", str(DISK_LIMIT)))
    command: list[str | Path] = [
        COMMAND,
        "run",
        AFTER,
        "--suite",
        suite,
        "--out",
        out,
        "--test-timeout",
        "300",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    looks = list(_looks(process, out))
    stdout, stderr = process.communicate()
    return Watched(
        Finished(process.returncode, stdout, stderr, out),
        tuple(status for status, _, _ in looks),
        max((size for _, size, _ in looks), default=0),
        looks[-1][2] if looks else "",
    )


def _looks(process: subprocess.Popen[str], out: Path) -> Iterator[tuple[dict[str, str], int, str]]:
    while process.poll() is None:
        for pid in guest_processes(out):
            directory = Path("/proc", str(pid))
            try:
                lines = (directory / "status").read_text().splitlines()
                status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                words = (directory / "cmdline").read_text().replace("\0", " ")
                if "/fdset/" in words:  # else it is not QEMU yet
                    yield status, _written(directory / "fd"), words
            except OSError:
                continue  # it has ended
        signal.sigtimedwait([], 0.1)  # there is nothing to wait on


def _written(descriptors: Path) -> int:
    """The most bytes that a deleted file takes: the guest's writes are in one."""
    files = [path for path in descriptors.iterdir() if "vl." in str(path.readlink())]
    return max((path.stat().st_blocks * 512 for path in files), default=0)


@pytest.mark.parametrize("name", re.findall(r"def (test_\w+)", _SUITE))
def test_from_inside(watched: Watched, name: str) -> None:
    (kernel,) = watched.finished.result.kernels
    found = {test.id: test for test in kernel.tests}
    test = found[f"isolated/test_seen.py::{name}"]
    assert test.outcome is Outcome.PASSED, test.message


def test_a_filled_disk_is_not_the_kernels_fault(watched: Watched) -> None:
    (kernel,) = watched.finished.result.kernels
    assert kernel.status is Status.INTERRUPTED
    assert "the guest filled its disk" in kernel.status_reason
    assert watched.finished.code == 3
    assert len(boots_that_ran(kernel)) == 1


def test_the_hosts_disk_is_not_filled(watched: Watched) -> None:
    assert 0.9 * DISK_LIMIT < watched.written <= DISK_LIMIT


def test_qemu_has_no_rights_that_it_does_not_need(watched: Watched) -> None:
    status = watched.statuses[-1]
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    users = {int(word) for word in status["Uid"].split()}
    if os.geteuid() == 0:
        assert users <= set(USER_IDS)
    else:
        assert users == {os.geteuid()}


def test_qemus_arguments_name_no_file_of_the_host(watched: Watched) -> None:
    for part in ("-fsdev", "virtio-9p", "i6300esb", "-netdev", "root.ext4", "payload.tar"):
        assert part not in watched.arguments
    assert watched.arguments.count("virtserialport") == 1
    assert "-net none" in watched.arguments
