"""Signals: the first one stops gracefully, whatever the main thread is at; a second at once."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from harness.commands.signals import stopping
from harness.progress import LineProgress, SilentProgress

#: Seconds; what would hang for good fails by then.
pytestmark = pytest.mark.timeout(20)


class _Interrupting(io.StringIO):
    """A file at whose first write Ctrl-C is pressed."""

    def write(self, text: str) -> int:
        if not self.getvalue():
            super().write("begun: ")
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def test_amid_a_line_of_progress() -> None:
    """The main thread holds the progress lock; the line is finished, then the stop is told."""
    file = _Interrupting()
    stop = threading.Event()
    progress = LineProgress(Console(file=file, width=80))
    with stopping(stop, progress):
        progress.report("a kernel", "booting")
        assert stop.wait(10)
    assert file.getvalue() == "begun: a kernel: booting\nafalg-harness: stopping (SIGINT)\n"


def test_amid_a_wait_for_the_stop() -> None:
    """The main thread holds the event's own lock, as it does when it begins to wait."""
    stop = threading.Event()
    with stopping(stop, SilentProgress()):
        with stop._cond:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(10)


def test_a_second_one_ends_at_once() -> None:
    with (
        pytest.raises(SystemExit, match="130"),
        stopping(threading.Event(), SilentProgress()),
    ):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_hangup() -> None:
    stop = threading.Event()
    with stopping(stop, SilentProgress()):
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.wait(10)
        os.kill(os.getpid(), signal.SIGHUP)  # it comes from the kernel and from the shell


def test_a_hangup_under_nohup() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping(threading.Event(), SilentProgress()):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


_ON_A_TERMINAL = """
import signal, sys, threading
from rich.console import Console
from harness import cli
from harness.commands.actions import doctor
from harness.commands.signals import stopping
from harness.output import reader_may_leave
from harness.progress import LineProgress
def execute(arguments):
    stop = threading.Event()
    with stopping(stop, LineProgress(Console(stderr=True))):
        print("ready", flush=True)
        stop.wait()
    with reader_may_leave():
        Console().print("the verdict " * 1000)
    return 130
doctor.execute = execute
sys.exit(cli.main(["doctor"]))
"""


@pytest.mark.timeout(200)  # it imports much
def test_a_terminal_that_is_closed() -> None:
    """The hangup stops what is under way, and what nobody can read any more is no error."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        with os.fdopen(master, "rb") as terminal:
            assert terminal.readline() == b"ready\r\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)  # by the kernel, and by the shell
        assert process.wait() == 130
    finally:
        process.kill()
        process.wait()


def test_none_at_all() -> None:
    before = signal.getsignal(signal.SIGINT)
    threads = threading.active_count()
    stop = threading.Event()
    with stopping(stop, SilentProgress()):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    assert not stop.is_set()
    assert threading.active_count() == threads
