"""A shell in a guest, or one command in it: the host's side of ``inside/shell.py``."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from harness.emulator import tells_of_emulator_fault
from harness.errors import BootError, InfrastructureError
from harness.guest.messages import ConsoleLine, Ended, Message, RecordLine
from harness.guest.session import Session

#: Typed, it ends a guest that does not answer any more: Ctrl-], as telnet has it.
LEAVE = b"\x1d"
_WAKE = 0.2  # seconds between two looks at what came from elsewhere
_STREAMS = {"stdout": 1, "stderr": 2, "terminal": 1}


class Shell:
    """Talks to the program in the guest."""

    def __init__(self, session: Session, show_console: bool) -> None:
        """``show_console``: print the guest's console on stderr."""
        self._session = session
        self._show_console = show_console
        self._line_end = "\n"
        self._last = self._panic = ""
        #: What the console said of a fault that is the emulator's if there is one; or "".
        self.emulator_fault = ""

    def await_guest(self, deadline: float | None, tick: Callable[[], None]) -> None:
        """Wait until the guest answers, for ``deadline`` seconds at most.

        ``tick`` is called now and then meanwhile. Raises BootError.
        """
        while True:
            tick()
            if deadline is not None and self._session.elapsed() > deadline:
                raise BootError(f"nothing heard for {deadline:g} s while booting{self._said()}")
            message = self._session.next(self._session.elapsed() + _WAKE)
            if isinstance(message, Ended):
                raise BootError(f"the guest ended before it answered{self._said()}")
            told = self._told(message)
            if told is not None and told["type"] == "ready":
                return

    def run(self, command: str) -> int:
        """Run a command line in the guest and pass on what it prints; returns its exit status."""
        self._send("start", command=command, term="dumb")
        return self._follow(lambda: None)

    def interact(self) -> int:
        """Join the terminal to a shell in the guest; returns its exit status."""
        self._show_console = True
        resized, left = threading.Event(), threading.Event()

        def follow_size() -> None:
            if left.is_set():
                raise KeyboardInterrupt
            if resized.is_set():
                resized.clear()
                self._send("size", **_terminal_size())

        term = os.environ.get("TERM", "dumb")
        self._send("start", command=None, term=term, **_terminal_size())
        with _raw_terminal(), _on_resize(resized):
            self._line_end = "\r\n"
            threading.Thread(target=self._pass_input, args=(left,), daemon=True).start()
            return self._follow(follow_size)

    def _follow(self, tick: Callable[[], None]) -> int:
        while True:
            tick()
            message = self._session.next(self._session.elapsed() + _WAKE)
            if isinstance(message, Ended):
                raise InfrastructureError(f"the guest ended{self._said()}")
            told = self._told(message)
            if told is None:
                continue
            if told["type"] == "output":
                _write(_STREAMS[told["stream"]], base64.b64decode(told["data"]))
            elif told["type"] == "exit":
                return int(told["status"])

    def _told(self, message: Message) -> dict[str, Any] | None:
        """What the program in the guest says, if that is what the message is."""
        if isinstance(message, ConsoleLine):
            self._last = message.text.strip() or self._last
            if "Kernel panic" in message.text and not self._panic:
                self._panic = message.text.strip()
            if not self.emulator_fault and tells_of_emulator_fault([message.text]):
                self.emulator_fault = message.text.strip()
            if self._show_console:
                _write(2, f"{message.text}{self._line_end}".encode())
        if not isinstance(message, RecordLine):
            return None
        try:
            told = json.loads(message.text)
            told["type"]
        except (ValueError, TypeError, KeyError) as error:
            raise InfrastructureError(
                f"the guest sends what no shell of ours does: {message.text[:80]!r}"
            ) from error
        return dict(told)

    def _said(self) -> str:
        said = self._panic or self._last
        return f"; it said: {said}" if said else ""

    def _pass_input(self, left: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, 1024):
                if LEAVE in data:
                    break
                self._send("input", data=base64.b64encode(data).decode())
        left.set()

    def _send(self, kind: str, **fields: object) -> None:
        self._session.send(json.dumps({"type": kind, **fields}).encode() + b"\n")


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _terminal_size() -> dict[str, int]:
    size = shutil.get_terminal_size()
    return {"rows": size.lines, "columns": size.columns}


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Every key goes to the guest while this block runs."""
    settings = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed already counts
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, settings)


@contextlib.contextmanager
def _on_resize(resized: threading.Event) -> Iterator[None]:
    def note(_number: int, _frame: FrameType | None) -> None:
        resized.set()

    previous = signal.signal(signal.SIGWINCH, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, previous)


def is_terminal() -> bool:
    """Whether a person sits there: both what is typed and what is printed is a terminal's."""
    return sys.stdin.isatty() and sys.stdout.isatty()
