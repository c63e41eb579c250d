"""Searches an ordered list of kernels for the first where the check's value changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

from harness.bisect.code_words import CodeWords
from harness.bisect.ends import Ends, Question
from harness.bisect.scout import Scout
from harness.bisect.state import BisectState, Step
from harness.bisect.strategy import (
    Answer,
    Found,
    Guess,
    next_indexes,
    possible_next,
    steps_left,
)
from harness.bisect.tester import Tester, fetch_ahead


@dataclass(frozen=True)
class SearchResult:
    """What a bisect found, or why it found nothing."""

    ends: Ends
    old: Step
    new: Step
    found: Found | None  # None: the ends do not differ, or one cannot be judged


Announce = Callable[[str], None]

_T = TypeVar("_T")


def search(
    specs: Sequence[str],
    question: Question,
    tester: Tester,
    state: BisectState,
    announce: Announce,
    words: CodeWords | None = None,
) -> SearchResult:
    """Test the ends of ``specs`` (oldest first), then halve what lies between.

    Where the code of kernels has a word on the check (``words``), those around the change
    by their code come first.
    Steps that ``state`` knows are not tested again; each new one is stored as it ends. Where the
    tester may test several at once, both ends are, and what lies between is not halved but parted
    into as many parts and one more.
    What may be needed next is fetched while a kernel is tested; where code has a word, that
    is what a search by it alone would need (``scout.py``). Raises as Question.ends and
    Tester.test do.
    """
    last = len(specs) - 1
    enough = threading.Event()  # what is fetched ahead has no use any more
    scout = _scout(specs, words, tester, enough)
    with ThreadPoolExecutor(2, thread_name_prefix="ahead") as ahead:

        def step(index: int, following: Sequence[int]) -> Step:
            spec = specs[index]
            known = state.steps.get(spec)
            if known is not None:
                announce(f"{spec}: {described(known)} (from before)")
                return known
            for other in following:
                if specs[other] not in state.steps:
                    ahead.submit(fetch_ahead, tester, specs[other], enough)
            seen_by = next((done.test for done in [*state.steps.values()] if done.test), "")
            done = tester.test(spec, state, seen_by)
            state.record(done)
            announce(f"{spec}: {described(done)}")
            return done

        def steps(indexes: Sequence[int]) -> list[Step]:
            return all_at_once(lambda index: step(index, ()), indexes, tester.at_once, tester.stop)

        try:
            if scout is not None:
                ahead.submit(scout.go)
            if tester.at_once > 1:
                old, new = steps((0, last))
            else:
                old = step(0, [last])
                new = step(last, [] if scout is not None else [last // 2])
            ends = question.ends(old, new)
            if not ends.differ():
                return SearchResult(ends, old, new, None)
            answers = {0: Answer.OLD, last: Answer.NEW}
            guess = _guess(specs, ends, words)
            if scout is not None and guess is not None:
                scout.wait(tester.stop)
            while not isinstance(found := _next(specs, answers, tester, guess), Found):
                announce(_left(specs, answers, state, tester.at_once))
                at = found[0]
                if guess is not None and found != _next(specs, answers, tester, None):
                    named = " and ".join(specs[index] for index in found)
                    announce(f"{named}: tried next, going by the kernels' code")
                if len(found) > 1:
                    done = steps(found)
                else:
                    done = [step(at, possible_next(len(specs), answers, at, guess))]
                told = (ends.answer(one.value) for one in done)
                answers.update(zip(found, told, strict=True))
            return SearchResult(ends, old, new, found)
        finally:
            enough.set()
            ahead.shutdown(wait=True, cancel_futures=True)


def _next(
    specs: Sequence[str], answers: dict[int, Answer], tester: Tester, guess: Guess | None
) -> tuple[int, ...] | Found:
    return next_indexes(len(specs), answers, tester.at_once, guess)


def all_at_once(
    test: Callable[[_T], Step], items: Sequence[_T], at_once: int, stop: threading.Event
) -> list[Step]:
    """Test ``items`` beside each other; the steps in their order.

    Raises what the first of them does that fails; ``stop`` is set then, and ends the others.
    """
    with ThreadPoolExecutor(at_once, thread_name_prefix="test") as testers:
        testing = [testers.submit(test, item) for item in items]
        try:
            for future in as_completed(testing):
                future.result()
        except BaseException:
            stop.set()
            raise
    return [future.result() for future in testing]


def _scout(
    specs: Sequence[str], words: CodeWords | None, tester: Tester, enough: threading.Event
) -> Scout | None:
    """Who goes ahead where the code of the archive's kernels says something of the check."""
    if words is None or not words.are_of_the_check or not all(map(words.can_be_read, specs)):
        return None
    return Scout(specs, lambda spec: fetch_ahead(tester, spec, enough), words.value, enough)


def _guess(specs: Sequence[str], ends: Ends, words: CodeWords | None) -> Guess | None:
    """What the code of each kernel says that it is; None if that tells nothing of the check."""
    if words is None or not words.tell(ends):
        return None

    def guess(index: int) -> Answer | None:
        answer = ends.answer(words.value(specs[index]))
        return None if answer is Answer.SKIP else answer

    return guess


def described(step: Step) -> str:
    """A step's result in a few words."""
    if step.value:
        votes = ", ".join(vote or "not judged" for vote in step.votes)
        return step.value + (f" (votes: {votes})" if votes else "")
    return f"skipped: {step.reason}"


def _left(
    specs: Sequence[str], answers: dict[int, Answer], state: BisectState, at_once: int
) -> str:
    steps = steps_left(len(specs), answers, at_once)
    known = sorted(index for index, answer in answers.items() if answer is not Answer.SKIP)
    new = next(index for index in known if answers[index] is Answer.NEW)
    old = max(index for index in known if index < new)
    return f"between {specs[old]} and {specs[new]}: {estimate(new - old - 1, steps, state)}"


def estimate(kernels: int, steps: int, state: BisectState) -> str:
    """What is left, and how long that takes going by the steps so far."""
    times = [step.seconds for step in state.steps.values() if step.runs]
    minutes = steps * sum(times) / len(times) / 60 if times else 0.0
    noun = "step" if steps == 1 else "steps"
    return f"{kernels} left, {steps} {noun} to go, some {minutes:.1f} minutes"
