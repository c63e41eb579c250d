"""The shell's two ends, joined without a guest between them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import socket
import termios
import threading
from collections.abc import Callable, Iterator

import pytest

from harness.errors import BootError, InfrastructureError
from harness.guest import shell
from harness.guest.inside import shell as inside
from harness.guest.messages import ConsoleLine, Ended, Expired, Message, RecordLine

_ENVIRONMENT = {"PATH": os.environ["PATH"], "TERM": "dumb"}


class _Guest:
    """Stands for a session: a program in a thread, at the other end of a socket."""

    def __init__(self, program: Callable[[inside.Line], None]) -> None:
        self._here, there = socket.socketpair()
        self._lines = self._here.makefile("r", encoding="utf-8")
        self._console: list[Message] = []
        self._thread = threading.Thread(target=self._run, args=(program, there), daemon=True)
        self._thread.start()

    def _run(self, program: Callable[[inside.Line], None], there: socket.socket) -> None:
        with there:
            program(inside.Line(there.fileno()))

    def say(self, text: str) -> None:
        self._console.append(ConsoleLine(0.0, text))

    def elapsed(self) -> float:
        return 0.0

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._here.sendall(data)

    def next(self, _deadline: float) -> Message:
        if self._console:
            return self._console.pop(0)
        try:
            line = self._lines.readline()
        except ConnectionResetError:  # it ended before it had read all
            line = ""
        return RecordLine(0.0, line.rstrip("\n")) if line else Ended(0.0)


def _serve(line: inside.Line) -> None:
    """What ``main`` does, but for what needs a guest."""
    line.send("ready")
    start, typed = line.start()
    if start["command"] is None:
        status = inside.run_shell(line, start, typed, _ENVIRONMENT)
    else:
        status = inside.run_command(line, start["command"], _ENVIRONMENT)
    line.send("exit", status=status)


def _shell(program: Callable[[inside.Line], None] = _serve) -> shell.Shell:
    return shell.Shell(_Guest(program), show_console=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "status", "stdout", "stderr"),
    [
        ("echo out; echo err >&2; exit 7", 7, "out\n", "err\n"),
        ("kill -9 $$", 137, "", ""),
        ("cat; printf 'no \\377 line end'", 0, "no \udcff line end", ""),
        ("head -c 300000 /dev/zero | tr '\\0' x; exit 255", 255, "x" * 300000, ""),
        ("sleep 1000 & echo $!", 0, None, ""),
    ],
)
def test_a_command(
    capfdbinary: pytest.CaptureFixture[bytes],
    command: str,
    status: int,
    stdout: str | None,
    stderr: str,
) -> None:
    there = _shell()
    there.await_guest(60, lambda: None)
    assert there.run(command) == status
    out, err = capfdbinary.readouterr()
    if stdout is None:
        os.kill(int(out), 9)  # what was left behind kept nobody waiting
    else:
        assert out.decode(errors="surrogateescape") == stdout
    assert err.decode() == stderr


def _answers(descriptor: int, wanted: bytes) -> bytes:
    """What a terminal shows until ``wanted`` is in it."""
    shown = b""
    while wanted not in shown:
        shown += os.read(descriptor, 4096)
    return shown


@contextlib.contextmanager
def _terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A terminal in the place of stdin, stdout and stderr; its two ends.

    No fixture: pytest puts its own files there anew before a test begins.
    """
    outer, inner = pty.openpty()
    saved = [os.dup(number) for number in range(3)]
    for number in range(3):
        os.dup2(inner, number)
    for name, value in (("COLUMNS", "91"), ("LINES", "37"), ("TERM", "vt100")):
        monkeypatch.setenv(name, value)
    try:
        yield outer, inner
    finally:
        for number, descriptor in enumerate(saved):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(outer)
        os.close(inner)


def _interact(there: shell.Shell, type_and_look: Callable[[], None]) -> int:
    """Sit at the terminal in a thread, for the shell wants the main one."""
    there.await_guest(60, lambda: None)
    person = threading.Thread(target=type_and_look)
    person.start()
    try:
        return there.interact()
    finally:
        person.join(60)


def test_a_shell_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bytes] = []

    def person(outer: int) -> None:
        os.write(outer, b"stty size; echo ho''ld; read x\r")
        shown.append(_answers(outer, b"hold"))
        os.write(outer, b"\x03")  # ends the read, not the shell, which then forgets what was typed
        _answers(outer, b"# " if os.geteuid() == 0 else b"$ ")
        os.write(outer, b"echo st''ill; exit 3\r")
        shown.append(_answers(outer, b"still"))

    with _terminal(monkeypatch) as (outer, _):
        assert _interact(_shell(), lambda: person(outer)) == 3
    assert b"37 91" in shown[0]


def test_a_guest_that_is_silent_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def silent(line: inside.Line) -> None:
        line.send("ready")
        line.start()
        while not released.wait(0.05):
            line.output("terminal", b".")

    with _terminal(monkeypatch) as (outer, inner):
        settings = termios.tcgetattr(inner)
        with pytest.raises(KeyboardInterrupt):
            _interact(_shell(silent), lambda: _leave(outer))
        released.set()
        assert termios.tcgetattr(inner) == settings


def _leave(outer: int) -> None:
    _answers(outer, b".")
    os.write(outer, shell.LEAVE)


@pytest.mark.parametrize("spoken", [(), ("ready",)])
def test_a_guest_that_dies_is_told_with_its_last_words(spoken: tuple[str, ...]) -> None:
    def die(line: inside.Line) -> None:
        for kind in spoken:
            line.send(kind)

    guest = _Guest(die)
    there = shell.Shell(guest, show_console=False)  # type: ignore[arg-type]
    guest.say("Kernel panic - not syncing: sysrq")
    guest.say("Rebooting")
    expected = InfrastructureError if spoken else BootError
    with pytest.raises(expected, match=r"the guest ended.*said: Kernel panic - not syncing: sysrq"):
        there.await_guest(60, lambda: None)
        there.run("true")


def test_a_guest_that_says_nothing_is_given_up() -> None:
    class Silent(_Guest):
        def next(self, deadline: float) -> Message:
            self.seconds = deadline
            return Expired(deadline)

        def elapsed(self) -> float:
            return getattr(self, "seconds", 0.0)

    there = shell.Shell(Silent(lambda _: None), show_console=False)  # type: ignore[arg-type]
    with pytest.raises(BootError, match="nothing heard for 60 s while booting"):
        there.await_guest(60, lambda: None)


@pytest.mark.parametrize("sent", [b"no json\n", b"[]\n", b"{}\n"])
def test_a_guest_that_sends_something_else_is_refused(sent: bytes) -> None:
    there = _shell(lambda line: line.write(sent))
    with pytest.raises(InfrastructureError, match="what no shell of ours does"):
        there.await_guest(60, lambda: None)


def test_messages_may_come_in_pieces() -> None:
    here, there = socket.socketpair()
    with here, there:
        line = inside.Line(there.fileno())
        whole = json.dumps({"type": "input", "data": base64.b64encode(b"x").decode()}).encode()
        here.sendall(whole[:5])
        assert line.receive() == []
        here.sendall(whole[5:] + b"\n" + whole + b"\n")
        first, rest = line.start()
        assert [message["type"] for message in (first, *rest)] == ["input", "input"]
