"""What SIGINT and SIGTERM do while guests run."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from harness.errors import ExitCode
from harness.progress import Progress


@contextlib.contextmanager
def stopping(stop: threading.Event, progress: Progress) -> Iterator[None]:
    """Within this block the first SIGINT or SIGTERM sets ``stop``, a second one ends at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(ExitCode.INTERRUPTED)
        stop.set()
        progress.report("afalg-harness", f"stopping ({signal.Signals(number).name})")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
