"""Reads the kernel log in the guest, where no log level hides anything of it.

``/dev/kmsg`` gives one message a read (Documentation/ABI/testing/dev-kmsg), from the oldest
that the kernel still has, which on a fresh boot is its first.
"""

from __future__ import annotations

import os
import re

from harness.guest.inside.records import KERNEL_LOG, KernelLog

_MESSAGE_LIMIT = 8192  # bytes; a read into less than a message needs fails
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class KernelLogReader:
    """Takes what the kernel has logged since the last time."""

    def __init__(self, path: str = KERNEL_LOG) -> None:
        """Open the log at its oldest message. Raises OSError if the kernel has none."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._next = 0  # sequence number that comes after what was read

    def take(self) -> KernelLog | None:
        """All messages not taken yet; None if there are none."""
        lines: list[str] = []
        lost = 0
        while True:
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
