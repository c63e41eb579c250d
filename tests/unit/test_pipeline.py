"""What is prepared beside what is worked on, and in which order. Both are played here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from harness.pipeline import Pipeline

_LIMIT = 30.0  # seconds; reached only if something is broken


class _Shop:
    """Prepares and works as it is told; keeps what happened, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.stop = threading.Event()
        self.seconds: dict[str, float] = {}
        self.prepare_first: Callable[[str], None] = lambda _: None
        self.work_first: Callable[[str], None] = lambda _: None

    def prepare(self, item: str) -> str:
        self.prepare_first(item)
        self.told.append(f"ready {item}")
        return item.upper()

    def work(self, item: str, prepared: Future[str]) -> None:
        self.work_first(item)
        self.told.append(f"done {prepared.result()}")

    def run(self, *items: str, at_once: int = 1) -> None:
        pipeline = Pipeline(self.prepare, self.work, lambda item: self.seconds.get(item, 0.0))
        pipeline.run(items, at_once, self.stop)


def _awaited(event: threading.Event) -> None:
    assert event.wait(_LIMIT), "they wait for each other"


def test_all_are_prepared_while_one_is_worked_on() -> None:
    shop, all_ready = _Shop(), threading.Event()

    def prepare(item: str) -> None:
        if item == "c":
            all_ready.set()

    shop.prepare_first, shop.work_first = prepare, lambda _: _awaited(all_ready)
    shop.run("a", "b", "c")
    assert set(shop.told) == {f"ready {item}" for item in "abc"} | {f"done {i}" for i in "ABC"}


def test_what_is_long_in_coming_holds_up_nothing() -> None:
    shop, others_done = _Shop(), threading.Event()

    def work(item: str) -> None:
        if item == "c":
            others_done.set()

    shop.prepare_first = lambda item: _awaited(others_done) if item == "a" else None
    shop.work_first = work
    shop.run("a", "b", "c")
    assert shop.told[-1] == "done A"


def test_the_longest_of_those_that_are_ready_comes_first() -> None:
    """c is ready after d and b are, and before any of them is worked on."""
    shop, others_ready, longest_ready = _Shop(), threading.Event(), threading.Event()
    shop.seconds = {"a": 9, "c": 3, "d": 2, "b": 1, "e": 0.5, "f": 0.4}

    def prepare(item: str) -> None:
        if item == "c":
            _awaited(others_ready)
        if item == "e":
            others_ready.set()
            _awaited(longest_ready)
        if item == "f":  # by the thread that had c
            longest_ready.set()

    shop.prepare_first = prepare
    shop.work_first = lambda item: _awaited(longest_ready) if item == "a" else None
    shop.run("b", "a", "d", "c", "f", "e")
    order = [word for word in shop.told if word.startswith("done")]
    assert order[:4] == ["done A", "done C", "done D", "done B"]


def test_several_are_worked_on_at_once() -> None:
    shop, both = _Shop(), threading.Barrier(2)
    shop.work_first = lambda _: _met(both)
    shop.run("a", "b", at_once=2)
    assert {"done A", "done B"} <= set(shop.told)


def _met(barrier: threading.Barrier) -> None:
    barrier.wait(_LIMIT)


def test_what_cannot_be_prepared_is_told_to_its_work_alone() -> None:
    shop = _Shop()

    def prepare(item: str) -> None:
        if item == "a":
            raise OSError("no network")

    def work(item: str, prepared: Future[str]) -> None:
        shop.told.append(f"{item}: {prepared.exception() or prepared.result()}")

    shop.prepare_first = prepare
    Pipeline(shop.prepare, work, lambda _: 0.0).run(["a", "b"], 1, shop.stop)
    assert {"a: no network", "b: B"} <= set(shop.told)
    assert not shop.stop.is_set()


def test_a_fault_of_the_work_stops_all_and_is_raised() -> None:
    shop = _Shop()

    def work(item: str) -> None:
        raise OSError(f"no space for {item}")

    shop.work_first = work
    with pytest.raises(OSError, match="no space for"):
        shop.run("a", "b")
    assert shop.stop.is_set()


def test_nothing_to_do() -> None:
    _Shop().run()
