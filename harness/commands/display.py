"""Where a command shows its progress."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console

from harness.progress import LineProgress, LiveProgress, Progress, SilentProgress


class ProgressConsole(Console):
    """stderr. Nobody need read it, and whoever reads the results on stdout goes on doing so."""

    def __init__(self) -> None:
        super().__init__(stderr=True, emoji=False)  # of a spec and its colon

    def on_broken_pipe(self) -> None:
        """Leave it to those who print: rich would silence stdout and end the program with 1."""
        raise BrokenPipeError


@contextlib.contextmanager
def progress_display(console: Console, quiet: bool) -> Iterator[Progress]:
    """Live display on a terminal, plain lines elsewhere, nothing if ``quiet``."""
    if quiet:
        yield SilentProgress()
    elif console.is_terminal:
        with LiveProgress(console) as live:
            yield live
    else:
        yield LineProgress(console)
