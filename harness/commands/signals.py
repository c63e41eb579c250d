"""What SIGINT, SIGTERM and SIGHUP do while guests run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from harness.errors import ExitCode

if TYPE_CHECKING:  # rich takes a while to import
    from harness.progress import Progress


def ending_signals() -> tuple[signal.Signals, ...]:
    """The signals that end a command in order: SIGHUP, too, unless it is ignored (nohup)."""
    hangup = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangup else []))


@contextlib.contextmanager
def stopping(stop: threading.Event, progress: Progress) -> Iterator[None]:
    """Within this block the first of ``ending_signals`` sets ``stop``, a second ends at once."""
    reading, writing = os.pipe()
    told: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        # Runs amid whatever the main thread does, which may hold the lock of the progress
        # or of the event: so this takes none, and another thread does the rest.
        if number == signal.SIGHUP and number in told:
            return  # by the kernel and by the shell, for one closed terminal
        if told or stop.is_set():
            raise SystemExit(ExitCode.INTERRUPTED)
        told.append(number)
        os.write(writing, bytes([number]))

    def tell() -> None:
        for number in os.read(reading, 1):  # none if the pipe was closed first
            stop.set()
            progress.report("afalg-harness", f"stopping ({signal.Signals(number).name})")

    teller = threading.Thread(target=tell, name="signals", daemon=True)
    teller.start()
    previous = {number: signal.signal(number, handle) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(writing)
        teller.join()
        os.close(reading)
