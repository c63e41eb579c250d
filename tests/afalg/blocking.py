"""A call that may sleep in the kernel, made by a thread of its own.

A request socket sleeps without a time limit (SO_RCVTIMEO has no effect on AF_ALG), so a
call that is meant to block is made where it can be watched and interrupted: procfs shows
whether the thread sleeps, and in which system call, and a signal ends the call. The call
must go through ``libc``, because Python's own calls are restarted after a signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

Result = TypeVar("Result")

#: Far more than a busy emulated machine needs; reached only if something is broken.
LIMIT = 10.0
WAKE = signal.SIGUSR1
#: poll on x86-64; ppoll there and elsewhere.
_POLL = ("7", "271", "73")


class Blocking(threading.Thread, Generic[Result]):
    """Runs one call; ended by a signal, if need be, when the block is left."""

    def __init__(self, call: Callable[[], Result]) -> None:
        super().__init__(daemon=True)
        self._what = call
        self._returned: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """The thread."""
        try:
            self._returned.append(self._what())
        except BaseException as error:  # noqa: BLE001  (handed to the test by result())
            self._error = error

    def __enter__(self) -> Self:
        self._handler_before = signal.signal(WAKE, lambda *_: None)
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        for _ in attempts():
            if not self.is_alive():
                break
            self.interrupt()
            self.join(0.005)
        signal.signal(WAKE, self._handler_before)

    def interrupt(self) -> None:
        """Send a signal to the thread."""
        with contextlib.suppress(ProcessLookupError):
            signal.pthread_kill(self.ident or 0, WAKE)

    def asleep(self) -> str:
        """Wait until the thread sleeps in a call on a file descriptor; says in which.

        A thread that waits for Python's lock sleeps too, but in futex(), whose first
        argument is an address.
        """
        return self._sleeping(lambda words: int(words[1], 16) < 65536)

    def asleep_in_poll(self) -> str:
        """Wait until the thread sleeps in poll() of one descriptor."""
        return self._sleeping(lambda words: int(words[2], 16) == 1 and words[0] in _POLL)

    def _sleeping(self, right: Callable[[list[str]], bool]) -> str:
        task = Path(f"/proc/self/task/{self.native_id}")
        seen = ""
        for _ in attempts():
            if not self.is_alive():
                raise AssertionError(f"the call did not block: {self.told()}")
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                seen = (task / "syscall").read_text().strip()
                words = seen.split()
                if state == "S" and len(words) > 2 and right(words):
                    return words[0]
        raise AssertionError(f"the thread did not go to sleep in a call: {seen!r}")

    def told(self) -> str:
        """How the call ended, for a message."""
        return repr(self._error or self._returned)

    def ended(self) -> bool:
        """Whether the call has returned."""
        return not self.is_alive()

    def result(self) -> Result:
        """What the call returned, or the error that it raised; waits for it."""
        self.join(LIMIT)
        assert not self.is_alive(), "the call sleeps on: nobody woke it"
        if self._error:
            raise self._error
        return self._returned[0]


def attempts(limit: float = LIMIT) -> Iterator[None]:
    """Turns of a loop that looks again and again, until a time limit."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        yield
        os.sched_yield()
        time.sleep(0.0005)
