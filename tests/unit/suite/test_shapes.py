"""The shapes in which pages are handed over: what their table covers, how they are explained."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from harness.merge import together
from harness.model import Control, Fact, State, Witness
from tests.unit.guest.test_oracle import suite_module

_INPUTS = (("skcipher",), ("aead", "aad", "both"))


@pytest.fixture(scope="module")
def shapes() -> ModuleType:
    suite_module("shapes_table")
    return suite_module("shapes")


@pytest.fixture(scope="module")
def table(shapes: ModuleType) -> tuple[Any, ...]:
    return tuple(shapes.load())


def test_every_shape_of_the_table_is_possible(shapes: ModuleType, table: tuple[Any, ...]) -> None:
    assert len(table) > 100
    for shape in table:
        known = dict(zip(shapes.DIMENSIONS, shape.values(), strict=True))
        assert shapes.is_possible(known), shape
        assert all(value in shapes.DIMENSIONS[name] for name, value in known.items()), shape


def test_every_value_and_every_possible_pair_is_covered(
    shapes: ModuleType, table: tuple[Any, ...]
) -> None:
    for name, values in shapes.DIMENSIONS.items():
        assert {getattr(shape, name) for shape in table} == set(values), name
    for inputs in _INPUTS:
        mine = [shape for shape in table if shape.input in inputs]
        covered = {pair for shape in mine for pair in shapes.pairs(shape)}
        missing = [pair for pair in shapes.possible_pairs(inputs) if pair not in covered]
        assert missing == []


def test_rules(shapes: ModuleType) -> None:
    assert shapes.can_be_completed({"direction": "decrypt", "who": "nobody"})
    for impossible in (
        {"input": "skcipher", "algorithm": "gcm(aes)"},
        {"way": "sendfile", "source": "memory"},
        {"before": "nothing", "direction": "encrypt"},
        {"policy": "as_booted", "who": "nobody", "algorithm": "cbc(aes)"},
        {"policy": "as_booted", "who": "nobody", "input": "aead"},
    ):
        assert not shapes.can_be_completed(impossible), impossible


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"direction": "decrypt"}, "only when decrypting"),
        ({"who": "nobody"}, "only for nobody"),
        ({"length": "many"}, "only with length many"),
        (
            {"direction": "decrypt", "waiting": "socket"},
            "only when decrypting and on a non-blocking",
        ),
    ],
)
def test_what_tells_shapes_apart_is_found(
    shapes: ModuleType, table: tuple[Any, ...], condition: dict[str, str], words: str
) -> None:
    shared = [
        shape
        for shape in table
        if all(getattr(shape, name) == value for name, value in condition.items())
    ]
    copied = [shape for shape in table if shape not in shared]
    assert shapes.explain(shared, copied).startswith(words)


def test_nothing_to_tell_apart(shapes: ModuleType, table: tuple[Any, ...]) -> None:
    assert shapes.explain(table, []) == shapes.explain([], table) == ""


def test_no_few_dimensions_tell(shapes: ModuleType, table: tuple[Any, ...]) -> None:
    assert "no reason" in shapes.explain(table[::2], table[1::2])


def test_paths_are_those_of_the_registry(table: tuple[Any, ...]) -> None:
    from harness.judge.facts import NAMES  # noqa: PLC0415

    assert {f"zero_copy.{shape.path}" for shape in table} <= set(NAMES)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (State.ABSENT, State.PRESENT, State.PRESENT),
        (State.ABSENT, State.ABSENT, State.ABSENT),
        (State.UNKNOWN, State.ABSENT, State.UNKNOWN),
        (State.UNREACHABLE, State.ABSENT, State.ABSENT),
    ],
)
def test_a_path_is_there_if_one_shape_of_it_is(one: State, other: State, expected: State) -> None:
    before, seen = (
        Fact(state, Control.FIRED, evidence, test)
        for state, evidence, test in ((one, "first", "a"), (other, "second", "b"))
    )
    for first, second in ((before, seen), (seen, before)):
        fact = together(first, second)
        assert fact.state is expected
        assert {"first", "second"} <= set(fact.evidence.split("; "))
        assert {fact.test, *fact.others} == {"a", "b"}
    assert together(None, seen) == seen
    works = replace(seen, state=State.WORKS)
    assert together(before, works) == works


def test_shapes_are_counted_and_witnesses_kept() -> None:
    probe = Fact(State.ABSENT, Control.FIRED, "p", "a", witness=Witness.AGREED)
    many = Fact(State.ABSENT, Control.FIRED, "s", "b", shapes=14)
    for first, second in ((probe, many), (many, probe)):
        fact = together(first, second)
        assert (fact.shapes, fact.witness) == (15, Witness.AGREED)
        for worse in (Witness.SILENT, Witness.DISAGREED):
            third = replace(probe, test="c", witness=worse)
            assert together(fact, third).witness is worse
    # What was not told is no shape that was copied, and no witness of what was.
    lost = Fact(State.UNREACHABLE, Control.NOT_RUN, "u", "d", witness=Witness.SILENT)
    assert together(probe, lost) == replace(probe, evidence="p; u", others=("d",))
