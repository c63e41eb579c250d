"""What /proc says of the suite's process, from files written by hand and of a real process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.guest.inside.suite_process import SuiteProcess

_STACK = "[<0>] af_alg_wait_for_data+0x1/0x2\n[<0>] skcipher_recvmsg+0x3/0x4\n"


class _Proc:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = path / "7"
        self._directory.mkdir()
        self._now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self._now)
        (self._directory / "wchan").write_text("af_alg_wait_for_data")
        (self._directory / "stack").write_text(_STACK)
        self.process = SuiteProcess(7, path)

    def at(self, seconds: float, state: str, switches: int) -> None:
        self._now = 100 + seconds
        (self._directory / "stat").write_text(f"7 (py) D (x) {state} 1 7 7")
        text = f"voluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t3\n"
        (self._directory / "status").write_text(text)


def test_a_sleep_that_no_signal_ends_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = _Proc(tmp_path, monkeypatch)
    proc.at(0, "D", 10)
    first = proc.process.look(asked=False)
    assert (first.state, first.where, first.blocked) == ("D", "af_alg_wait_for_data", 0.0)
    assert first.stack == ()
    proc.at(5, "D", 10)
    assert proc.process.look(asked=False).blocked == 5.0
    proc.at(10, "D", 10)
    later = proc.process.look(asked=True)
    assert (later.blocked, later.asked) == (10.0, True)
    assert later.stack == ("af_alg_wait_for_data+0x1/0x2", "skcipher_recvmsg+0x3/0x4")


def test_one_that_woke_up_meanwhile_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = _Proc(tmp_path, monkeypatch)
    for seconds, state, switches in ((0, "D", 10), (5, "D", 11), (10, "S", 12), (15, "D", 12)):
        proc.at(seconds, state, switches)
        assert proc.process.look(asked=False).blocked == 0.0


def test_a_real_process() -> None:
    seen = SuiteProcess(os.getpid()).look(asked=True)
    assert (seen.state, seen.blocked, seen.stack) == ("R", 0.0, ())


def test_a_process_that_is_gone() -> None:
    assert SuiteProcess(2**22 + 1).look(asked=False).state == ""


def test_where_it_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of threads that wait for another, that one counts; else what the kernel says in short."""
    proc = _Proc(tmp_path, monkeypatch)
    assert proc.process.sleeps_in() == "af_alg_wait_for_data", "no threads are told"
    for thread, stack in (("7", "[<0>] futex_wait_queue+0x1/0x2\n"), ("9", _STACK)):
        place = tmp_path / "7/task" / thread
        place.mkdir(parents=True)
        (place / "stack").write_text(stack)
    assert proc.process.sleeps_in() == "af_alg_wait_for_data < skcipher_recvmsg"
    (tmp_path / "7/task/10").mkdir()
    (tmp_path / "7/task/10/stack").write_text("[<0>] futex_do_wait+0x1/0x2\n")
    assert proc.process.sleeps_in() == "af_alg_wait_for_data < skcipher_recvmsg"
    for thread in ("7", "9"):
        (tmp_path / f"7/task/{thread}/stack").write_text("")
    (tmp_path / "7/wchan").write_text("0")
    assert proc.process.sleeps_in() == ""
