"""What the long steps report while they run: a live display on a terminal, lines elsewhere."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from harness.output import nobody_need_listen


class Progress(Protocol):
    """Receives what a long step is doing. Safe to call from several threads."""

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Say what ``subject`` (a kernel spec, "guest image") is doing now.

        ``activity`` is a short phrase ("downloading linux-image-…"); ``fraction`` is how
        much of it is done, 0 to 1, where that is known; ``detail`` changes too often for a
        log (the file that is being compiled).
        """

    def finish(self, subject: str, outcome: str) -> None:
        """Say how ``subject`` ended; it reports nothing after that."""


class SilentProgress:
    """Reports nothing (``--quiet``, tests)."""

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Ignore it."""

    def finish(self, subject: str, outcome: str) -> None:
        """Ignore it."""


class LineProgress:
    """One plain line per new activity, for logs: no control characters, no repeated lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Print the activity once; fractions are not repeated as lines."""
        with self._lock:
            if self._last.get(subject) != activity:
                self._last[subject] = activity
                self._print(subject, activity)

    def finish(self, subject: str, outcome: str) -> None:
        """Print the outcome."""
        with self._lock:
            self._last.pop(subject, None)
            self._print(subject, outcome)

    def _print(self, subject: str, text: str) -> None:
        with nobody_need_listen():
            self._console.print(f"{subject}: {text}", markup=False, highlight=False, soft_wrap=True)


class LiveProgress:
    """One line per subject at the bottom of a terminal, rewritten as it changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._active: dict[str, tuple[str, float | None, str]] = {}
        self._lock = threading.Lock()
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=8, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Replace the subject's line."""
        with self._lock:
            self._active[subject] = (activity, fraction, detail)

    def finish(self, subject: str, outcome: str) -> None:
        """Remove the subject's line and leave its outcome above the display."""
        with self._lock:
            self._active.pop(subject, None)
        with nobody_need_listen():
            self._console.print(f"{subject}: {outcome}", markup=False, highlight=False)

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 1))
        with self._lock:
            rows = list(self._active.items())
        for subject, (activity, fraction, detail) in rows:
            share = detail if fraction is None else f"{fraction:4.0%}"
            table.add_row(self._spinner, subject, activity, share)
        return table
