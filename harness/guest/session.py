"""Runs one guest: starts vng on a pty, hears its console and its records, ends it.

Two threads listen (one reads the console through pexpect, one the results channel) and
put what they hear on one queue; whoever consumes ``Session.messages`` sees a single
stream in which every wait has a deadline. However the ``with`` block is left, the whole
process group is gone and its scratch directory removed.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect

from harness.guest import vng
from harness.model import BootableKernel
from harness.processes import end_group, heed_hangup
from harness.scratch import scratch_directory

_TERMINAL = (50, 4096)  # rows, columns: the terminal wraps no console line


@dataclass(frozen=True)
class ConsoleLine:
    """One line of the guest's console (or of vng), without its line end."""

    seconds: float  # since the start of vng
    text: str


@dataclass(frozen=True)
class Record:
    """One record from the guest; ``data`` is None if the line was not whole JSON."""

    seconds: float
    data: dict[str, object] | None
    raw: str


@dataclass(frozen=True)
class Ended:
    """Both channels are closed: QEMU is gone."""

    seconds: float


@dataclass(frozen=True)
class Expired:
    """The deadline passed before anything else was heard."""

    seconds: float


Message = ConsoleLine | Record | Ended | Expired


@dataclass(frozen=True)
class GuestSettings:
    """How a guest is to be run."""

    root: vng.Root
    accel: str  # "tcg" or "kvm"
    cpus: int = 2
    memory: str = "1G"
    append: tuple[str, ...] = ()  # kernel arguments


class Session:
    """One running guest. Use as a context manager."""

    def __init__(self, kernel: BootableKernel, settings: GuestSettings, payload: Path) -> None:
        self._kernel = kernel
        self._settings = settings
        self._payload = payload
        self._queue: queue.Queue[Message] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._open_channels = 2
        self._scratch = Path()
        self._child: pexpect.spawn | None = None
        self._listener: socket.socket | None = None
        self._started = 0.0
        self.argv: list[str] = []
        self._wake = threading.Event()
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

    def _start(self) -> None:
        socket_path = self._scratch / "results"
        listener = self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(socket_path))
        listener.listen(1)
        self.argv = vng.command(
            self._kernel_link(),
            self._settings.root,
            self._shares(),
            socket_path,
            accel=self._settings.accel,
            cpus=self._settings.cpus,
            memory=self._settings.memory,
            append=self._settings.append,
        )
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
        for listen in (self._read_console, self._read_records):
            thread = threading.Thread(target=listen, name=listen.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _link(self, name: str, target: Path) -> Path:
        # vng splices paths into shell commands: give it names of ours, free of white space.
        link = self._scratch / name
        link.symlink_to(target)
        return link

    def _kernel_link(self) -> Path:
        """The image in a directory that also has ``lib/modules``, where vng looks for them."""
        kernel, on_disk = self._kernel, self._settings.root.kind == "disk"
        boot = kernel.image.parent.parent / "lib"
        whole = kernel.modules_tree
        directory = self._scratch / "kernel"
        directory.mkdir()
        # A root over 9p needs 9p and overlayfs from the whole tree.
        modules = boot if on_disk or whole is None else whole.parents[1]
        if modules.is_dir():
            (directory / "lib").symlink_to(modules)
        link = directory / kernel.image.name
        link.symlink_to(kernel.image)
        return link

    def _shares(self) -> vng.GuestShares:
        """Payload and modules, as disks or, with a root over 9p, as directories."""
        kernel = self._kernel
        if self._settings.root.kind == "disk":
            image = kernel.modules_image
            modules = self._link("modules", image) if image is not None else None
            return vng.GuestShares(self._link("payload", self._payload), modules)
        share = self._scratch / "share"
        share.mkdir()
        shutil.copyfile(self._payload, share / vng.PAYLOAD_NAME)
        tree = kernel.modules_tree
        return vng.GuestShares(share, self._link("modules", tree) if tree is not None else None)

    def _read_console(self) -> None:
        assert self._child is not None
        try:
            while self._child.expect_exact(["\n", pexpect.EOF]) == 0:
                self._queue.put(ConsoleLine(self.elapsed(), self._child.before.rstrip("\r")))
            if self._child.before:
                self._queue.put(ConsoleLine(self.elapsed(), self._child.before))
        finally:
            self._queue.put(Ended(self.elapsed()))
            self._wake.set()

    def _read_records(self) -> None:
        try:
            connection = self._accept()
            if connection is None:
                return
            with connection, connection.makefile(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    self._queue.put(Record(self.elapsed(), _parse(line), line.rstrip("\n")))
        except OSError:
            pass  # reset by a killed QEMU: what it had sent has been read
        finally:
            self._queue.put(Ended(self.elapsed()))

    def _accept(self) -> socket.socket | None:
        """QEMU's connection; None if vng ended without having started QEMU."""
        assert self._listener is not None
        self._listener.settimeout(0.2)
        while True:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                if self._wake.is_set():
                    return None
            else:
                connection.settimeout(None)
                return connection

    def next(self, deadline: float) -> Message:
        """The next message; Expired if none comes before ``deadline`` (seconds since start).

        ``Ended`` is delivered once, when both channels are closed.
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

    def _end_processes(self) -> None:
        if self._child is not None:
            end_group(self._child.pid)

    def _close(self) -> None:
        try:
            self._end_processes()
            for thread in self._threads:
                thread.join(10)
            if self._child is not None:
                self._child.close(force=True)
        finally:
            if self._listener is not None:
                self._listener.close()


def _parse(line: str) -> dict[str, object] | None:
    """A record, or None for a line cut short or not ours."""
    if not line.endswith("\n"):
        return None
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
