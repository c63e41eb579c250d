"""Tests that are ended before their limit: the agent's part and the suite's, in one process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from harness.guest.inside import expiry as module
from harness.guest.inside.expiry import HUNG, IDLE, NOTE, SEVERAL, Expiry, asked_for
from harness.guest.inside.words import Waited

_HERE = "wait_woken < af_alg_wait_for_data"


class _Ended(Exception):
    pass


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    def end(_signal: int, _frame: FrameType | None) -> None:
        raise _Ended

    before = signal.signal(signal.SIGALRM, end)
    yield
    signal.signal(signal.SIGALRM, before)


def _asks(expiry: Expiry, word: str, number: int, where: str = _HERE) -> bool:
    """Whether a word of the host's ends the test that runs in this process."""
    try:
        expiry.ask(word, number, os.getpid(), lambda: where)
    except _Ended:
        return True
    return False


def test_a_test_that_hangs() -> None:
    expiry = Expiry()
    expiry.begin(3)
    assert expiry.ended() is None
    assert _asks(expiry, HUNG, 3)
    assert expiry.ended() == (Waited.HUNG, _HERE)
    expiry.begin(0)
    assert expiry.ended() is None
    expiry.begin(4)
    assert expiry.ended() is None


@pytest.mark.parametrize("number", [2, 4, 0])
def test_another_test_runs_by_now(number: int) -> None:
    expiry = Expiry()
    expiry.begin(number)
    assert not _asks(expiry, HUNG, 3)
    assert expiry.ended() is None


@pytest.mark.parametrize("word", [HUNG, NOTE])
def test_after_several_of_one_place_the_rest_is_not_waited_for(word: str) -> None:
    expiry = Expiry()
    for number in range(1, SEVERAL + 1):
        expiry.begin(number)
        assert not _asks(expiry, IDLE, number), "too few"
        assert _asks(expiry, word, number) is (word == HUNG)
    expiry.begin(9)
    assert not _asks(expiry, IDLE, 9, "another place")
    assert _asks(expiry, IDLE, 9)
    assert expiry.ended() == (Waited.NOT_WAITED_FOR, _HERE)


def test_of_a_place_that_is_not_known_nothing_follows() -> None:
    expiry = Expiry()
    for number in range(1, SEVERAL + 2):
        expiry.begin(number)
        assert _asks(expiry, HUNG, number, "")
    assert not _asks(expiry, IDLE, SEVERAL + 1, "")


def test_both_processes_see_it() -> None:
    expiry = Expiry()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(expiry.ended() != (Waited.HUNG, "x")))
        expiry.begin(7)  # from now on the signal may come
        while True:
            signal.pause()
    while not module._HEAD.unpack_from(expiry._page)[0]:
        os.sched_yield()
    expiry.ask(HUNG, 7, child, lambda: "x")
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_asked() -> None:
    assert list(asked_for(b"look\nhung 12\nidle 3\nnote 4\nhung x\nhung 1 2\n")) == [
        (HUNG, 12),
        (IDLE, 3),
        (NOTE, 4),
    ]
    assert list(asked_for(b"")) == []
