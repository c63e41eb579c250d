"""How long the witness inside the kernel lives: as long as a test of zero copy is left."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def fixtures() -> ModuleType:
    for name in ("libc", "pages", "tracing", "unavailable", "af_alg", "probing", "userfault"):
        suite_module(name)
    for name in ("sharing", "witness", "handovers"):
        suite_module(name)
    return suite_module("zero_copy_fixtures")


class Listening:
    """A tracer that remembers what was set."""

    def __init__(self) -> None:
        self.events: set[str] = set()

    def add(self, _group: str, event: str, function: str, _arguments: str) -> None:
        if "no such" in function:
            raise OSError(2, "No such file or directory")
        self.events.add(event)

    def enable(self, _group: str) -> None: ...

    def remove(self, _group: str, events: list[str]) -> None:
        self.events -= set(events)


def witness_of(tracer: Listening) -> Any:
    module = suite_module("witness")
    one = module.Witness.__new__(module.Witness)
    one.why_not, one._set, one._tracer = {}, [], tracer
    one._set_up(tracer)
    return one


def items_in(*folders: str) -> list[Any]:
    session = SimpleNamespace(items=[], config=SimpleNamespace(stash=pytest.Stash()))
    session.items += [
        SimpleNamespace(nodeid=f"{folder}/test_x.py::test_{number}", session=session)
        for number, folder in enumerate(folders)
    ]
    items: list[Any] = session.items
    return items


def test_it_listens_until_the_last_test_of_zero_copy(
    fixtures: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the order of the suites has others between them."""
    tracer = Listening()
    monkeypatch.setattr(fixtures, "_witnesses", [witness_of(tracer)])
    items = items_in("zero_copy", "functional", "zero_copy", "zero_copy", "functional")
    fixtures.pytest_runtestloop(items[0].session)
    heard = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        heard.append(bool(tracer.events))
        fixtures.pytest_runtest_teardown(item, following)
    assert heard == [True, True, True, True, False]


def test_it_ends_with_a_session_that_ends_early(
    fixtures: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = Listening()
    monkeypatch.setattr(fixtures, "_witnesses", [witness_of(tracer)])
    fixtures.pytest_runtest_teardown(items_in("zero_copy", "zero_copy")[0], None)
    assert not tracer.events


def test_closed_it_says_nothing() -> None:
    """What it no longer hears it must not call absent."""
    module = suite_module("witness")
    tracer = Listening()
    one = witness_of(tracer)
    assert one.of_pins(module.Watched(), 1).state == "absent"
    one.close()
    assert str(one.of_pins(module.Watched(), 1)) == "no witness: it was closed"
    assert str(one.of_input(module.Watched(), 1)) == "no witness: it was closed"


def test_who_asks_last() -> None:
    """The witness is closed then; what all tests handed over is said later, and by another."""
    fixtures = suite_module("zero_copy_fixtures")
    asks = ["zero_copy/test_input.py::a", "zero_copy/test_rng.py::b"]
    planned = [asks[0], "policy/test_level.py::c", asks[1], "security/test_keys.py::d"]
    last = "zero_copy/test_handovers.py::e"
    assert fixtures.last_to_ask([*planned, last]) == asks[1]
    assert fixtures.last_to_ask(["policy/test_level.py::c", last]) is None
