"""QEMU's own word on the guest: whether it runs it, why it ended, what its CPUs do.

QEMU's monitor speaks QMP (docs/interop/qmp-spec), of which the package qemu.qmp, by QEMU's
authors, takes care. Its coroutines run in the thread that calls ``Monitor.follow``; every
other method may be called from any thread, raises nothing and takes no longer than it is
told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from qemu.qmp import Message, QMPClient, QMPError, Runstate

_EVENTS = ("SHUTDOWN", "STOP", "RESUME", "BLOCK_IO_ERROR")
_T = TypeVar("_T")

# What goes wrong on the monitor is told in results; without a handler of its own the package
# would print it on stderr.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Monitor:
    """The monitor of one QEMU."""

    def __init__(self, stopped: Callable[[Mapping[str, object]], None]) -> None:
        """``stopped`` is told of the event BLOCK_IO_ERROR for which QEMU stops the guest."""
        self._stopped = stopped
        self._client = QMPClient()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._usable = threading.Event()
        #: QEMU has answered, so it runs the guest.
        self.ran = False
        #: Why QEMU ended, in its own words (ShutdownCause): "guest-shutdown", "guest-reset",
        #: "host-signal"; "" if it gave no reason: it was killed, or failed.
        self.shutdown = ""
        #: Since when the guest is paused (``time.monotonic()``); None if it is not.
        self.paused_since: float | None = None
        self.filled = False  # a disk failed, the guest was told, and goes on

    def follow(self, connection: socket.socket) -> None:
        """Hear what QEMU says until it hangs up."""
        with connection:
            asyncio.run(self._follow(connection))

    async def _follow(self, connection: socket.socket) -> None:
        client = self._client
        # None is kept: a guest can make QEMU tell any number of them.
        client.events.names.update(_EVENTS)
        client.events.event_filter = self._note
        self._loop = asyncio.get_running_loop()
        try:
            await client.connect(connection)
        except AssertionError:
            self.ran = True  # it answered, and was gone before the package had noted that
        except QMPError:
            pass  # it ended before it had begun
        else:
            self.ran = True
            self._usable.set()
            while client.runstate is Runstate.RUNNING:
                await client.runstate_changed()
            self._usable.clear()
        with contextlib.suppress(Exception):  # tells how the connection was cut off
            await client.disconnect()

    def _note(self, event: Message) -> bool:
        """Remember what an event says; False: the event itself need not be kept."""
        data = event.get("data")
        data = data if isinstance(data, dict) else {}
        match event.get("event"):
            case "SHUTDOWN":
                self.shutdown = str(data.get("reason", ""))
            case "STOP":
                self.paused_since = time.monotonic()
            case "RESUME":
                self.paused_since = None
            case "BLOCK_IO_ERROR":
                if data.get("action") == "stop":
                    self._stopped(data)
                else:
                    self.filled = True
        return False

    def _run(self, work: Coroutine[Any, Any, _T], limit: float) -> _T | None:
        """What ``work`` returns; None if it fails or takes longer than ``limit`` seconds."""
        if self._loop is None or not self._usable.is_set():
            work.close()
            return None
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop has just been closed
            work.close()
            return None
        try:
            return future.result(max(0.0, limit))
        except Exception:  # noqa: BLE001  (a monitor that fails has nothing to tell)
            future.cancel()
            return None

    def execute(self, command: str, limit: float, **arguments: object) -> object:
        """QEMU's answer to a command; None if there is none within ``limit`` seconds."""
        return self._run(self._client.execute(command, arguments), limit)

    def status(self, limit: float) -> str:
        """What QEMU calls its state (RunState): "running", "io-error", ...; "" if it is silent."""
        said = self.execute("query-status", limit)
        return str(said.get("status", "")) if isinstance(said, Mapping) else ""

    def human(self, command: str, limit: float) -> str:
        """What a command of the monitor for humans prints; "" if it does not answer."""
        said = self.execute("human-monitor-command", limit, **{"command-line": command})
        return said.replace("\r\n", "\n") if isinstance(said, str) else ""

    def press(self, *keys: str, limit: float) -> bool:
        """Press keys of the guest's keyboard at once (QKeyCode); False if QEMU did not."""
        pressed = [{"type": "qcode", "data": key} for key in keys]
        return self.execute("send-key", limit, keys=pressed) is not None

    def dump_memory(self, path: Path, limit: float) -> bool:
        """Write the guest's memory to ``path``, kdump-compressed; False if QEMU did not.

        QEMU is handed a pipe, for it may neither open files nor write large ones (launcher.py).
        What is there after ``limit`` seconds stays. Raises OSError.
        """
        with path.open("wb") as file:
            ours, theirs = os.pipe()
            copying = threading.Thread(target=_copy, args=(ours, file), daemon=True)
            copying.start()
            try:
                done = self._run(self._dump(theirs), limit) is not None
            finally:
                os.close(theirs)
            copying.join(limit if done else 0)
            return done and not copying.is_alive()

    async def _dump(self, descriptor: int) -> object:
        self._client.send_fd_scm(descriptor)
        await self._client.execute("getfd", {"fdname": "dump"})
        wanted = {"paging": False, "protocol": "fd:dump", "format": "kdump-zlib"}
        return await self._client.execute("dump-guest-memory", wanted)


def _copy(descriptor: int, file: IO[bytes]) -> None:
    """Copy what comes through a pipe to its end, or until the file is closed or full."""
    with open(descriptor, "rb") as pipe, contextlib.suppress(OSError, ValueError):
        shutil.copyfileobj(pipe, file)
