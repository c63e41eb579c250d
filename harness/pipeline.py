"""What is prepared while other things are worked on: the order in which that is done.

It knows nothing of kernels: items are prepared by a few threads, and worked on by others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")

#: Prepared at once: while one waits for a network another, at hand, holds up nothing.
_PREPARING = 2


class Pipeline(Generic[Item, Prepared]):
    """Works on items as they become ready; of those that are, on the longest first."""

    def __init__(
        self,
        prepare: Callable[[Item], Prepared],
        work: Callable[[Item, Future[Prepared]], None],
        seconds: Callable[[Item], float],
    ) -> None:
        """``prepare`` fetches what ``work`` needs, which is given how that ended.

        ``seconds`` is how long ``work`` is expected to take; it orders, and nothing more.
        """
        self._prepare, self._work, self._seconds = prepare, work, seconds
        self._lock = threading.Lock()
        self._ready: dict[int, tuple[Item, Future[Prepared]]] = {}  # by its place in the order

    def run(self, items: Sequence[Item], at_once: int, stop: threading.Event) -> None:
        """Prepare and work on all ``items``, on ``at_once`` of them at a time.

        What ``work`` raises is raised here, once all have ended; ``stop`` is set at once.
        """
        with (
            ThreadPoolExecutor(_PREPARING, thread_name_prefix="prepare") as preparers,
            ThreadPoolExecutor(at_once, thread_name_prefix="work") as workers,
        ):
            working: list[Future[None]] = []

            def make_ready(place: int, item: Item) -> None:
                prepared: Future[Prepared] = Future()
                try:
                    prepared.set_result(self._prepare(item))
                except Exception as error:  # noqa: BLE001  (for ``work``, which asks for it)
                    prepared.set_exception(error)
                with self._lock:
                    self._ready[place] = item, prepared
                    working.append(workers.submit(self._work_on_longest))

            longest_first = enumerate(sorted(items, key=self._seconds, reverse=True))
            try:
                for one in [preparers.submit(make_ready, *numbered) for numbered in longest_first]:
                    one.result()
                for one in working:
                    one.result()
            except BaseException:
                stop.set()
                raise

    def _work_on_longest(self) -> None:
        """Take what is longest of all that is ready by now: there is one for each call."""
        with self._lock:
            longest = self._ready.pop(min(self._ready))
        self._work(*longest)
