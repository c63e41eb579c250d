"""However a guest or the run ends, nothing finished is lost and nothing is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge.conclude import conclude
from harness.judge.expectations import run_expectations
from harness.model import Hang, Outcome, Purpose, Status
from harness.replayed import replay_run
from harness.report import results_file
from harness.scratch import leftovers, sweep

from .conftest import RunCommand, boots_that_ran, execute_until, guest_processes, recorded

_KERNEL = "debian:6.12.43+deb12-amd64"
_OTHER = "debian:6.12.96+deb13-amd64"
_OLD = "debian:6.1.0-50-amd64"

_PANIC = """
def test_before(): pass
def test_panics():
    with open("/proc/sys/kernel/sysrq", "w") as enable: enable.write("1")
    with open("/proc/sysrq-trigger", "w") as trigger: trigger.write("c")
def test_after(): pass
"""
_KILLED = """
import os, signal
def test_before(): pass
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
_FLOOD = """
from pathlib import Path
def test_floods_the_console():
    line = b"x" * 120 + bytes([10])
    with open("/dev/ttyS0", "wb", buffering=0) as console:
        for _ in range(800): console.write(line * 64)
def test_panics():
    Path("/proc/sysrq-trigger").write_text("c")
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
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    sweep()
    assert leftovers() == []
    yield
    assert guest_processes(tmp_path / "run") == []
    assert leftovers() == []


@pytest.fixture(autouse=True)
def _files_say_what_the_run_said(tmp_path: Path) -> Iterator[None]:
    """However it ended: console and records alone give the same result once more."""
    yield
    stored, heard = results_file.load(tmp_path / "run"), replay_run(tmp_path / "run")
    replayed = conclude(heard, run_expectations(stored), None)
    for live, again in zip(stored.kernels, replayed.kernels, strict=True):
        if live.directory:  # else the run died before it stored what it had seen
            assert replace(again, verdict=live.verdict, notes=live.notes) == live


def test_a_panic(run_command: RunCommand, tmp_path: Path) -> None:
    """The rest goes on in a second boot, the culprit runs alone in a third."""
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _PANIC))
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    assert kernel.status is Status.CRASHED
    assert "sysrq triggered crash" in kernel.status_reason
    outcomes = [test.outcome for test in kernel.tests]
    assert outcomes == [Outcome.PASSED, Outcome.CRASHED, Outcome.PASSED]
    purposes = [boot.purpose for boot in boots_that_ran(kernel)]
    assert purposes == [Purpose.PLAN, Purpose.REST, Purpose.ALONE]
    assert not kernel.tests[1].is_flaky
    assert kernel.kernel is not None
    assert len(kernel.kernel.build_id) == 40
    assert "gcc" in kernel.kernel.compiler
    assert kernel.console_events[0].kind == "panic"
    assert kernel.console_events[0].test == "endings/test_it.py::test_panics"
    assert "sysrq_handle_crash" in (finished.out / kernel.directory / "console.log").read_text()


def test_a_killed_suite(run_command: RunCommand, tmp_path: Path) -> None:
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _KILLED), "--boots", "1")
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    assert kernel.status is Status.CRASHED
    outcomes = [test.outcome for test in kernel.tests]
    assert outcomes == [Outcome.PASSED, Outcome.CRASHED, Outcome.MISSING]


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
    assert (kernel.status, kernel.boots[0].hang) == (Status.HUNG, Hang.BLOCKED_TEST)
    assert "uninterruptible sleep in kernel_clone" in kernel.status_reason
    assert "sysrq: Show Blocked State" in kernel.tests[1].details
    text = (finished.out / kernel.directory / "hang-1.txt").read_text()
    assert "CPU#1" in text, "the registers of both CPUs"


def test_a_kernel_that_gives_no_sign_of_life(run_command: RunCommand, tmp_path: Path) -> None:
    """6.1, for later ones leave ordinary tasks a share of each CPU (the fair server)."""
    memory = tmp_path / "memory"
    limits = ("--test-timeout", "10", "--boots", "1")
    arguments = (*limits, "--dump-guest-memory", str(memory))
    finished = run_command(_OLD, "--suite", _suite(tmp_path, _SILENT), *arguments)
    kernel = finished.kernel(_OLD)
    assert finished.code == 1
    assert (kernel.status, kernel.boots[0].hang) == (Status.HUNG, Hang.KERNEL)
    assert "Show backtrace of all active CPUs" in kernel.tests[0].details, "by its keyboard"
    (dump,) = memory.iterdir()
    assert dump.name == f"{kernel.release}-1.kdump"
    assert dump.read_bytes()[:12] == b"makedumpfile"


def test_a_flooded_console(run_command: RunCommand, tmp_path: Path) -> None:
    limits = ("--test-timeout", "300", "--boots", "1")
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _FLOOD), *limits)
    kernel = finished.kernel(_KERNEL)
    assert (finished.code, kernel.status) == (1, Status.CRASHED)
    assert [test.outcome for test in kernel.tests] == [Outcome.PASSED, Outcome.CRASHED]
    assert kernel.console_events[-1].kind == "panic"
    assert (finished.out / kernel.directory / "console.log").stat().st_size < 10 << 20


def test_an_interrupted_run(tmp_path: Path) -> None:
    """By Ctrl-C; both signals are taken alike (tests/unit/test_signals.py)."""

    def first_is_over(out: Path) -> bool:
        return recorded(out, "outcome")

    suite = _suite(tmp_path, _STUCK)
    finished = execute_until(
        tmp_path / "run", first_is_over, signal.SIGINT, _KERNEL, _OTHER, "--suite", suite
    )
    assert finished.code == 130
    assert "Traceback" not in finished.stderr
    result = finished.result
    assert result.exit_code == 130
    assert [kernel.status for kernel in result.kernels] == [Status.INTERRUPTED] * 2
    assert result.kernels[0].tests[0].outcome is Outcome.PASSED
    assert not any(kernel.verdict.ok for kernel in result.kernels)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_qemu(tmp_path: Path, number: signal.Signals) -> None:
    """QEMU dies amid the suite: no crash of the kernel, and what had finished is kept."""

    def kill_qemu(out: Path) -> bool:
        if not recorded(out, "outcome"):
            return False
        for process in guest_processes(out):
            if b"qemu-system" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(process, number)
        return True

    # Signal 0 only asks whether the process exists: the run itself is left alone.
    suite = _suite(tmp_path, _STUCK)
    finished = execute_until(tmp_path / "run", kill_qemu, 0, _KERNEL, "--suite", suite)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 3
    assert kernel.status is Status.INTERRUPTED
    assert f"QEMU was killed from outside ({number.name}" in kernel.status_reason
    assert kernel.tests[0].outcome is Outcome.PASSED
    assert kernel.tests[-1].outcome is Outcome.MISSING


def test_a_silent_console(run_command: RunCommand, tmp_path: Path) -> None:
    """What the kernel reports is found in its log, and the console is not trusted."""
    silent = ("--append", "quiet", "--append", "loglevel=0", "--append", "no_such=1")
    finished = run_command(_KERNEL, "--suite", _suite(tmp_path, _REPORTS), *silent)
    kernel = finished.kernel(_KERNEL)
    assert finished.code == 1
    assert [(event.kind, event.test) for event in kernel.console_events] == [
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


def test_a_killed_run_leaves_no_guest(tmp_path: Path) -> None:
    """The run itself dies by SIGKILL: its guest goes with it, its records stay."""
    suite = _suite(tmp_path, _STUCK)
    out = tmp_path / "run"
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        execute_until(
            out, lambda out: recorded(out, "outcome"), signal.SIGKILL, _KERNEL, "--suite", suite
        )
    finally:
        signal.signal(signal.SIGHUP, previous)
    for _ in range(100):
        if not guest_processes(out):
            break
        signal.sigtimedwait([], 0.1)  # QEMU notices the closed terminal in its own time
    assert guest_processes(out) == []
    assert recorded(out, "outcome")
    assert results_file.load(out).kernels[0].status is Status.INTERRUPTED
    sweep()  # as the next run does
