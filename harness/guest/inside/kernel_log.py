"""Reads the kernel log in the guest, where no log level hides anything of it.

``/dev/kmsg`` gives one message a read (Documentation/ABI/testing/dev-kmsg), from the oldest
that the kernel still has, which on a fresh boot is its first.
"""

from __future__ import annotations

import os
import re

from harness.guest.inside.records import KERNEL_LOG, KernelLog

_MESSAGE_LIMIT = 8192  # bytes; a read into less than a message needs fails
#: Characters sent of one boot: a kernel that floods its log must not fill the host's files,
#: nor keep the guest busy. What is beyond counts as lost.
_SENT_LIMIT = 4 << 20
_BATCH_LIMIT = 256 << 10  # characters taken at a time: the process that takes has more to do
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class KernelLogReader:
    """Takes what the kernel has logged since the last time."""

    def __init__(self, path: str = KERNEL_LOG) -> None:
        """Open the log at its oldest message. Raises OSError if the kernel has none."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._next = 0  # sequence number that comes after what was read
        self._sent = 0

    def take(self) -> KernelLog | None:
        """Messages not taken yet, up to a limit; None if there are none."""
        if self._sent >= _SENT_LIMIT:
            return None
        lines: list[str] = []
        lost = size = 0
        while size < _BATCH_LIMIT:
            try:
                message = os.read(self._descriptor, _MESSAGE_LIMIT)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # overwritten before it was read; the next number tells how many
            except OSError:
                lost += 1
                break
            if not message:
                break
            number, told = format_message(message)
            lost += max(0, number - self._next)
            self._next = number + 1
            lines += told
            size += sum(map(len, told))
        self._sent += size
        lost += self._sent >= _SENT_LIMIT  # whatever comes after this
        return KernelLog(tuple(lines), lost) if lines or lost else None


def format_message(message: bytes) -> tuple[int, list[str]]:
    """Number of a message and its lines, each as a console has it ("[    1.234567] text").

    Lines that only name the device ("SUBSYSTEM=...") are left out.
    """
    prefix, _, text = message.partition(b";")
    _, number, microseconds = prefix.split(b",")[:3]
    text = text.partition(b"\n")[0]
    if b"\\x" in text:
        text = _ESCAPE.sub(lambda match: bytes([int(match.group(1), 16)]), text)
    seconds, fraction = divmod(int(microseconds), 1_000_000)
    stamp = f"[{seconds:5}.{fraction:06}] "
    return int(number), [stamp + line for line in text.decode(errors="replace").split("\n")]
