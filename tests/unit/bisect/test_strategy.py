"""Which kernel is tested next, for every place where a change can be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bisect.strategy import (
    Answer,
    Found,
    next_index,
    next_indexes,
    possible_next,
    steps_left,
)

OLD, NEW, SKIP = Answer.OLD, Answer.NEW, Answer.SKIP


def bisect(length: int, first_new: int, untestable: frozenset[int]) -> tuple[Found, list[int]]:
    """Search one change as the real thing does; returns the result and what was tested."""
    truth = [NEW if at >= first_new else OLD for at in range(length)]
    return search([SKIP if at in untestable else told for at, told in enumerate(truth)])


def search(
    truth: Sequence[Answer], words: Sequence[Answer | None] | None = None
) -> tuple[Found, list[int]]:
    """Search where candidates are as ``truth`` says, and ``words`` say without a test."""
    length = len(truth)
    guess = words.__getitem__ if words is not None else None
    answers = {0: OLD, length - 1: NEW}
    tested = []
    while isinstance(at := next_index(length, answers, guess), int):
        assert at not in answers
        foreseen = possible_next(length, answers, at, guess)
        answers[at] = truth[at]
        tested.append(at)
        following = next_index(length, answers, guess)
        assert truth[at] is SKIP or isinstance(following, Found) or following in foreseen
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


ANSWERS = st.sampled_from([OLD, NEW])
WORDS = st.sampled_from([OLD, NEW, None])


@st.composite
def one_change(draw: st.DrawFn) -> list[Answer]:
    """Candidates between two ends, with one change, of which some cannot be tested."""
    olds, news = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    truth = [OLD] * olds + [NEW] * news
    for index in draw(st.sets(st.integers(1, max(1, len(truth) - 2)), max_size=6)):
        if 0 < index < len(truth) - 1:
            truth[index] = SKIP
    return truth


@st.composite
def many_changes(draw: st.DrawFn) -> list[Answer]:
    """Candidates with any number of changes, as of several stable branches in a row."""
    return [OLD, *draw(st.lists(ANSWERS, max_size=40)), NEW]


def words_for(length: int) -> st.SearchStrategy[list[Answer | None]]:
    return st.lists(WORDS, min_size=length, max_size=length)


@settings(max_examples=400, deadline=None)
@given(truth=one_change(), data=st.data())
def test_whatever_the_words_the_result_is_that_of_halving(
    truth: list[Answer], data: st.DataObject
) -> None:
    words = data.draw(words_for(len(truth)))
    plain, halved = search(truth)
    found, tested = search(truth, words)
    assert found == plain
    skips = truth.count(SKIP)
    most = math.ceil(math.log2(len(truth)))
    assert len(tested) <= most + 2 + skips
    if not skips:
        assert len(halved) <= most


@settings(max_examples=400, deadline=None)
@given(truth=many_changes(), data=st.data())
def test_words_never_make_up_a_change(truth: list[Answer], data: st.DataObject) -> None:
    found, tested = search(truth, data.draw(words_for(len(truth))))
    assert found.first_new == found.last_old + 1
    assert (truth[found.last_old], truth[found.first_new]) == (OLD, NEW)
    assert len(tested) <= math.ceil(math.log2(len(truth))) + 2


@settings(max_examples=400, deadline=None)
@given(truth=many_changes())
def test_right_words_take_two_tests_and_lead_where_halving_does(truth: list[Answer]) -> None:
    found, tested = search(truth, truth)
    assert found == search(truth)[0]
    assert len(tested) <= 2


@settings(max_examples=400, deadline=None)
@given(truth=one_change(), data=st.data())
def test_right_words_on_some_narrow_it_down_in_two_tests(
    truth: list[Answer], data: st.DataObject
) -> None:
    if SKIP in truth:
        truth = [OLD if at == 0 or truth[at] is OLD else NEW for at in range(len(truth))]
        truth = sorted(truth, key=[OLD, NEW].index)
    silent = data.draw(st.sets(st.integers(0, len(truth) - 1)))
    words = [None if at in silent else told for at, told in enumerate(truth)]
    _, tested = search(truth, words)
    last_can = max((at for at, told in enumerate(words) if told is OLD), default=0)
    first_cannot = min((at for at, told in enumerate(words) if told is NEW), default=len(truth) - 1)
    left = max(0, first_cannot - last_can - 1)
    assert len(tested) <= 2 + left.bit_length()


def test_the_two_around_the_change_come_first() -> None:
    words = [OLD] * 12 + [NEW] * 20
    assert search(words, words)[1] == [12, 11]
    assert search(words, [None] * 32) == search(words)


def test_a_guess_that_was_refuted_is_not_asked_any_more() -> None:
    truth = [OLD] * 25 + [NEW] * 7
    found, tested = search(truth, [OLD] * 5 + [NEW] * 27)
    assert found == Found(24, 25)
    assert tested[0] == 5 and len(tested) <= 6
    # At the ends already.
    assert search(truth, [NEW] * 32) == search(truth, [OLD] * 32) == search(truth)


def search_many(
    truth: Sequence[Answer], at_once: int, words: Sequence[Answer | None] | None = None
) -> tuple[Found, list[tuple[int, ...]]]:
    """Search with several tests at once; the result and each round."""
    length = len(truth)
    guess = words.__getitem__ if words is not None else None
    answers, rounds = {0: OLD, length - 1: NEW}, []
    while not isinstance(at := next_indexes(length, answers, at_once, guess), Found):
        assert 0 < len(at) <= at_once
        assert len(set(at)) == len(at) and not set(at) & answers.keys()
        left = steps_left(length, answers, at_once)
        answers.update((index, truth[index]) for index in at)
        rounds.append(at)
        if guess is None and SKIP not in truth:
            assert steps_left(length, answers, at_once) < left
    return at, rounds


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("length", [*range(2, 40), 97])
def test_several_at_once_find_every_place(length: int, at_once: int) -> None:
    for first_new in range(1, length):
        truth = [NEW if at >= first_new else OLD for at in range(length)]
        found, rounds = search_many(truth, at_once)
        assert found == Found(first_new - 1, first_new)
        assert len(rounds) <= math.ceil(math.log(length, at_once + 1) + 1e-9)


def test_one_at_once_is_halving() -> None:
    truth = [OLD] * 30 + [NEW] * 31
    found, tested = search(truth)
    assert search_many(truth, 1) == (found, [(at,) for at in tested])


@given(st.lists(st.sampled_from((OLD, NEW, SKIP)), max_size=12), st.integers(1, 5))
def test_several_at_once_end_whatever_comes(middle: list[Answer], at_once: int) -> None:
    """Also where kernels are not in order, and some cannot be tested."""
    truth = [OLD, *middle, NEW]
    found, _ = search_many(truth, at_once)
    assert (truth[found.last_old], truth[found.first_new]) == (OLD, NEW)
    assert all(truth[at] is SKIP for at in range(found.last_old + 1, found.first_new))


@pytest.mark.parametrize("at_once", [2, 4])
def test_both_kernels_that_code_names_are_tested_at_once(at_once: int) -> None:
    truth = [OLD] * 30 + [NEW] * 31
    found, rounds = search_many(truth, at_once, truth)
    assert found == Found(29, 30)
    assert [set(one) for one in rounds] == [{29, 30}]
