"""However a guest or the run ends, nothing finished is lost and nothing is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from harness.model import Boot, Hang, KernelResult, Outcome, Purpose, Status
from harness.scratch import leftovers, sweep

from .conftest import (
    RunCommand,
    assert_replayed,
    booting,
    boots_that_ran,
    execute_until,
    guest_processes,
    recorded,
)

_KERNEL = "debian:6.12.43+deb12-amd64"
_OLD = "debian:6.1.0-50-amd64"

_QUICK = "def test_quick(): pass\n"
_CRASHES = """
import os, signal
from pathlib import Path
def test_before(): pass
def test_floods_the_console():
    line = b"x" * 120 + bytes([10])
    with open("/dev/ttyS0", "wb", buffering=0) as console:
        for _ in range(160): console.write(line * 64)
def test_panics():
    Path("/proc/sys/kernel/sysrq").write_text("1")
    Path("/proc/sysrq-trigger").write_text("c")
def test_between(): pass
def test_dies(): os.kill(os.getpid(), signal.SIGKILL)
def test_after(): pass
"""
_STUCK = """
import signal, socket
ours, theirs = socket.socketpair()
def _wait(): ours.recv(1)
def test_before(): pass
def test_overruns(): _wait()
def test_between(): pass
def test_cannot_be_interrupted():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    _wait()
def test_after(): pass
"""

#: vfork's parent heeds no signal until its child runs a program; this child opens a FIFO.
_BLOCKED = """
import os
def test_before(): pass
def test_sleeps_uninterruptibly(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    actions = [(os.POSIX_SPAWN_OPEN, 0, tmp_path / "fifo", os.O_RDONLY, 0)]
    os.posix_spawn("/bin/true", ["true"], {}, file_actions=actions)
"""
#: Loops of the highest priority on every CPU, without the throttle: nothing else runs.
_SILENT = """
import os, signal
from pathlib import Path
def test_takes_every_cpu():
    Path("/proc/sys/kernel/sched_rt_runtime_us").write_text("-1")
    for cpu in os.sched_getaffinity(0):
        if os.fork() == 0:
            os.sched_setaffinity(0, {cpu})
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
            while True: pass
    signal.pause()
"""
_REPORTS = """
def _log(text):
    with open("/dev/kmsg", "w") as log: log.write(text)
def test_lockdep(): _log("<4>WARNING: possible circular locking dependency detected")
def test_ubsan(): _log("<3>UBSAN: array-index-out-of-bounds in crypto/algif_hash.c:101:12")
"""
#: A process that outlives the suite stops the guest's first one for good.
_NO_POWER_OFF = """
import ctypes, os, signal
PTRACE_ATTACH = 16
def test_before(): pass
def test_holds_init():
    if os.fork() == 0:
        os.setsid()
        ctypes.CDLL(None).ptrace(PTRACE_ATTACH, 1, 0, 0)
        while True: signal.pause()
"""


def _suite(tmp_path: Path, text: str) -> str:
    folder = tmp_path / "endings"
    folder.mkdir()
    (folder / "test_it.py").write_text(text)
    return str(folder)


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, leaving: FileLock) -> Iterator[None]:
    with leaving:
        sweep()
        assert leftovers() == []
    yield
    assert guest_processes(tmp_path / "run") == []
    with leaving:
        assert leftovers() == []


@pytest.fixture(autouse=True)
def _files_say_what_the_run_said(tmp_path: Path) -> Iterator[None]:
    yield
    assert_replayed(tmp_path / "run")


def test_crashes(run_command: RunCommand, tmp_path: Path) -> None:
    """A panic after a flood, then pytest is killed: the rest of the plan goes on each time."""
    limits = ("--test-timeout", "300", "--boots", "4")
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _CRASHES), *limits)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    assert kernel.status is Status.CRASHED
    assert "sysrq triggered crash" in kernel.status_reason
    assert [(test.id.rpartition("::")[2], test.outcome) for test in kernel.tests] == [
        ("test_before", Outcome.PASSED),
        ("test_floods_the_console", Outcome.PASSED),
        ("test_panics", Outcome.CRASHED),
        ("test_between", Outcome.PASSED),
        ("test_dies", Outcome.CRASHED),
        ("test_after", Outcome.PASSED),
    ]
    purposes = [boot.purpose for boot in boots_that_ran(kernel)]
    assert purposes == [Purpose.PLAN, Purpose.REST, Purpose.REST, Purpose.ALONE]
    assert not kernel.tests[2].is_flaky
    assert kernel.kernel is not None
    assert len(kernel.kernel.build_id) == 40
    assert "gcc" in kernel.kernel.compiler
    panic = boots_that_ran(kernel)[0].console_events[0]
    assert (panic.kind, panic.test) == ("panic", "endings/test_it.py::test_panics")
    console = (finished.out / kernel.directory / "console.log").read_text()
    assert console.count("x" * 120) > 10_000
    assert "sysrq_handle_crash" in console


def test_a_hang(run_command: RunCommand, tmp_path: Path) -> None:
    limits = ("--test-timeout", "3", "--boots", "1")
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _STUCK), *limits)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    assert kernel.status is Status.HUNG
    assert "test_cannot_be_interrupted" in kernel.status_reason
    assert [test.outcome for test in kernel.tests] == [
        Outcome.PASSED,
        Outcome.TIMEOUT,
        Outcome.PASSED,
        Outcome.TIMEOUT,
        Outcome.MISSING,
    ]


def test_a_hang_that_no_signal_ends(run_command: RunCommand, tmp_path: Path) -> None:
    """The agent says that the process is stuck in the kernel, and where."""
    limits = ("--test-timeout", "5", "--boots", "1")
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _BLOCKED), *limits)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    (boot,) = boots_that_ran(kernel)
    assert (kernel.status, boot.hang) == (Status.HUNG, Hang.BLOCKED_TEST)
    assert "uninterruptible sleep in kernel_clone" in kernel.status_reason
    assert "sysrq: Show Blocked State" in kernel.tests[1].details
    text = (finished.out / kernel.directory / f"hang-{_number(boot, kernel)}.txt").read_text()
    assert "CPU#1" in text, "the registers of both CPUs"


def test_a_kernel_that_gives_no_sign_of_life(run_command: RunCommand, tmp_path: Path) -> None:
    """6.1, for later ones leave ordinary tasks a share of each CPU (the fair server)."""
    memory = tmp_path / "memory"
    limits = ("--test-timeout", "10", "--boots", "1")
    arguments = (*limits, "--dump-guest-memory", str(memory))
    finished = run_command(_OLD, "--suite", _suite(tmp_path, _SILENT), *arguments)
    kernel = finished.kernel(_OLD)
    assert finished.code == 1
    (boot,) = boots_that_ran(kernel)
    assert (kernel.status, boot.hang) == (Status.HUNG, Hang.KERNEL)
    assert "Show backtrace of all active CPUs" in kernel.tests[0].details, "by its keyboard"
    (dump,) = memory.iterdir()
    assert dump.name == f"{kernel.release}-{_number(boot, kernel)}.kdump"
    assert dump.read_bytes()[:12] == b"makedumpfile"


def test_a_killed_qemu(tmp_path: Path) -> None:
    """QEMU dies amid the suite: no crash of the kernel, and what had finished is kept."""

    def kill_qemu(out: Path) -> bool:
        return recorded(out, "outcome") and _end_qemu(out, signal.SIGKILL)

    # Signal 0 only asks whether the process exists: the run itself is left alone.
    suite = _suite(tmp_path, _STUCK)
    finished = execute_until(tmp_path / "run", kill_qemu, 0, _KERNEL, "--suite", suite)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 3
    assert kernel.status is Status.INTERRUPTED
    assert "QEMU was killed from outside (SIGKILL" in kernel.status_reason
    assert kernel.tests[0].outcome is Outcome.PASSED
    assert kernel.tests[-1].outcome is Outcome.MISSING


def _number(boot: Boot, kernel: KernelResult) -> int:
    """Which boot it was, from 1: one may have failed before by a fault of the emulation."""
    return kernel.boots.index(boot) + 1


def _end_qemu_while_booting(out: Path) -> bool:
    return booting(out) and _end_qemu(out, signal.SIGTERM)


def _kill_vng_while_booting(out: Path) -> bool:
    """Its terminal goes with it, and QEMU with the terminal: no crash of the kernel's."""
    if not booting(out):
        return False
    for process in guest_processes(out):
        os.kill(os.getsid(process), signal.SIGKILL)  # vng leads their session
    return True


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (_end_qemu_while_booting, "QEMU was killed from outside (SIGTERM"),
        (_kill_vng_while_booting, "killed from outside"),
    ],
    ids=["QEMU terminated", "vng killed"],
)
def test_a_guest_that_is_ended_while_it_boots(
    end: Callable[[Path], bool], reason: str, tmp_path: Path
) -> None:
    """Nothing was heard of it yet: it is booted once more."""
    suite = _suite(tmp_path, _QUICK)
    # Signal 0 only asks whether the process exists: the run itself is left alone.
    finished = execute_until(tmp_path / "run", end, 0, _KERNEL, "--suite", suite)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 0, finished.stdout + finished.stderr
    (ended,) = (boot for boot in kernel.boots if boot.killed)
    last = kernel.boots[-1]
    assert (ended.status, last.status) == (Status.INTERRUPTED, Status.COMPLETED)
    assert reason in ended.status_reason
    assert [test.outcome for test in kernel.tests] == [Outcome.PASSED]


def _end_qemu(out: Path, number: signal.Signals) -> bool:
    for process in guest_processes(out):
        if b"qemu-system" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0]:
            os.kill(process, number)
    return True


def test_a_silent_console(run_command: RunCommand, tmp_path: Path) -> None:
    """What the kernel reports is found in its log, and the console is not trusted."""
    silent = ("--append", "quiet", "--append", "loglevel=0", "--append", "no_such=1")
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _REPORTS), *silent)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    (boot,) = boots_that_ran(kernel)
    assert [(event.kind, event.test) for event in boot.console_events] == [
        ("lockdep", "endings/test_it.py::test_lockdep"),
        ("ubsan", "endings/test_it.py::test_ubsan"),
    ]
    assert kernel.console_watch is not None
    assert kernel.console_watch.seen == 0 < kernel.console_watch.written
    assert kernel.ignored_arguments == ("no_such=1",)


def test_a_guest_that_does_not_power_off(run_command: RunCommand, tmp_path: Path) -> None:
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _NO_POWER_OFF))
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    assert kernel.status is Status.HUNG
    assert "did not power off" in kernel.status_reason
    assert [test.outcome for test in kernel.tests] == [Outcome.PASSED] * 2
