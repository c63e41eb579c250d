"""Runs one guest: starts vng on a pty, hears its console and its records, ends it.

Threads listen (one reads the console through pexpect, one the results channel, one what
QEMU says of its own end) and put what they hear on one queue; whoever calls
``Session.next`` sees a single stream in which every wait has a deadline. However the
``with`` block is left, the whole process group is gone and its scratch directory removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect

from harness.files import full_disk_named
from harness.guest import vng
from harness.guest.messages import ConsoleLine, Ended, Expired, Message, RecordLine, Stopped
from harness.guest.place import RECORDS_FILE, place
from harness.model import BootableKernel
from harness.processes import end_group, heed_hangup
from harness.scratch import scratch_directory

_TERMINAL = (50, 4096)  # rows, columns: the terminal wraps no console line
#: Messages that may wait to be taken; a guest that says more is held up by its terminal.
_BACKLOG = 10_000
_RECORD_LIMIT = 16 << 20  # characters of one line on the results port
#: Asks QEMU to tell its events (docs/interop/qmp-spec).
_QMP_START = b'{"execute": "qmp_capabilities"}\n'


@dataclass(frozen=True)
class GuestSettings:
    """How a guest is to be run."""

    root: vng.Root
    accel: str  # "tcg" or "kvm"
    cpus: int = 2
    memory: str = "1G"
    append: tuple[str, ...] = ()  # kernel arguments
    program: str = "agent.py"  # of harness/guest/inside, which is started in the guest
    qemu_options: tuple[str, ...] = ()  # further ones


@dataclass(frozen=True)
class Exit:
    """How a guest's processes ended."""

    #: QEMU ran the guest; False if it, or vng, failed before that.
    ran: bool
    #: QEMU's reason for its end ("guest-shutdown", "guest-reset", "host-signal"), in its own
    #: words (RunState, ShutdownCause); "" if it gave none: it was killed, or failed.
    shutdown: str
    vng_status: int | None  # vng's exit status; negative: the signal that killed it
    #: It wrote more than it may (launcher.DISK_LIMIT), which failed.
    filled: bool = False


class Session:
    """One running guest. Use as a context manager."""

    def __init__(self, kernel: BootableKernel, settings: GuestSettings, payload: Path) -> None:
        self._kernel = kernel
        self._settings = settings
        self._place = place(kernel, settings.root, payload)
        self._queue: queue.Queue[Message] = queue.Queue(_BACKLOG)
        self._threads: list[threading.Thread] = []
        self._open_channels = 0
        self._scratch = Path()
        self._child: pexpect.spawn | None = None
        self._listeners: list[socket.socket] = []
        self._requests: socket.socket | None = None  # the results port, in the other direction
        self._started = 0.0
        self.argv: list[str] = []
        self._over = threading.Event()  # the console is closed: nobody connects any more
        self._unheard = threading.Event()  # nobody takes messages any more
        self._ran = False
        self._shutdown = ""
        self._filled = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._scratch = stack.enter_context(scratch_directory())
            stack.callback(self._close)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def elapsed(self) -> float:
        """Seconds since vng was started."""
        return time.monotonic() - self._started

    @property
    def place(self) -> Path:
        """Where the files of vng and QEMU lie."""
        return self._scratch.parent

    def _start(self) -> None:
        results, events = self._listener(vng.RESULTS_SOCKET), self._listener(vng.QMP_SOCKET)
        with full_disk_named(self.place, "name another place with TMPDIR"):
            self._place.make(self._scratch)
        self.argv = self._command(records_file=None)
        self._started = time.monotonic()
        self._child = pexpect.spawn(
            self.argv[0],
            self.argv[1:],
            timeout=None,
            encoding="utf-8",
            codec_errors="replace",
            dimensions=_TERMINAL,
            env=vng.environment(self._scratch),
            cwd=str(self._scratch),
            echo=False,
            preexec_fn=heed_hangup,
        )
        self._listen(self._read_console)
        self._listen(lambda: self._read_records(results))
        self._listen(lambda: self._read_qemu(events))

    def _command(self, records_file: str | None) -> list[str]:
        return vng.command(
            self._kernel,
            self._settings.root,
            accel=self._settings.accel,
            cpus=self._settings.cpus,
            memory=self._settings.memory,
            append=self._settings.append,
            program=self._settings.program,
            qemu_options=self._settings.qemu_options,
            records_file=records_file,
        )

    def again(self) -> str:
        """A shell script that boots the same guest when this one is gone."""
        argv = self._command(records_file=RECORDS_FILE)
        return self._place.again(argv, vng.environment(self._scratch))

    def _listener(self, name: str) -> socket.socket:
        """A socket ``name`` in the scratch directory, whatever that directory is called.

        The address of a unix socket has room for 107 bytes. QEMU connects by the bare name,
        for it runs in that directory.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listeners.append(listener)
        directory = os.open(self._scratch, os.O_PATH | os.O_DIRECTORY)
        try:
            listener.bind(f"/proc/self/fd/{directory}/{name}")
        finally:
            os.close(directory)
        listener.listen(1)
        listener.settimeout(0.2)
        return listener

    def _listen(self, read: Callable[[], None]) -> None:
        """Let a thread of its own ``read`` a channel to its end."""

        def listen() -> None:
            try:
                read()
            except (OSError, ValueError):
                pass  # cut off by the death of QEMU: what it had sent has been read
            finally:
                self._put(Ended(self.elapsed()))

        self._open_channels += 1
        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _put(self, message: Message) -> None:
        while not self._unheard.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(message, timeout=0.2)
                return

    def _read_console(self) -> None:
        assert self._child is not None
        try:
            while self._child.expect_exact(["\n", pexpect.EOF]) == 0:
                self._put(ConsoleLine(self.elapsed(), self._child.before.rstrip("\r")))
            if self._child.before:
                self._put(ConsoleLine(self.elapsed(), self._child.before))
        finally:
            self._over.set()

    def _read_records(self, listener: socket.socket) -> None:
        connection = self._accept(listener)
        if connection is None:
            return
        with (
            connection,
            connection.makefile(encoding="utf-8", errors="replace", newline="\n") as lines,
        ):
            self._requests = connection
            while line := lines.readline(_RECORD_LIMIT):
                self._put(RecordLine(self.elapsed(), line.rstrip("\n")))

    def _read_qemu(self, listener: socket.socket) -> None:
        """Hear from QEMU itself whether it runs the guest, and why it ends."""
        connection = self._accept(listener)
        if connection is None:
            return
        with connection, connection.makefile(encoding="utf-8", errors="replace") as lines:
            connection.sendall(_QMP_START)
            for line in lines:
                said = json.loads(line)
                self._ran = self._ran or "return" in said
                if said.get("event") == "SHUTDOWN":
                    self._shutdown = str(said["data"]["reason"])
                elif said.get("event") == "BLOCK_IO_ERROR" and said["data"]["action"] == "stop":
                    # It waits for room (werror=enospc), and for somebody to let it go on.
                    self._put(Stopped(self.elapsed(), self._lacking(said["data"])))
                elif said.get("event") == "BLOCK_IO_ERROR":
                    self._filled = True  # the guest was told that it failed, and goes on

    def _lacking(self, failed: Mapping[str, object]) -> str:
        """What the host lacks, from QEMU's event BLOCK_IO_ERROR."""
        what = "no space left" if failed.get("nospace") else f"disk error ({failed.get('reason')})"
        return f"{what} in {self.place} (TMPDIR), where the guest's writes are kept,"

    def _accept(self, listener: socket.socket) -> socket.socket | None:
        """QEMU's connection; None if vng ended without having started QEMU."""
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if self._over.is_set():
                    return None
            else:
                connection.settimeout(None)
                return connection

    @property
    def directory(self) -> Path:
        """Where vng runs."""
        return self._scratch

    def send(self, data: bytes) -> None:
        """Send to the program in the guest, which has spoken; lost if the guest is gone."""
        if self._requests is not None:
            with contextlib.suppress(OSError):
                self._requests.sendall(data)

    def next(self, deadline: float) -> Message:
        """The next message; Expired if none comes before ``deadline`` (seconds since start).

        ``Ended`` is delivered once, when all channels are closed.
        """
        while True:
            try:
                message = self._queue.get(timeout=max(0.0, deadline - self.elapsed()))
            except queue.Empty:
                return Expired(self.elapsed())
            if not isinstance(message, Ended):
                return message
            self._open_channels -= 1
            if self._open_channels <= 0:
                return message

    def drain(self) -> Iterator[Message]:
        """End the guest now and yield what was still under way."""
        self._end_processes()
        while self._open_channels > 0:
            message = self.next(self.elapsed() + 10)
            if isinstance(message, (Ended, Expired)):
                return
            yield message

    def exit(self) -> Exit:
        """How the guest's processes ended; to be asked when all was drained."""
        assert self._child is not None
        self._child.close(force=True)
        killed = self._child.signalstatus
        status = self._child.exitstatus if killed is None else -killed
        return Exit(self._ran, self._shutdown, status, self._filled)

    def _end_processes(self) -> None:
        if self._child is not None:
            end_group(self._child.pid)

    def _close(self) -> None:
        self._unheard.set()
        try:
            self._end_processes()
            for thread in self._threads:
                thread.join(10)
            if self._child is not None:
                self._child.close(force=True)
        finally:
            for listener in self._listeners:
                listener.close()
