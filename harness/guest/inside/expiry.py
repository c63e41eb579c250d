"""How the host has a test ended that stands still, before its time limit.

The host sees that the guest is idle; which test runs at this moment, and in which function it
sleeps, is known only here. The agent signals the suite's process, which then ends the test as
its own time limit would. Both share a page of memory, made before the fork.

Standard library only, and little of it: this is imported before the guest's first word.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
import struct
from collections import Counter
from collections.abc import Callable, Iterator

from harness.guest.inside.words import Waited

#: What the host writes to the port: a word and the number of the test that it is about, as
#: many as have begun. The test is idle for longer than it takes elsewhere: it hangs.
HUNG = "hung"
#: It is idle: it hangs, too, if others before it did in the same place.
IDLE = "idle"
#: It is idle at the end of its time limit, which ends it: to be remembered, and no more.
NOTE = "note"
_ASKED = re.compile(rb"^(hung|idle|note) (\d{1,9})$", re.MULTILINE)
#: Tests that hung in one place, after which others there are not waited for.
SEVERAL = 3

_WORDS = tuple(Waited)
_HEAD = struct.Struct("=QQB255p")  # running, ended, a Waited, where it slept


def asked_for(request: bytes) -> Iterator[tuple[str, int]]:
    """The words in a request of the host's, and the number of the test of each."""
    for word, number in _ASKED.findall(request):
        yield word.decode(), int(number)


class Expiry:
    """What agent and suite know of the test that runs."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._hung: Counter[str] = Counter()  # where, and how many

    def begin(self, number: int) -> None:
        """In the suite: test ``number`` (from 1) begins; 0: none runs."""
        _HEAD.pack_into(self._page, 0, number, 0, 0, b"")

    def ended(self) -> tuple[Waited, str] | None:
        """In the suite: how long was waited for the test that runs, and where it slept.

        None if it is not this test that is to be ended.
        """
        running, number, word, where = _HEAD.unpack_from(self._page)
        if not running or number != running:
            return None
        return _WORDS[word], where.decode(errors="replace")

    def ask(self, word: str, number: int, child: int, where: Callable[[], str]) -> None:
        """In the agent: do what a word of the host's says of the test ``number``.

        It runs in the process ``child``; if another one does by now, nothing is done. ``where``
        says where it sleeps.
        """
        place = where()
        running, *_ = _HEAD.unpack_from(self._page)
        if running != number or (word == IDLE and self._hung[place] < SEVERAL):
            return
        if word != IDLE and place:  # of what sleeps where is not known, none is like another
            self._hung[place] += 1
        if word == NOTE:
            return
        waited = Waited.HUNG if word == HUNG else Waited.NOT_WAITED_FOR
        _HEAD.pack_into(self._page, 0, running, number, _WORDS.index(waited), place.encode()[:254])
        os.kill(child, signal.SIGALRM)
