"""How long a test is waited for that stands still: not as long as one that computes.

A test that takes far longer than it takes elsewhere, in a guest that is idle, hangs. The agent
is asked to end it, which is told in its result. Where several hung in one place, others that
sleep there are begun all the same, and ended as soon as the guest is idle.

A busy guest is left its whole limit, and so is a guest that the host keeps from computing
(``idle.py``): how fast a host is has no bearing on what is told here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.guest.heard import Heard
from harness.guest.inside.expiry import HUNG, IDLE, NOTE
from harness.guest.parsing import CONVERTER
from harness.suites import suite_names

#: Seconds for which a guest must be idle, without a pause, before anything follows from it.
_IDLE_SECONDS = 1.0
#: Seconds from a test's start before which none of ours is taken to hang, nor one to be like
#: those that hung before it.
_HANGS, _IS_ALIKE = 3.0, 1.0
#: So many times longer than elsewhere, on this host.
_FACTOR = 4.0
#: The same of a test of which it is not known how long it takes: it is left its whole limit.
_UNKNOWN_IS_ALIKE = 1.5
#: So many seconds before its end, but not before half of it, it is looked where that one hangs.
_NOTED = 1.0
#: Tests of programs wait for each of them so long by themselves (tests/afalg/programs.py).
_PROGRAMS, _PROGRAM_SECONDS = "consumers", 13.0
#: Seconds for which an idle guest may leave a request to end a test unheeded: one that sleeps such
#: that no signal reaches it, and one that may yet wait for what it began (userfault.py: 20 s).
_BLOCKED_UNHEEDED, _UNHEEDED = 5.0, 25.0
#: Tests of one second together by which a host's speed is told.
_TELLING = 1.0
TIMES = Path(__file__).with_name("usual_times.json")
#: Seconds; what takes less is not told there: it changes nothing.
TOLD_FROM = 0.2


@dataclass(frozen=True)
class Times:
    """How long tests of ours took in runs of kernels from 6.1 to 7.3, in seconds."""

    functions: Mapping[str, float]  # the most of a test of each; next to nothing if not named
    files: Mapping[str, float]  # all tests of each, in the median


@cache
def known_times() -> Times:
    """What ``ci/usual_times.py`` has written down."""
    return CONVERTER.structure(json.loads(TIMES.read_text(encoding="utf-8")), Times)


def usual_seconds(test: str) -> float | None:
    """How long a test of ours takes; None of another."""
    suite = test.partition("/")[0]
    if suite == _PROGRAMS:
        return _PROGRAM_SECONDS
    return known_times().functions.get(test.partition("[")[0], 0.0) if suite in _ours() else None


@cache
def _ours() -> frozenset[str]:
    return frozenset(suite_names())


@dataclass(frozen=True)
class Limits:
    """Seconds from the start of a test, in an idle guest."""

    hangs: float  # from then on it hangs; infinite: that is not known before its time limit
    is_alike: float  # from then on it hangs if others hung where it sleeps


def limits_of(test: str, ceiling: float, slowness: float) -> Limits:
    """``ceiling`` is what any test may take; ``slowness`` how much longer than usual they take."""
    usual = usual_seconds(test)
    if usual is None:
        return Limits(math.inf, _UNKNOWN_IS_ALIKE)
    least = _FACTOR * usual * max(1.0, slowness)
    return Limits(max(_HANGS, least), max(_IS_ALIKE, least))


class Patience:
    """Watches over the tests of one boot."""

    def __init__(
        self,
        ceiling: float,
        idle_seconds: Callable[[float], float],
        ask: Callable[[bytes], object],
    ) -> None:
        """``idle_seconds`` as IdleWatch's; ``ask`` sends to the agent."""
        self._ceiling, self._idle_seconds, self._ask = ceiling, idle_seconds, ask
        self._asked: dict[str, tuple[int, float]] = {}  # word -> test that it was about, when
        self._counted = 0  # tests whose times are in the next two
        self._took = self._usual = 0.0

    def look(self, heard: Heard, now: float) -> str:
        """To be called again and again while nothing is heard; ``now`` in seconds since the start.

        Returns why the guest is to be given up: it does not heed that a test is to be ended;
        "" if it is not.
        """
        idle = self._idle_seconds(now)
        if not heard.running or heard.end is not None or idle < _IDLE_SECONDS:
            return ""
        age, limits = now - heard.began, self._limits(heard)
        about, since = self._asked.get(HUNG, (0, now))  # test number, when
        if about == heard.begun:
            blocked = heard.process is not None and heard.process.state == "D"
            if min(now - since, idle) < (_BLOCKED_UNHEEDED if blocked else _UNHEEDED):
                return ""
            return f"the guest has been idle for {idle:.0f} s while running {heard.running}"
        if age >= limits.hangs:
            self._send(HUNG, heard.begun, now)
        elif math.isinf(limits.hangs) and age >= max(self._ceiling - _NOTED, self._ceiling / 2):
            self._send(NOTE, heard.begun, now)
        elif age >= limits.is_alike:
            self._send(IDLE, heard.begun, now)
        return ""

    def _send(self, word: str, number: int, now: float) -> None:
        if self._asked.get(word, (0, now))[0] != number:  # once is enough
            self._asked[word] = number, now
            self._ask(f"{word} {number}\n".encode())

    def _limits(self, heard: Heard) -> Limits:
        for test in list(heard.tests.values())[self._counted :]:
            usual = usual_seconds(test.id)
            if usual and not test.waited:
                self._took, self._usual = self._took + test.seconds, self._usual + usual
        self._counted = len(heard.tests)
        slowness = self._took / self._usual if self._usual >= _TELLING else 2.0
        return limits_of(heard.running, self._ceiling, slowness)
