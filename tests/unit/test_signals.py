"""Signals: the first one stops gracefully, whatever the main thread is at; a second at once."""

from __future__ import annotations

import io
import os
import signal
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


def test_none_at_all() -> None:
    before = signal.getsignal(signal.SIGINT)
    threads = threading.active_count()
    stop = threading.Event()
    with stopping(stop, SilentProgress()):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    assert not stop.is_set()
    assert threading.active_count() == threads
