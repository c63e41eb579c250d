"""Whether a QEMU computes, by files like those of /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.guest.idle import IdleWatch


class _Qemu:
    """Threads of a process: of each its state, and seconds on a CPU and waiting for one."""

    def __init__(self, proc: Path) -> None:
        self._task = proc / "7/task"
        self.watch = IdleWatch(7, proc)

    def thread(self, number: int, state: str, on_cpu: float, waited: float = 0.0) -> None:
        place = self._task / str(number)
        place.mkdir(parents=True, exist_ok=True)
        (place / "stat").write_text(f"{number} (CPU 0/TCG) {state}) {state} 1 1\n")
        (place / "schedstat").write_text(f"{on_cpu * 1e9:.0f} {waited * 1e9:.0f} 99\n")

    def drop(self, number: int) -> None:
        for file in ("stat", "schedstat"):
            (self._task / str(number) / file).unlink()
        (self._task / str(number)).rmdir()


@pytest.fixture
def qemu(tmp_path: Path) -> _Qemu:
    made = _Qemu(tmp_path)
    made.thread(7, "S", 1.0)
    made.thread(8, "S", 20.0)
    return made


def test_a_guest_that_sleeps(qemu: _Qemu) -> None:
    assert qemu.watch.idle_seconds(10.0) == 0
    qemu.thread(8, "S", 20.02)
    assert qemu.watch.idle_seconds(10.5) == 0.5
    qemu.thread(8, "S", 20.05)
    assert qemu.watch.idle_seconds(11.5) == 1.5


@pytest.mark.parametrize(
    ("state", "on_cpu", "waited"),
    [
        ("S", 20.3, 0.0),  # it computes
        ("S", 20.0, 0.3),  # it would, and others have the CPUs
        ("S", 20.1, 0.1),
        ("R", 20.0, 0.0),  # it wants to, and has not had one yet
        ("D", 20.0, 0.0),  # it waits for a disk
        ("T", 20.0, 0.0),  # it was stopped
        ("t", 20.0, 0.0),  # by a debugger
    ],
)
def test_a_guest_that_does_not(qemu: _Qemu, state: str, on_cpu: float, waited: float) -> None:
    qemu.watch.idle_seconds(10.0)
    assert qemu.watch.idle_seconds(10.5) == 0.5
    qemu.thread(8, state, on_cpu, waited)
    assert qemu.watch.idle_seconds(11.0) == 0


def test_what_was_not_looked_at_is_not_known(qemu: _Qemu) -> None:
    """We were stopped, or had no CPU ourselves."""
    qemu.watch.idle_seconds(10.0)
    assert qemu.watch.idle_seconds(13.0) == 0
    assert qemu.watch.idle_seconds(13.5) == 0.5
    assert qemu.watch.idle_seconds(13.5) == 0, "no time has passed"


def test_threads_come_and_go(qemu: _Qemu) -> None:
    qemu.watch.idle_seconds(10.0)
    qemu.thread(9, "S", 0.01)
    assert qemu.watch.idle_seconds(10.5) == 0.5
    qemu.drop(9)
    assert qemu.watch.idle_seconds(11.0) == 1.0
    qemu.thread(9, "S", 0.4)  # another one of that number
    assert qemu.watch.idle_seconds(11.5) == 0


def test_a_kernel_that_counts_nothing(qemu: _Qemu, tmp_path: Path) -> None:
    (tmp_path / "7/task/8/schedstat").unlink()
    qemu.watch.idle_seconds(10.0)
    assert qemu.watch.idle_seconds(10.5) == 0


def test_a_kernel_that_counts_on_request_alone(qemu: _Qemu) -> None:
    """``delayacct``, and no statistics of the scheduler: ``0 0 0``."""
    for thread in (7, 8):
        qemu.thread(thread, "S", 0.0)
    qemu.watch.idle_seconds(10.0)
    assert qemu.watch.idle_seconds(10.5) == 0


def test_no_such_process(tmp_path: Path) -> None:
    watch = IdleWatch(0, tmp_path)
    watch.idle_seconds(10.0)
    assert watch.idle_seconds(10.5) == 0


def test_this_process() -> None:
    """It runs while it looks, by the kernel's own files."""
    watch = IdleWatch(os.getpid())
    watch.idle_seconds(1.0)
    assert watch.idle_seconds(1.5) == 0
