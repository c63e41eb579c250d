"""Which kernel is tested next, for every place where a change can be."""

from __future__ import annotations

import math

import pytest

from harness.bisect.strategy import Answer, Found, next_index, possible_next, steps_left


def bisect(length: int, first_new: int, untestable: frozenset[int]) -> tuple[Found, list[int]]:
    """Search as the real thing does; returns the result and what was tested."""
    answers = {0: Answer.OLD, length - 1: Answer.NEW}
    tested = []
    while isinstance(at := next_index(length, answers), int):
        assert at not in answers
        foreseen = possible_next(length, answers, at)
        truth = Answer.NEW if at >= first_new else Answer.OLD
        answers[at] = Answer.SKIP if at in untestable else truth
        tested.append(at)
        following = next_index(length, answers)
        assert at in untestable or isinstance(following, Found) or following in foreseen
    return at, tested


@pytest.mark.parametrize("length", [*range(2, 40), 97])
def test_every_place_is_found(length: int) -> None:
    for first_new in range(1, length):
        found, tested = bisect(length, first_new, frozenset())
        assert found == Found(first_new - 1, first_new)
        # With the two ends: the bound that people are promised, less one.
        assert len(tested) <= math.ceil(math.log2(length))


@pytest.mark.parametrize("length", range(3, 12))
def test_what_cannot_be_tested_is_named(length: int) -> None:
    for first_new in range(1, length):
        for mask in range(1 << (length - 2)):
            untestable = frozenset(index + 1 for index in range(length - 2) if mask & (1 << index))
            found, tested = bisect(length, first_new, untestable)
            assert len(tested) == len(set(tested))
            assert found.last_old < first_new <= found.first_new
            assert not {found.last_old, found.first_new} & untestable
            # All that lie between are the ones that could not be tested, and none is left out.
            assert set(found.between) <= untestable
            assert found.between == tuple(range(found.last_old + 1, found.first_new))


def test_steps_left() -> None:
    ends = {0: Answer.OLD, 11: Answer.NEW}
    assert steps_left(12, ends) == 4
    assert steps_left(12, {**ends, 5: Answer.OLD}) == 3
    assert steps_left(12, {**ends, 5: Answer.OLD, 6: Answer.NEW}) == 0
    assert steps_left(12, {**ends, 5: Answer.OLD, 6: Answer.SKIP, 7: Answer.NEW}) == 0
