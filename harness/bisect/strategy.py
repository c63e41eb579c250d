"""Which kernel to test next, and when to stop: a search over an ordered list.

Pure: it knows indexes and answers, nothing of kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def next_index(length: int, answers: Mapping[int, Answer]) -> int | Found:
    """The candidate to test next among ``length`` of them, or the result.

    The first must be known as old and the last as new. Never names one that is known.
    """
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


def possible_next(length: int, answers: Mapping[int, Answer], testing: int) -> list[int]:
    """The candidates one of which comes after ``testing``, whatever it turns out to be."""
    following = (
        next_index(length, {**answers, testing: answer}) for answer in (Answer.OLD, Answer.NEW)
    )
    return [index for index in following if isinstance(index, int)]


def steps_left(length: int, answers: Mapping[int, Answer]) -> int:
    """How many tests are left if none is skipped."""
    old, new = bounds(length, answers)
    return sum(index not in answers for index in range(old + 1, new)).bit_length()
