"""Who gets room on which machine, and who waits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.errors import InfrastructureError, Interrupted
from harness.executors.slots import Slots

_SECONDS = 60.0  # far more than it takes, on a busy machine too


def test_guests_are_spread() -> None:
    slots, never = Slots(), threading.Event()
    slots.update({"x": 2, "y": 2})
    with slots.taken(never) as first, slots.taken(never) as second:
        assert {first, second} == {"x", "y"}
        with slots.taken(never), slots.taken(never) as fourth:
            assert fourth in {"x", "y"}


def test_the_first_to_come_is_the_first_to_be_served() -> None:
    slots, never, order = Slots(), threading.Event(), []
    queued = [threading.Event() for _ in range(3)]

    class Watched(threading.Event):
        """Says that whoever asks is in the queue by now."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self._number = number

        def is_set(self) -> bool:
            queued[self._number].set()
            return super().is_set()

    def take(number: int) -> None:
        with slots.taken(Watched(number)):
            order.append(number)

    with ThreadPoolExecutor(3) as pool:
        waiting = []
        for number in range(3):
            waiting.append(pool.submit(take, number))
            assert queued[number].wait(_SECONDS)
        slots.update({"x": 1})
        for one in waiting:
            one.result(_SECONDS)
    assert order == [0, 1, 2]
    assert not never.is_set()


def test_what_is_given_back_is_given_out_again() -> None:
    slots, never = Slots(), threading.Event()
    slots.update({"x": 1})
    for _ in range(3):
        with slots.taken(never) as machine:
            assert machine == "x"


def test_a_machine_that_is_gone_is_not_given_out() -> None:
    slots, never = Slots(), threading.Event()
    slots.update({"x": 1, "y": 1})
    with slots.taken(never) as first:
        slots.update({first: 1})
        assert slots.all() == 1
        stop = threading.Event()
        stop.set()
        with pytest.raises(Interrupted), slots.taken(stop):
            pass


@pytest.mark.parametrize("how", ["stopped", "closed"])
def test_nobody_waits_for_ever(how: str) -> None:
    slots, stop = Slots(), threading.Event()

    def take() -> None:
        with slots.taken(stop):
            pass

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take)
        if how == "stopped":
            stop.set()
        else:
            slots.close("the scheduler was lost")
        expected = Interrupted if how == "stopped" else InfrastructureError
        with pytest.raises(expected):
            waiting.result(_SECONDS)
