"""Which machine takes the next kernel: those that wait are served in the order in which they came.

It knows machines by their names and how many guests each takes, and nothing of how they are
reached. A machine that is gone is not given out again.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping

from harness.errors import InfrastructureError, Interrupted


class Slots:
    """Room for guests on several machines. Safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rooms: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._queue: deque[object] = deque()
        self._closed = ""

    def update(self, rooms: Mapping[str, int]) -> None:
        """Say which machines there are now, and for how many guests each has room."""
        with self._changed:
            self._rooms = dict(rooms)
            self._changed.notify_all()

    def all(self) -> int:
        """Room for how many guests there is, taken or not."""
        with self._changed:
            return sum(self._rooms.values())

    def has(self, machine: str) -> bool:
        """Whether the machine is still there."""
        with self._changed:
            return machine in self._rooms

    def close(self, reason: str) -> None:
        """Say that there will be no machine any more, and why."""
        with self._changed:
            self._rooms, self._closed = {}, reason
            self._changed.notify_all()

    @contextlib.contextmanager
    def taken(self, stop: threading.Event) -> Iterator[str]:
        """A machine with room for one more guest, which is taken within this block.

        Raises Interrupted if ``stop`` is set while it waits, InfrastructureError if there is
        none any more.
        """
        machine = self._take(stop)
        try:
            yield machine
        finally:
            with self._changed:
                self._used[machine] -= 1
                self._changed.notify_all()

    def _take(self, stop: threading.Event) -> str:
        me = object()
        with self._changed:
            self._queue.append(me)
            try:
                while not stop.is_set():
                    if self._closed:
                        raise InfrastructureError(self._closed)
                    free = {
                        name: room - self._used.get(name, 0) for name, room in self._rooms.items()
                    }
                    best = max(free, key=lambda name: free[name], default="")
                    if self._queue[0] is me and best and free[best] > 0:
                        self._used[best] = self._used.get(best, 0) + 1
                        return best
                    self._changed.wait(1.0)
            finally:
                self._queue.remove(me)
                self._changed.notify_all()
        raise Interrupted("stopped before a machine was free")
