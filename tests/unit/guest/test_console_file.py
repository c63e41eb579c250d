"""A console that is too long is cut in its middle: what counts is kept, the rest is counted."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.guest import console_file as module
from harness.guest.console_file import ConsoleFile, ConsoleSection, LeftOut, read_console
from harness.guest.messages import ConsoleLine
from harness.model import Status
from tests.unit.guest.boots import (
    NONCE,
    PLAN,
    POWERED_OFF,
    Said,
    console,
    end,
    hello,
    marker,
    outcome,
    plan,
    result,
    start,
)

_HEAD, _TAIL, _REPORTS = 4000, 3000, 2000
_KASAN = [
    "BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80",
    "Read of size 8 at addr ffff",
    "Call Trace:",
    " af_alg_free_sg+0x5e/0x80",
    "==================================================================",
]


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HEAD": _HEAD, "TAIL": _TAIL, "REPORTS": _REPORTS}.items():
        monkeypatch.setattr(module, name, value)


def _noise(at: float, count: int) -> list[Said]:
    return [console(at, f"noise {number}") for number in range(count)]


def _flooded(*middle: Said) -> list[Said]:
    return [
        console(1.0, "Linux version 6.12"),
        hello(),
        plan(),
        marker(8.0, f"hello {NONCE}"),
        start(9.2, 2, PLAN[0]),
        marker(9.2, f"start {PLAN[0]}"),
        *_noise(9.2, 1000),
        outcome(9.3, 3, PLAN[0]),
        start(9.4, 4, PLAN[1]),
        marker(9.4, f"start {PLAN[1]}"),
        *middle,
        *_noise(9.5, 1000),
        outcome(9.6, 5, PLAN[1]),
        end(6),
        marker(12.0, "end"),
        console(12.5, "reboot: Power down"),
    ]


@pytest.mark.usefixtures("_small")
def test_the_ends_are_kept_and_what_is_between_them_is_counted(tmp_path: Path) -> None:
    said = _flooded()
    seen = result(tmp_path, said)
    text = (tmp_path / "console.log").read_text()
    assert len(text) < _HEAD + _REPORTS + 2 * _TAIL
    assert "Linux version" in text[:100]
    assert text.endswith("reboot: Power down\n")
    (cut,) = re.findall(r"^=== (\d+) lines \((\d+) bytes\) left out, 0 of reports", text, re.M)
    kept = text.count("\n") - 1
    assert int(cut[0]) == sum(isinstance(line, ConsoleLine) for line in said) - kept
    assert f"the console was cut in its middle: {cut[0]} lines ({cut[1]} bytes) left out" in (
        seen.notes
    )
    assert (seen.status, seen.records_lost) == (Status.COMPLETED, 0)
    watch = seen.console_watch
    assert watch is not None
    assert watch.seen == watch.written == 4, "marks of ours are never left out"


@pytest.mark.usefixtures("_small")
def test_a_report_in_what_is_cut_is_known_and_charged(tmp_path: Path) -> None:
    seen = result(tmp_path, _flooded(*[console(9.4, line) for line in _KASAN]))
    (event,) = seen.console_events
    assert (event.kind, event.test, event.seconds) == ("kasan", PLAN[1], 9.4)
    assert [line.partition("] ")[2].strip() for line in event.lines] == [
        line.strip() for line in _KASAN
    ]
    assert seen.records_lost == 0


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("before", range(80, 96))
def test_a_report_across_a_cut_is_one(tmp_path: Path, before: int) -> None:
    """At the end of the head, wherever exactly that is."""
    said = [*_noise(3.0, before), *[console(4.0, line) for line in _KASAN], *_noise(5.0, 900)]
    (event,) = result(tmp_path, said).console_events
    assert len(event.lines) == len(_KASAN)


@pytest.mark.usefixtures("_small")
def test_more_reports_than_are_kept_are_lost_and_said_so(tmp_path: Path) -> None:
    many = [console(9.4, line) for _ in range(100) for line in _KASAN]
    seen = result(tmp_path, _flooded(*many))
    assert 0 < len(seen.console_events) < 100
    assert seen.records_lost > 0
    assert any("lines of reports on the console" in note for note in seen.notes)


@pytest.mark.usefixtures("_small")
def test_each_boot_has_room_of_its_own(tmp_path: Path) -> None:
    result(tmp_path, _flooded())
    length = (tmp_path / "console.log").stat().st_size
    seen = result(tmp_path, _flooded(), POWERED_OFF)
    assert [boot.status for boot in seen.boots] == [Status.COMPLETED] * 2
    assert (tmp_path / "console.log").read_text().count(" left out, ") == 2
    assert 1.8 * length < (tmp_path / "console.log").stat().st_size < 2.2 * length


def test_reports_without_number_are_not_held(tmp_path: Path) -> None:
    """The first of each kind is, and the panic that ends it."""
    flood = [console(9.4, "BUG: something") for _ in range(2000)]
    panic = console(9.6, "Kernel panic - not syncing: Fatal exception")
    seen = result(tmp_path, [hello(), plan(), *flood, panic])
    assert len(seen.console_events) == 501
    assert seen.status is Status.CRASHED
    assert "1500 more reports of the kernel's" in seen.notes


_LINES = st.lists(
    st.sampled_from([*_KASAN, "afalg-harness: start a", "noise", "x" * 300, "=== boot 2"])
    | st.text(max_size=20),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(_LINES)
def test_what_is_read_is_what_was_written_less_what_was_left_out(lines: list[str]) -> None:
    said = [ConsoleLine(1.0, line.replace("\n", " ")) for line in lines]
    small = mock.patch.multiple(module, HEAD=300, TAIL=200, REPORTS=250)
    with tempfile.TemporaryDirectory() as folder, small:
        path = Path(folder) / "console.log"
        file = ConsoleFile(path, 1)
        for line in said:
            file.write(line)
        file.close()
        section = read_console(path).get(1, ConsoleSection(path))
        read = list(section)
    cut = section.left_out
    assert len(read) + cut.lines == len(said)
    rest = iter(line.text.encode("utf-8", "replace").decode() for line in said)
    assert all(line.text in rest for line in read), "in order, none invented"
    if cut == LeftOut():
        assert len(read) == len(said)
    if cut.reports == 0:
        reports = [line.text for line in said if line.text in _KASAN[:1]]
        assert [line.text for line in read if line.text in _KASAN[:1]] == reports
