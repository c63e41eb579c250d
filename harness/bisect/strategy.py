"""Which kernel to test next, and when to stop: a search over an ordered list.

Pure: it knows indexes and answers, nothing of kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What a candidate turned out to be."""

    OLD = "old"  # as the first candidate
    NEW = "new"  # as the last one
    SKIP = "skip"  # cannot be tested


@dataclass(frozen=True)
class Found:
    """Where it changed: between ``last_old`` and ``first_new``, both of them tested.

    ``between`` are candidates that could not be tested and may be the first new one.
    """

    last_old: int
    first_new: int
    between: tuple[int, ...] = ()


#: What a candidate seems to be, without a test of it; None where nothing is known of it.
Guess = Callable[[int], Answer | None]


def next_index(
    length: int, answers: Mapping[int, Answer], guess: Guess | None = None
) -> int | Found:
    """The candidate to test next among ``length`` of them, or the result.

    The first must be known as old and the last as new. Never names one that is known.
    Halves what is left; with a ``guess`` it goes where that leads, and tests the two
    candidates between which it changes first: two tests, if it is right. Nothing is taken
    from a guess but the order of tests: one that is wrong costs two tests at most, for once
    a test contradicts it, it is not asked any more.
    """
    if guess is None or _is_refuted(guess, answers):
        return _halve(length, answers)
    supposed = _suppose(length, answers, guess)
    old, new = bounds(length, supposed)
    for index in (new, old):
        if index not in answers:
            return index
    return _halve(length, supposed)


def next_indexes(
    length: int, answers: Mapping[int, Answer], at_once: int, guess: Guess | None = None
) -> tuple[int, ...] | Found:
    """The candidates to test next, ``at_once`` of them at most, or the result.

    As ``next_index``, which is the first of them; several part what is left into parts of one
    size. Where a guess leads to two, between which it changes, these are all.
    """
    first = next_index(length, answers, guess)
    if isinstance(first, Found) or at_once <= 1:
        return first if isinstance(first, Found) else (first,)
    if guess is not None and not _is_refuted(guess, answers):
        around = bounds(length, _suppose(length, answers, guess))
        untested = [index for index in around if index not in answers]
        if first in untested:
            return tuple(dict.fromkeys((first, *untested)))[:at_once]
    old, new = bounds(length, answers)
    left = [index for index in range(old + 1, new) if index not in answers]
    count = min(at_once, len(left))
    parts = (left[(number + 1) * len(left) // (count + 1)] for number in range(count))
    return tuple(dict.fromkeys(parts))


def _is_refuted(guess: Guess, answers: Mapping[int, Answer]) -> bool:
    told = ((guess(index), answer) for index, answer in answers.items())
    return any(
        said is not None and answer is not Answer.SKIP and said is not answer
        for said, answer in told
    )


def _suppose(length: int, answers: Mapping[int, Answer], guess: Guess) -> dict[int, Answer]:
    """Answers to all that halving asks until the change is found, or a guess is wanting.

    What was tested is answered as it was, the rest as guessed.
    """
    skipped = {index: answer for index, answer in answers.items() if answer is Answer.SKIP}
    supposed = {0: Answer.OLD, length - 1: Answer.NEW, **skipped}
    while isinstance(at := _halve(length, supposed), int):
        if at in answers:
            supposed[at] = answers[at]
            continue
        around = _around(at, length, {**answers, **supposed}, guess)
        told = set(around.values())
        if len(told) > 1:
            # The change lies between these two, if they are in order.
            (left, before), (right, after) = sorted(around.items())
            if (before, after) == (Answer.OLD, Answer.NEW):
                supposed |= {left: before, right: after}
            return supposed
        supposed[at] = told.pop()
    return supposed


def _around(at: int, length: int, known: Mapping[int, Answer], guess: Guess) -> dict[int, Answer]:
    """The word on ``at``, or those on the nearest candidates on either side that have one."""
    told = guess(at)
    if told is not None:
        return {at: told}
    found: dict[int, Answer] = {}
    for side in (range(at - 1, -1, -1), range(at + 1, length)):
        for index in side:
            answer = known.get(index) or guess(index)
            if answer is not None and answer is not Answer.SKIP:
                found[index] = answer
                break
    return found


def _halve(length: int, answers: Mapping[int, Answer]) -> int | Found:
    old, new = bounds(length, answers)
    untested = [index for index in range(old + 1, new) if index not in answers]
    if untested:
        return untested[len(untested) // 2] if len(untested) % 2 else untested[_middle(untested)]
    return Found(old, new, tuple(range(old + 1, new)))


def _middle(untested: Sequence[int]) -> int:
    return (len(untested) - 1) // 2


def bounds(length: int, answers: Mapping[int, Answer]) -> tuple[int, int]:
    """The newest candidate known as old below the oldest one known as new, and that one."""
    new = min(index for index in range(length) if answers.get(index) is Answer.NEW)
    old = max(index for index in range(new) if answers.get(index) is Answer.OLD)
    return old, new


def possible_next(
    length: int, answers: Mapping[int, Answer], testing: int, guess: Guess | None = None
) -> list[int]:
    """The candidates one of which comes after ``testing``, whatever it turns out to be."""
    following = (
        next_index(length, {**answers, testing: answer}, guess)
        for answer in (Answer.OLD, Answer.NEW)
    )
    return [index for index in following if isinstance(index, int)]


def steps_left(length: int, answers: Mapping[int, Answer], at_once: int = 1) -> int:
    """How many rounds of tests are left, so many ``at_once``, if none is skipped."""
    old, new = bounds(length, answers)
    left, rounds = sum(index not in answers for index in range(old + 1, new)), 0
    while left:
        left -= min(at_once, left)  # the longest of the parts, rounded up
        left = -(-left // (at_once + 1))
        rounds += 1
    return rounds
