"""What the long steps report while they run: a live display on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from harness.output import nobody_need_listen
from harness.text import clean

_NAMED = 3  # waiting subjects that are named
#: Fraction from which on the time that is left is told by what was done, in the absence of
#: earlier runs.
_TELLING = 0.05


class Tone(IntEnum):
    """What an answer is to its reader; of several the last counts."""

    PLAIN = 0
    GOOD = 1
    DOUBTFUL = 2
    BAD = 3


_STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.DOUBTFUL: "yellow", Tone.BAD: "bold red"}


class Progress:
    """Receives what long steps are doing. Safe to call from several threads.

    This one tells nobody.
    """

    def begin(self, subjects: Sequence[str], at_once: int, seconds: float | None = None) -> None:
        """Say which ``subjects`` (kernel specs) are to be worked on, so many at once.

        ``seconds`` is how long one took in earlier runs, if that is known.
        """

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Say what ``subject`` (a kernel spec, "guest image") is doing now.

        ``activity`` is a short phrase ("downloading linux-image-…"); ``fraction`` is how
        much of it is done, 0 to 1, where that is known; ``detail`` changes too often for a
        log (the file that is being compiled, the test that is running).
        """

    def fails(self, subject: str, what: str) -> None:
        """Say what just failed of ``subject``, which goes on all the same."""

    def answers(self, subject: str, what: str, tone: Tone) -> None:
        """Say what is known of ``subject`` by now, which goes on."""

    def finish(self, subject: str, outcome: str) -> None:
        """Say how ``subject`` ended."""


class SilentProgress(Progress):
    """Reports nothing (``--quiet``, tests)."""


class PartialProgress(Progress):
    """What is done beside other things of the same subject: of that only what fails is told."""

    def __init__(self, whole: Progress) -> None:
        self._whole = whole

    def fails(self, subject: str, what: str) -> None:
        """Tell it."""
        self._whole.fails(subject, what)


class LineProgress(Progress):
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

    def fails(self, subject: str, what: str) -> None:
        """Print it."""
        with self._lock:
            self._print(subject, what)

    def answers(self, subject: str, what: str, tone: Tone) -> None:
        """Print it."""
        self.fails(subject, what)

    def finish(self, subject: str, outcome: str) -> None:
        """Print the outcome."""
        with self._lock:
            self._last.pop(subject, None)
            self._print(subject, outcome)

    def _print(self, subject: str, text: str) -> None:
        line = clean(f"{subject}: {text}")
        with nobody_need_listen():
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveProgress(Progress):
    """A line for each active subject at the bottom of a terminal, one for all of them below.

    What failed and what ended stays above them.
    """

    def __init__(self, console: Console) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._planned: list[str] = []
        self._done: dict[str, float] = {}  # subject -> seconds that it took
        self._at_once = 1
        self._seconds: float | None = None
        self._bars = Bars(
            TextColumn("{task.fields[subject]}", markup=False, table_column=_column(width=26)),
            BarColumn(bar_width=6),
            TextColumn("{task.fields[activity]}", markup=False, table_column=_column(ratio=1)),
            _Clock(self._left),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=4,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, subjects: Sequence[str], at_once: int, seconds: float | None = None) -> None:
        """Show from now on how many are done and which wait."""
        with self._lock:
            self._planned = list(subjects)
            self._at_once, self._seconds = max(1, at_once), seconds
            if self._all is None and len(subjects) > 1:
                self._all = self._bars.add_task("", total=len(subjects), subject="", activity="")
            self._count()

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Replace the subject's line."""
        text = clean(_shown(activity, detail))
        with self._lock:
            if subject not in self._tasks:
                self._tasks[subject] = self._bars.add_task(
                    "", total=None, subject=clean(subject), activity=text
                )
                self._move_down()
                self._count()
            total = None if fraction is None else 1.0
            self._bars.update(
                self._tasks[subject], total=total, completed=fraction or 0.0, activity=text
            )

    def fails(self, subject: str, what: str) -> None:
        """Leave it above the display."""
        self._say(subject, what, style="red")

    def answers(self, subject: str, what: str, tone: Tone) -> None:
        """Leave it above the display."""
        self._say(subject, what, style=_STYLES[tone])

    def finish(self, subject: str, outcome: str) -> None:
        """Remove the subject's line and leave its outcome above the display."""
        with self._lock:
            task = self._tasks.pop(subject, None)
            if task is not None:
                if subject in self._planned:
                    self._done[subject] = self._task(task).elapsed or 0.0
                self._bars.remove_task(task)
            elif subject in self._planned:
                self._done.setdefault(subject, 0.0)
            self._count()
        self._say(subject, outcome)

    def _say(self, subject: str, text: str, style: str = "") -> None:
        with nobody_need_listen():
            line = Text(clean(f"{subject}: {text}"), style=style)
            self._bars.console.print(line, highlight=False)

    def _task(self, number: TaskID) -> Task:
        return next(task for task in self._bars.tasks if task.id == number)

    def _move_down(self) -> None:
        """The line for all subjects stands below those of each."""
        if self._all is not None:
            old = self._task(self._all)
            self._bars.remove_task(self._all)
            self._all = self._bars.add_task("", total=old.total, subject="", activity="")
            self._task(self._all).start_time = old.start_time

    def _waiting(self) -> list[str]:
        return [one for one in self._planned if one not in self._done and one not in self._tasks]

    def _count(self) -> None:
        if self._all is None:
            return
        waiting = self._waiting()
        names = ", ".join(waiting[:_NAMED])
        self._bars.update(
            self._all,
            completed=len(self._done),
            subject=f"{len(self._done)} of {len(self._planned)} done",
            activity=clean(f"{len(waiting)} waiting: {names}" if waiting else ""),
        )

    def _left(self, task: Task) -> float | None:
        """Seconds until a task is done, as far as anything tells; called while it is drawn."""
        active = [one for one in self._bars.tasks if one.id != self._all]
        if task.id != self._all:
            return self._left_of(task)
        told = [left for one in active if (left := self._left_of(one)) is not None]
        waiting, each = len(self._waiting()), self._expected()
        if (waiting and each is None) or not (told or waiting):
            return None
        return max(told, default=0.0) + math.ceil(waiting / self._at_once) * (each or 0.0)

    def _left_of(self, task: Task) -> float | None:
        elapsed, each = task.elapsed or 0.0, self._expected()
        if each is not None and task.fields["subject"] in map(clean, self._planned):
            return max(0.0, each - elapsed)
        done = task.completed if task.total else 0.0
        return elapsed * (1 - done) / done if done > _TELLING else None

    def _expected(self) -> float | None:
        """How long a subject takes: by this run, else by earlier ones."""
        took = [seconds for seconds in self._done.values() if seconds]
        return sum(took) / len(took) if took else self._seconds


def _shown(activity: str, detail: str) -> str:
    """What has room in a line: of a test the bar says already that it is one of many."""
    if "::" in detail:
        return detail.rpartition("/")[2]
    return f"{activity}: {detail}" if detail else activity


def _column(*, width: int | None = None, ratio: int | None = None) -> Column:
    """One line, whatever is in it."""
    return Column(no_wrap=True, overflow="ellipsis", max_width=width, ratio=ratio)


class _Clock(ProgressColumn):
    """Time that has passed, and time that is left: ``2:05, 0:40 left``."""

    def __init__(self, left: Callable[[Task], float | None]) -> None:
        super().__init__(table_column=Column(no_wrap=True, justify="right"))
        self._left = left

    def render(self, task: Task) -> Text:
        """The times of ``task``."""
        left = self._left(task)
        told = f", {_minutes(left)} left" if left is not None else ""
        return Text(f"{_minutes(task.elapsed or 0.0)}{told}", style="dim")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
