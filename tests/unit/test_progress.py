"""The displays of what goes on: what a person sees of it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from harness import durations
from harness.durations import Durations
from harness.progress import LineProgress, LiveProgress, Progress, Tone


class Clock:
    """Seconds, as a test has them pass."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Screen:
    """A live display on a terminal of 80 columns, and what it shows."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.file = io.StringIO()
        console = Console(file=self.file, width=80, force_terminal=True, color_system=None)
        self.progress = LiveProgress(console)
        self.progress._bars.get_time = self.clock
        for task in self.progress._bars.tasks:
            task._get_time = self.clock
        self._console = Console(file=io.StringIO(), width=80)

    def lines(self) -> list[str]:
        """The lines of the display as it would be drawn now."""
        file = io.StringIO()
        Console(file=file, width=80).print(self.progress._bars.get_renderable())
        return [line.rstrip() for line in file.getvalue().splitlines()]

    def above(self) -> str:
        """What stays."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.file.getvalue())


@pytest.fixture
def screen() -> Screen:
    return Screen()


KERNELS = [f"debian:6.12.{number}" for number in range(7)]


def test_what_runs_what_waits_and_what_is_left(screen: Screen) -> None:
    progress = screen.progress
    progress.begin(KERNELS, 2, seconds=100)
    progress.report(KERNELS[0], "running 9 tests", 0.25, "functional/test_hash.py::test_sha1")
    progress.report(KERNELS[1], "booting")
    screen.clock.seconds += 40
    first, second, everything = screen.lines()
    assert first.startswith("debian:6.12.0 ")
    assert first.endswith("0:40, 1:00 left")
    assert "test_hash.py::test_sha1" in first
    assert "booting" in second
    assert everything.startswith("0 of 7 done ")
    assert "5 waiting: debian:6.12.2, " in everything
    # One minute of those that run, and three rounds of two for the five that wait.
    assert everything.endswith("0:40, 6:00 left")
    assert max(map(len, screen.lines())) <= 80


def test_an_answer_stays_above_while_its_kernel_goes_on(screen: Screen) -> None:
    screen.progress.begin(KERNELS[:1], 1)
    screen.progress.report(KERNELS[0], "running 9 tests", 0.25)
    screen.progress.answers(KERNELS[0], "first answer after 9.9 s: zero-copy gone", Tone.GOOD)
    assert f"{KERNELS[0]}: first answer after 9.9 s: zero-copy gone" in screen.above()
    assert screen.lines()[0].startswith(KERNELS[0])


def test_this_run_tells_better_than_earlier_ones(screen: Screen) -> None:
    progress = screen.progress
    progress.begin(KERNELS[:3], 1, seconds=1000)
    progress.report(KERNELS[0], "booting")
    screen.clock.seconds += 60
    progress.finish(KERNELS[0], "6.12.0: 9 passed")
    progress.report(KERNELS[1], "booting")
    second, everything = screen.lines()
    assert second.endswith("0:00, 1:00 left")
    assert everything.startswith("1 of 3 done ")
    assert everything.endswith("1:00, 2:00 left")
    assert f"{KERNELS[0]}: 6.12.0: 9 passed" in screen.above()


def test_without_earlier_runs_the_share_tells(screen: Screen) -> None:
    screen.progress.begin(KERNELS[:1], 1)
    screen.progress.report(KERNELS[0], "running 4 tests", 0.0)
    screen.clock.seconds += 30
    assert screen.lines()[0].endswith(" 0:30")
    screen.progress.report(KERNELS[0], "running 4 tests", 0.75)
    assert screen.lines()[0].endswith("0:30, 0:10 left")


def test_failures_stay(screen: Screen) -> None:
    screen.progress.report(KERNELS[0], "running 4 tests", 0.5)
    screen.progress.fails(KERNELS[0], "failed functional/test_x.py::test_y: \x1b[2Jno")
    assert f"{KERNELS[0]}: failed functional/test_x.py::test_y: ?[2Jno\n" in screen.above()


def test_a_display_of_nothing_that_was_planned(screen: Screen) -> None:
    """The guest image, a download."""
    screen.progress.report("guest image", "building")
    assert len(screen.lines()) == 1
    screen.progress.finish("guest image", "built")
    assert screen.lines() == []


def test_live_on_a_terminal() -> None:
    file = io.StringIO()
    with LiveProgress(Console(file=file, width=80, force_terminal=True)) as progress:
        progress.begin(KERNELS, 2, 10)
        for kernel in KERNELS:
            progress.report(kernel, "booting")
            progress.report(kernel, "running 4 tests", 0.5, "[bold]odd[/bold] {test} \x1b[2J")
            progress.fails(kernel, "failed")
            progress.finish(kernel, "done")
            progress.report(kernel, "once more")
            progress.finish(kernel, "done again")
    assert file.getvalue().count("done again") == len(KERNELS)
    assert "\x1b[2J" not in file.getvalue()


def test_lines() -> None:
    file = io.StringIO()
    progress = LineProgress(Console(file=file, width=40))
    progress.begin(KERNELS, 2, 10)
    for share in (0.1, 0.2):
        progress.report("k", "running 4 tests", share, f"test {share}")
    progress.fails("k", "failed functional/test_hash.py::test_sha1: expected 1, \x1b[2J saw 2")
    progress.finish("k", "done")
    assert file.getvalue().splitlines() == [
        "k: running 4 tests",
        "k: failed functional/test_hash.py::test_sha1: expected 1, ?[2J saw 2",
        "k: done",
    ]


def test_silence() -> None:
    progress = Progress()
    progress.begin(KERNELS, 1)
    progress.report("k", "x")
    progress.fails("k", "x")
    progress.finish("k", "x")


def test_durations(tmp_path: Path) -> None:
    key = durations.selection_key("tcg", ("zero_copy",), ("-k", "splice"))
    assert durations.recall(tmp_path, key) == Durations()
    durations.remember(tmp_path, key, {"a": 61.24, "b": 20})
    other = durations.selection_key("kvm", ("zero_copy",), ("-k", "splice"))
    durations.remember(tmp_path, other, {"a": 5})
    assert durations.recall(tmp_path, key) == Durations(40.6, {"a": 61.2, "b": 20})
    assert durations.recall(tmp_path, other) == Durations(5, {"a": 5})
    durations.remember(tmp_path, key, {"b": 30})
    known = durations.recall(tmp_path, key)
    assert known == Durations(30, {"a": 61.2, "b": 30}), "what the last run lacked is kept"
    assert (known.of("a"), known.of("new"), Durations().of("new")) == (61.2, 30, 0)
    for number in range(60):
        durations.remember(tmp_path, str(number), {"a": 1})
    assert durations.recall(tmp_path, key) == Durations()


def test_durations_of_many_kernels(tmp_path: Path) -> None:
    """The oldest ones are forgotten."""
    durations.remember(tmp_path, "k", {str(number): 1 + number for number in range(200)})
    durations.remember(tmp_path, "k", {"0": 7, "new": 8})
    known = durations.recall(tmp_path, "k").kernels
    assert len(known) == 200
    assert (known["0"], known["new"], known.get("1")) == (7, 8, None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"k": 61.2}', '{"k": null}'),
        *('{"k": {"each": -1}}', '{"k": {"each": "x", "kernels": []}}'),
        '{"k": {"kernels": {"a": null, "b": -1}}}',
    ],
)
def test_a_broken_file_of_durations_tells_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "durations.json").write_text(text)
    assert durations.recall(tmp_path, "k") == Durations()
    durations.remember(tmp_path, "k", {"a": 3})
    assert durations.recall(tmp_path, "k") == Durations(3, {"a": 3})


def test_a_cache_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    durations.remember(tmp_path / "file", "k", {"a": 3})
    assert durations.recall(tmp_path / "file", "k") == Durations()
