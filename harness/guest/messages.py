"""What is heard of a running guest, one thing at a time, and the queue in which it waits."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class ConsoleLine:
    """One line of the guest's console (or of vng), without its line end."""

    seconds: float  # since the start of vng
    text: str


@dataclass(frozen=True)
class RecordLine:
    """One line from the results port, whole or not, without its line end."""

    seconds: float  # since the start of vng
    text: str
    left_out: int = 0  # characters of a line that was too long; ``text`` is then its beginning


@dataclass(frozen=True)
class Stopped:
    """The host could not do what the guest asked of a disk, so QEMU stopped the guest."""

    seconds: float  # since the start of vng
    reason: str  # what the host lacks, and where


@dataclass(frozen=True)
class Ended:
    """All channels are closed: QEMU and vng are gone."""

    seconds: float


@dataclass(frozen=True)
class Expired:
    """The deadline passed before anything else was heard."""

    seconds: float


Message = ConsoleLine | RecordLine | Stopped | Ended | Expired

_OVERHEAD = 100  # characters that a message is counted as beside its text


class Mailbox:
    """Messages on the way to whoever takes them, bounded by the text that they hold."""

    def __init__(self, limit: int) -> None:
        """``limit`` in characters: a guest that says more meanwhile is held up."""
        self._limit = limit
        self._messages: deque[Message] = deque()
        self._held = 0
        self._changed = threading.Condition()

    def put(self, message: Message, timeout: float) -> bool:
        """Add a message; False if there was no room for ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held < self._limit, timeout):
                return False
            self._messages.append(message)
            self._held += _size(message)
            self._changed.notify_all()
        return True

    def get(self, timeout: float) -> Message | None:
        """The next message; None if none comes for ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._messages, timeout):
                return None
            message = self._messages.popleft()
            self._held -= _size(message)
            self._changed.notify_all()
        return message


def _size(message: Message) -> int:
    return _OVERHEAD + (len(message.text) if isinstance(message, ConsoleLine | RecordLine) else 0)
