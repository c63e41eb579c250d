"""A shell in the guest, or one command, for whoever sits at the host.

Started like ``agent.py``. What is typed and printed travels over the same port, as one JSON
object a line, the bytes in base64: from here ``ready``, ``output`` and ``exit``, from the
host ``start``, ``input`` and ``size`` (of its terminal). At hand are the suite and ``pytest``
with what the suite needs; the shell starts in the suite's directory.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a file in the unpacked payload, whose top is the import path
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from harness.guest.inside import agent

_CHUNK = 4096  # bytes
_PROGRAMS = agent.PAYLOAD / "bin"
#: ``pytest`` by hand: the suite's own settings, its helper modules, and facts on the terminal.
_PYTEST = f"""\
#!/bin/sh
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONPATH={agent.PAYLOAD}
export AFALG_KNOWN_ANSWERS={agent.PAYLOAD}/known_answers.json
exec {{python}} -m pytest -p harness.guest.inside.by_hand -p no:cacheprovider -p no:warnings \\
    --override-ini=pythonpath=.helpers "$@"
"""


class Line:
    """The way to the host: messages in both directions."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._rest = b""

    def send(self, kind: str, **fields: object) -> None:
        """Send one message."""
        self.write(json.dumps({"type": kind, **fields}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Write bytes, in full."""
        while data:
            data = data[os.write(self.descriptor, data) :]

    def output(self, stream: str, data: bytes) -> None:
        """Send what was printed."""
        self.send("output", stream=stream, data=base64.b64encode(data).decode())

    def receive(self) -> list[dict[str, Any]]:
        """Wait for bytes and give the messages that are whole."""
        *lines, self._rest = (self._rest + os.read(self.descriptor, _CHUNK)).split(b"\n")
        return [json.loads(line) for line in lines]

    def start(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Wait for the first message; returns it, and those that came with it."""
        received: list[dict[str, Any]] = []
        while not received:
            received = self.receive()
        return received[0], received[1:]


def environment(term: str) -> dict[str, str]:
    """What a person finds at hand."""
    return {
        **os.environ,
        "PATH": f"{_PROGRAMS}:{os.environ['PATH']}",
        "PS1": r"\u@\h:\w\$ ",
        "TERM": term,
        "AFALG_SUITE": str(agent.PAYLOAD / "suite"),
    }


def install_pytest() -> None:
    """Put ``pytest`` where the shell finds it first."""
    _PROGRAMS.mkdir(exist_ok=True)
    program = _PROGRAMS / "pytest"
    program.write_text(_PYTEST.format(python=sys.executable))
    program.chmod(0o755)


def run_command(line: Line, command: str, variables: Mapping[str, str]) -> int:
    """Run a command line with no input; returns its exit status, 128 + N if signal N ended it."""
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        streams = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr"}
        relay(line, os.pidfd_open(process.pid), streams, None)
        status = process.wait()
        # A process that it left behind may hold the streams: nobody waits for that.
        return status if status >= 0 else 128 - status


def run_shell(
    line: Line,
    start: Mapping[str, Any],
    typed: Sequence[Mapping[str, Any]],
    variables: Mapping[str, str],
) -> int:
    """Run a shell on a terminal of its own; returns its exit status.

    ``start`` has the terminal's size; ``typed`` is what was typed already.
    """
    child, terminal = pty.fork()
    if child == 0:
        shell = next(path for path in ("/bin/bash", "/bin/sh") if os.access(path, os.X_OK))
        os.execve(shell, [shell], dict(variables))
    resize(terminal, start)
    take_input(typed, terminal)
    relay(line, os.pidfd_open(child), {terminal: "terminal"}, terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


def relay(line: Line, over: int, streams: dict[int, str], terminal: int | None) -> None:
    """Pass on what is printed, and what is typed to ``terminal``, until a process has ended.

    ``over`` is its pidfd. What it had printed has then been passed on.
    """
    awaited = select.poll()
    for descriptor in (over, *streams):
        awaited.register(descriptor, select.POLLIN)
    if terminal is not None:
        awaited.register(line.descriptor, select.POLLIN)
    ended = False
    while True:
        ready = dict(awaited.poll(0 if ended else None))
        printed = False
        for descriptor in ready.keys() & streams.keys():
            data = _read(descriptor)
            if data:
                line.output(streams[descriptor], data)
                printed = True
            else:
                awaited.unregister(descriptor)
        if ended and not printed:
            return
        if over in ready:
            ended = True
            awaited.unregister(over)
        if terminal is not None and line.descriptor in ready and not ended:
            take_input(line.receive(), terminal)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:  # EIO: nobody has the terminal open any more
        return b""


def take_input(messages: Iterable[Mapping[str, Any]], terminal: int) -> None:
    """Type what the host sends, and follow its terminal's size."""
    for message in messages:
        if message["type"] == "input":
            data = base64.b64decode(message["data"])
            while data:
                data = data[os.write(terminal, data) :]
        elif message["type"] == "size":
            resize(terminal, message)


def resize(terminal: int, size: Mapping[str, Any]) -> None:
    """Set a terminal's size, in characters."""
    with contextlib.suppress(OSError, KeyError):
        wanted = struct.pack("HHHH", size["rows"], size["columns"], 0, 0)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, wanted)


def main() -> None:
    """Say that the guest is there, and do what the host then asks for."""
    agent.clean_environment()
    line = Line(agent.open_port())
    install_pytest()
    os.chdir(agent.PAYLOAD / "suite")
    line.send("ready", release=os.uname().release)
    start, typed = line.start()
    variables = environment(start["term"])
    if start["command"] is None:
        status = run_shell(line, start, typed, variables)
    else:
        status = run_command(line, start["command"], variables)
    line.send("exit", status=status)


if __name__ == "__main__":
    main()
