"""Follows the word of the kernels' code to where a check seems to change, while others boot.

It fetches what halving would fetch, and boots nothing: once it is done, the code of the two
kernels around the change is at hand, and says which two to boot first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from harness.errors import Interrupted

#: Kernels beside the middle one that are tried where that has no word.
_TRIES = 3
_LOOK_SECONDS = 0.2


class Scout:
    """Goes through ``specs``, oldest first, in a thread of whoever calls ``go``."""

    def __init__(
        self,
        specs: Sequence[str],
        fetch: Callable[[str], None],
        word: Callable[[str], str],
        stop: threading.Event,
    ) -> None:
        """``fetch`` has a kernel's code at hand, for ``word`` to read; both raise nothing.

        ``word`` is "" where it says nothing. ``stop`` ends the search.
        """
        self._specs, self._fetch, self._word, self._stop = specs, fetch, word, stop
        self._done = threading.Event()

    def go(self) -> None:
        """Halve what lies between the ends, by the word of the code alone."""
        try:
            self._search()
        finally:
            self._done.set()

    def wait(self, stop: threading.Event) -> None:
        """Wait until it is done. Raises Interrupted if ``stop`` is set meanwhile."""
        while not self._done.wait(_LOOK_SECONDS):
            if stop.is_set():
                raise Interrupted("interrupted; the same command goes on")

    def _search(self) -> None:
        old, new = 0, len(self._specs) - 1
        first, last = self._read(old), self._read(new)
        if not (first and last) or first == last:
            return  # nothing is told by the code of any other either
        while new - old > 1:
            for index in _from_the_middle(old, new):
                said = self._read(index)
                if said:
                    break
            else:
                return
            old, new = (index, new) if said == first else (old, index)

    def _read(self, index: int) -> str:
        if self._stop.is_set():
            return ""
        self._fetch(self._specs[index])
        return self._word(self._specs[index])


def _from_the_middle(old: int, new: int) -> Iterator[int]:
    """Indexes between two, the middle one first, and then those around it."""
    middle = (old + new) // 2
    order = sorted(range(old + 1, new), key=lambda index: (abs(index - middle), index))
    yield from order[:_TRIES]
