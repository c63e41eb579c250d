"""Runs one guest: starts vng on a pty, hears its console and its records, ends it.

Threads listen (one reads the console through pexpect, one the results channel, one what
QEMU says of its own end) and put what they hear on one queue; whoever calls
``Session.next`` sees a single stream in which every wait has a deadline. However the
``with`` block is left, the whole process group is gone and its scratch directory removed.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect

from harness.files import full_disk_named
from harness.guest import vng
from harness.guest.inside.records import REQUEST
from harness.guest.launcher import INIT_NAME
from harness.guest.lines import LineSplitter, Piece
from harness.guest.messages import (
    ConsoleLine,
    Ended,
    Expired,
    Mailbox,
    Message,
    RecordLine,
    Stopped,
)
from harness.guest.parsing import RECORD_LIMIT
from harness.guest.place import RECORDS_FILE, place
from harness.guest.terminal import on_terminal
from harness.guest.unbootable import refuse_unbootable
from harness.model import BootableKernel
from harness.processes import end_group, group_members
from harness.scratch import scratch_directory

_TERMINAL = (50, 4096)  # rows, columns: the terminal wraps no console line
#: Characters of messages that may wait to be taken; a guest that says more is held up.
_BACKLOG = 4 << 20
_CHUNK = 1 << 16  # bytes read at once
_CONSOLE_LINE_LIMIT = 1 << 14  # characters; what is longer comes in pieces
_KEPT_OF_A_LONG_RECORD = 200  # characters


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
    dump_memory: Path | None = None  # directory for the memory of guests that stand still


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
        """Raises InputError if no guest of ``kernel`` can get far, by its config."""
        refuse_unbootable(kernel, settings.root)
        self._kernel = kernel
        self._settings = settings
        self._place = place(kernel, settings.root, payload)
        self._mailbox = Mailbox(_BACKLOG)
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
        self._child = on_terminal(
            self.argv,
            self._scratch,
            environment=vng.environment(self._scratch),
            dimensions=_TERMINAL,
            echo=False,
        )
        from harness.guest.qmp import Monitor  # noqa: PLC0415  (25 ms, while vng starts)

        self.monitor = Monitor(self._note_stop)
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
        while not self._unheard.is_set() and not self._mailbox.put(message, timeout=0.2):
            pass

    def _read_console(self) -> None:
        assert self._child is not None
        lines = LineSplitter(_CONSOLE_LINE_LIMIT)
        try:
            with contextlib.suppress(pexpect.EOF):
                while True:
                    self._put_console(lines.feed(self._child.read_nonblocking(_CHUNK, None)))
            self._put_console(lines.finish())
        finally:
            self._over.set()

    def _put_console(self, lines: Iterable[Piece]) -> None:
        for line in lines:
            self._put(ConsoleLine(self.elapsed(), line.text.rstrip("\r")))

    def _read_records(self, listener: socket.socket) -> None:
        connection = self._accept(listener)
        if connection is None:
            return
        with connection:
            self._requests = connection
            for text, left_out in _whole_lines(connection):
                self._put(RecordLine(self.elapsed(), text, left_out))

    def _read_qemu(self, listener: socket.socket) -> None:
        """Hear from QEMU itself whether it runs the guest, and why it ends."""
        connection = self._accept(listener)
        if connection is not None:
            self.monitor.follow(connection)

    def _note_stop(self, failed: Mapping[str, object]) -> None:
        # It waits for room (werror=enospc), and for somebody to let it go on.
        self._put(Stopped(self.elapsed(), self._lacking(failed)))

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

    def ask_agent(self, request: bytes = REQUEST) -> bool:
        """Ask the agent in the guest, by default to tell how the suite fares.

        False if it cannot be asked.
        """
        if self._requests is None:
            return False
        try:
            # It may stand still for good, and so may what it has not yet taken.
            self._requests.send(request, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def qemu_process(self) -> int | None:
        """QEMU's process id; None if it does not run."""
        return next((process for process, _ in self._qemu_processes()), None)

    def qemu_is_stopped(self) -> bool:
        """Whether QEMU's process was stopped (SIGSTOP, a debugger)."""
        return any(state in {"T", "t"} for _, state in self._qemu_processes())

    def dump_memory(self, path: Path, limit: float) -> bool:
        """Write the guest's memory, be it more than QEMU may write while it runs a guest.

        As ``Monitor.dump_memory``; the guest is to be ended then.
        """
        for process, _ in self._qemu_processes():
            with contextlib.suppress(OSError):
                _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
                resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
        return self.monitor.dump_memory(path, limit)

    def _qemu_processes(self) -> Iterator[tuple[int, str]]:
        """QEMU's process id and state, if it runs."""
        members = group_members(self._child.pid) if self._child is not None else []
        for process in members:
            with contextlib.suppress(OSError):
                name, _, rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")
                if "(qemu-system" in name:
                    yield process, rest.split()[0]

    def next(self, deadline: float) -> Message:
        """The next message; Expired if none comes before ``deadline`` (seconds since start).

        ``Ended`` is delivered once, when all channels are closed.
        """
        while True:
            message = self._mailbox.get(max(0.0, deadline - self.elapsed()))
            if message is None:
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
        return Exit(self.monitor.ran, self.monitor.shutdown, status, self.monitor.filled)

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
            self._remove_init()

    def _remove_init(self) -> None:
        """Remove what vng, if it was killed, has left in a root that is a directory."""
        with contextlib.suppress(OSError):
            name = (self._scratch / INIT_NAME).read_text(encoding="utf-8")
            (self._settings.root.path / Path(name).name).unlink()


def _whole_lines(connection: socket.socket) -> Iterator[tuple[str, int]]:
    """Lines from a socket to its end. Of one that is too long its beginning, and the number
    of characters that were left out of it."""
    lines, decoder = LineSplitter(RECORD_LIMIT), codecs.getincrementaldecoder("utf-8")("replace")

    def pieces() -> Iterator[Piece]:
        with contextlib.suppress(OSError):  # cut off by the death of QEMU
            while chunk := connection.recv(_CHUNK):
                yield from lines.feed(decoder.decode(chunk))
        yield from lines.finish()

    begun, length = "", 0
    for text, ended in pieces():
        begun, length = begun or text, length + len(text)
        if ended:
            yield _cut(begun, length)
            begun, length = "", 0
    if length:
        yield _cut(begun, length)


def _cut(text: str, length: int) -> tuple[str, int]:
    if length == len(text):
        return text, 0
    return text[:_KEPT_OF_A_LONG_RECORD], length - _KEPT_OF_A_LONG_RECORD
