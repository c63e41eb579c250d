"""The guest's end of the results channel: one JSON object a line on a virtio-serial port.

A write to the port returns only once the host has taken the bytes (``__send_to_port`` in
``drivers/char/virtio_console.c`` waits for it), so a record that was sent before a crash
is not lost in it. Records are numbered; a gap tells the host that one is missing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import mmap
import os
import time
from collections.abc import Iterable
from pathlib import Path

PORT_NAME = "afalg.results"
KERNEL_LOG = "/dev/kmsg"


def find_port(name: str = PORT_NAME) -> Path | None:
    """The device of the virtio-serial port called ``name``; None if there is none.

    Looked up in sysfs, since the names below ``/dev/virtio-ports`` need udev.
    """
    for entry in Path("/sys/class/virtio-ports").glob("*/name"):
        if entry.read_text().strip() == name:
            return Path("/dev") / entry.parent.name
    return None


class RecordWriter:
    """Writes numbered records to a file descriptor, each in full or with an error.

    The number lives in memory shared with forked processes, so that it goes on where a
    process that died stopped. Only the process that called ``own`` last writes: a test
    may fork without a second copy of its outcome being reported.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._number = mmap.mmap(-1, mmap.PAGESIZE)
        self.own()

    def own(self) -> None:
        """Make the calling process the one whose records count."""
        self._owner = os.getpid()

    def send(self, kind: str, **fields: object) -> None:
        """Send one record; does nothing in a process that is not the owner."""
        if os.getpid() != self._owner:
            return
        number = int.from_bytes(self._number[:8], "little")
        self._number[:8] = (number + 1).to_bytes(8, "little")
        record = {"type": kind, "seq": number, "uptime": round(time.monotonic(), 3)}
        data = json.dumps(record | fields, default=str).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


@functools.cache
def _opened(path: str, flags: int) -> int:
    """A descriptor that stays open: opening a file for every test takes longer than the rest."""
    return os.open(path, flags | os.O_CLOEXEC)


def read_taint() -> int:
    """The kernel's taint bits (Documentation/admin-guide/tainted-kernels.rst)."""
    return int(os.pread(_opened("/proc/sys/kernel/tainted", os.O_RDONLY), 32, 0))


def log_to_console(lines: Iterable[str]) -> None:
    """Write lines to the kernel log, so that a splat can be charged to the test before it."""
    with contextlib.suppress(OSError):
        for line in lines:
            os.write(_opened(KERNEL_LOG, os.O_WRONLY), f"<6>afalg-harness: {line}\n".encode())
