"""Which tests are ended before their limit. Idleness is played, and so is the agent."""

from __future__ import annotations

import ast

import pytest

from harness.guest import patience as module
from harness.guest.heard import Heard
from harness.guest.messages import RecordLine
from harness.guest.parsing import parse_line
from harness.guest.patience import Limits, Patience, Times, known_times, limits_of, usual_seconds
from harness.locations import suite_dir
from tests.unit.guest.boots import BOOT, alive, hello, plan, record, start

_QUICK, _SLOW = "functional/test_hash.py::test_quick", "functional/test_hash.py::test_slow[1]"
_OWN = "mine/test_it.py::test_it"
_TESTS = (_QUICK, _SLOW, _OWN)


@pytest.fixture(autouse=True)
def _times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "known_times", lambda: Times({_SLOW.partition("[")[0]: 2.0}, {}))


class _Guest:
    """A guest that runs tests, and is idle when it is said to be."""

    def __init__(self, ceiling: float = 30.0) -> None:
        self.heard = Heard(BOOT)
        self.asked: list[tuple[float, str]] = []
        self.idle_since: float | None = None
        self._now, self._seq = 0.0, 1
        self.patience = Patience(ceiling, self._idle, self._ask)
        for said in (hello(), plan(tests=_TESTS)):
            self.heard.record(said.seconds, parse_line(said.text)[1])

    def _idle(self, now: float) -> float:
        return now - self.idle_since if self.idle_since is not None else 0.0

    def _ask(self, request: bytes) -> None:
        self.asked.append((round(self._now - self.heard.began, 2), request.decode()))

    def begins(self, test: str, at: float) -> None:
        self._hear(start(at, self._next(), test))

    def ends(self, test: str, at: float, seconds: float) -> None:
        fields = {"outcome": "passed", "seconds": seconds, "message": "", "details": ""}
        self._hear(record(at, "outcome", self._next(), id=test, **fields))

    def lives(self, state: str, at: float) -> None:
        self._hear(alive(at, self._next(), state=state, where="x"))

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _hear(self, said: RecordLine) -> None:
        self.heard.record(said.seconds, parse_line(said.text)[1])

    def looks(self, until: float) -> str:
        """Look each quarter of a second; the first word that it is to be given up."""
        at = self.heard.began
        while at < until:
            at += 0.25
            self._now = at
            if given_up := self.patience.look(self.heard, at):
                return f"{at - self.heard.began:g}: {given_up}"
        return ""


def test_a_test_that_stands_still_in_an_idle_guest() -> None:
    guest = _Guest()
    guest.begins(_QUICK, 10.0)
    guest.idle_since = 10.1
    assert guest.looks(13.5) == ""
    assert guest.asked == [(1.25, "idle 1\n"), (3.0, "hung 1\n")], "each once"


def test_a_busy_guest_is_left_its_limit() -> None:
    guest = _Guest()
    guest.begins(_QUICK, 10.0)
    assert (guest.looks(50.0), guest.asked) == ("", [])


def test_a_pause_of_work_begins_anew() -> None:
    guest = _Guest()
    guest.begins(_QUICK, 10.0)
    guest.looks(14.0)
    guest.idle_since = 14.0
    guest.looks(14.75)
    assert guest.asked == []
    guest.looks(15.5)
    assert guest.asked == [(5.0, "hung 1\n")]


def test_what_takes_long_elsewhere_is_waited_for() -> None:
    """Four times as long, and twice that while it is not known how fast this host is."""
    guest = _Guest()
    guest.begins(_SLOW, 10.0)
    guest.idle_since = 10.0
    guest.looks(27.0)
    assert guest.asked == [(16.0, "hung 1\n")]


def test_a_slow_host() -> None:
    guest = _Guest(ceiling=300)
    guest.begins(_SLOW, 10.0)
    guest.ends(_SLOW, 30.0, 10.0)  # five times as long as usual
    other = _SLOW.replace("[1]", "[2]")
    assert limits_of(other, 300, 5.0) == Limits(40.0, 40.0)
    guest.begins(_QUICK, 30.0)
    guest.idle_since = 30.0
    guest.looks(34.0)
    assert guest.asked[-1] == (3.0, "hung 2\n"), "the second test of this boot"
    assert guest.patience._took / guest.patience._usual == 5.0


@pytest.mark.parametrize(("state", "seconds"), [("D", 8), ("S", 28)])
def test_a_test_that_no_signal_ends(state: str, seconds: int) -> None:
    """One that sleeps so that a signal wakes it may be cleaning up, and is waited for longer."""
    guest = _Guest()
    guest.begins(_QUICK, 10.0)
    guest.lives(state, 12.0)
    guest.idle_since = 10.0
    said = f"the guest has been idle for {seconds} s while running {_QUICK}"
    assert guest.looks(60.0) == f"{seconds}: {said}"


def test_a_test_that_cleans_up_after_the_signal() -> None:
    guest = _Guest()
    guest.begins(_QUICK, 10.0)
    guest.idle_since = 10.0
    guest.looks(14.0)
    guest.idle_since = None
    assert guest.looks(60.0) == ""


def test_another_test_is_asked_for_by_its_number() -> None:
    guest = _Guest()
    guest.begins(_SLOW, 10.0)
    guest.ends(_SLOW, 12.0, 2.0)
    guest.begins(_QUICK, 12.0)
    guest.idle_since = 12.0
    guest.looks(15.5)
    assert guest.asked == [(1.0, "idle 2\n"), (3.0, "hung 2\n")]


def test_a_test_of_the_user_is_left_its_limit() -> None:
    guest = _Guest()
    guest.begins(_OWN, 10.0)
    guest.idle_since = 10.0
    assert guest.looks(60.0) == ""
    assert guest.asked == [(1.5, "idle 1\n"), (29.0, "note 1\n")]


def test_nothing_is_told_between_tests() -> None:
    guest = _Guest()
    guest.idle_since = 0.0
    assert (guest.looks(60.0), guest.asked) == ("", [])


def test_programs_have_limits_of_their_own() -> None:
    test = "consumers/test_programs.py::test_kcapi_rng[root]"
    assert limits_of(test, 30.0, 1.0).hangs > 30.0


def test_of_which_tests_it_is_known() -> None:
    assert (usual_seconds(_QUICK), usual_seconds(_SLOW), usual_seconds(_OWN)) == (0.0, 2.0, None)


def test_every_time_is_one_of_a_test() -> None:
    """A function that was renamed needs its time under its new name."""
    times = known_times().functions
    for name, seconds in times.items():
        path, _, function = name.partition("::")
        tree = ast.parse((suite_dir() / path).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in names, name
        assert 0 < seconds < 60
    assert len(times) > 100
