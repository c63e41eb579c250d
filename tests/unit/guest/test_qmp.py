"""The monitor of a QEMU that a thread of ours plays."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.guest.qmp import Monitor

_GREETING: dict[str, dict[str, object]] = {"QMP": {"version": {}, "capabilities": []}}
_LIMIT = 20.0
Answer = Callable[[dict[str, object]], object]


class _Qemu:
    """Greets, and answers each command by ``answers``; one that is not there gets no answer."""

    def __init__(self, connection: socket.socket, answers: dict[str, Answer]) -> None:
        self.connection = connection
        self._answers = answers
        self.commands: list[dict[str, object]] = []
        self.descriptors: list[int] = []

    def serve(self) -> None:
        self.say(_GREETING)
        said = ""
        with contextlib.suppress(OSError):
            while True:
                chunk, descriptors, _, _ = socket.recv_fds(self.connection, 1 << 16, 4)
                if not chunk:
                    return
                self.descriptors += descriptors
                said += chunk.decode()
                while said := said.lstrip():
                    command, end = json.JSONDecoder().raw_decode(said)
                    said = said[end:]
                    self._answer(command)

    def _answer(self, command: dict[str, object]) -> None:
        self.commands.append(command)
        name = str(command["execute"])
        if name == "qmp_capabilities":
            self.say({"return": {}})
        elif name in self._answers:
            self.say({"return": self._answers[name](command), "id": command["id"]})

    def say(self, what: object) -> None:
        self.connection.sendall(json.dumps(what).encode() + b"\n")

    def event(self, name: str, **data: object) -> None:
        self.say({"event": name, "data": data, "timestamp": {"seconds": 0, "microseconds": 0}})


@contextlib.contextmanager
def _followed(**answers: Answer) -> Iterator[tuple[Monitor, _Qemu]]:
    """A monitor that is followed, and the QEMU at its other end, which ends with the block."""
    ours, theirs = socket.socketpair()
    qemu, monitor = (
        _Qemu(theirs, {key.replace("_", "-"): a for key, a in answers.items()}),
        Monitor(lambda _: None),
    )
    threads = [
        threading.Thread(target=qemu.serve),
        threading.Thread(target=monitor.follow, args=(ours,)),
    ]
    for thread in threads:
        thread.start()
    try:
        assert monitor._usable.wait(_LIMIT)
        yield monitor, qemu
    finally:
        theirs.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(_LIMIT)
        theirs.close()
    assert not any(thread.is_alive() for thread in threads)


def test_what_qemu_answers() -> None:
    with _followed(
        query_status=lambda _: {"status": "io-error", "running": False},
        human_monitor_command=lambda command: f"{command['arguments']}\r\n",
        send_key=lambda _: {},
    ) as (monitor, qemu):
        assert monitor.ran
        assert monitor.status(_LIMIT) == "io-error"
        assert "info registers -a" in monitor.human("info registers -a", _LIMIT)
        assert monitor.press("alt", "sysrq", "w", limit=_LIMIT)
    keys = [key["data"] for key in qemu.commands[-1]["arguments"]["keys"]]  # type: ignore[index]
    assert keys == ["alt", "sysrq", "w"]


def test_a_qemu_that_does_not_answer_is_not_awaited() -> None:
    with _followed() as (monitor, _):
        assert monitor.status(0.1) == ""
        assert monitor.human("info registers", 0.1) == ""


def test_what_it_refuses_is_no_answer() -> None:
    with _followed(query_status=lambda _: {}) as (monitor, qemu):
        qemu._answer = lambda command: qemu.say(  # type: ignore[method-assign]
            {"error": {"class": "GenericError", "desc": "no"}, "id": command["id"]}
        )
        assert monitor.status(_LIMIT) == ""


def test_nothing_is_asked_of_a_qemu_that_is_gone() -> None:
    with _followed(query_status=lambda _: {"status": "running"}) as (monitor, _):
        pass
    assert monitor.status(_LIMIT) == ""
    assert Monitor(lambda _: None).status(_LIMIT) == ""


def test_why_it_ended_is_heard_though_it_ends_at_once() -> None:
    with _followed() as (monitor, qemu):
        qemu.event("SHUTDOWN", guest=True, reason="guest-reset")
    assert monitor.shutdown == "guest-reset"


def test_a_pause_is_noted_until_it_is_over() -> None:
    """The answer to a command comes after the events before it."""
    with _followed(query_status=lambda _: {"status": "x"}) as (monitor, qemu):
        stops: list[object] = []
        monitor._stopped = stops.append
        qemu.event("BLOCK_IO_ERROR", reason="No space left on device", action="stop")
        qemu.event("STOP")
        monitor.status(_LIMIT)
        assert monitor.paused_since is not None
        assert stops == [{"reason": "No space left on device", "action": "stop"}]
        assert not monitor.filled
        qemu.event("BLOCK_IO_ERROR", reason="File too large", action="report")
        monitor.status(_LIMIT)
        assert monitor.filled
        qemu.event("RESUME")
        monitor.status(_LIMIT)
        assert monitor.paused_since is None


def test_no_number_of_events_is_kept() -> None:
    with _followed(query_status=lambda _: {"status": "x"}) as (monitor, qemu):
        for _ in range(500):
            qemu.event("VSERPORT_CHANGE", open=True)
            qemu.event("BLOCK_IO_ERROR", reason="x")
        assert monitor.status(_LIMIT) == "x"
        assert monitor._client.events.empty()
        assert monitor._client.events.history == ()


@pytest.mark.parametrize("said", [b"", b'{"QMP": {}}\n', b"rubbish\n", b'{"return": {}}\n'])
def test_what_is_no_qemu_never_ran(said: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    monitor = Monitor(lambda _: None)
    monitor.follow(ours)
    theirs.close()
    assert not monitor.ran
    assert capfd.readouterr() == ("", ""), "the package has no stream of ours"


def test_the_memory_is_written_to_a_file_that_we_opened(tmp_path: Path) -> None:
    def write(command: dict[str, object]) -> object:
        os.write(qemu.descriptors[0], b"memory")
        os.close(qemu.descriptors[0])
        return {}

    with _followed(getfd=lambda _: {}, dump_guest_memory=write) as (monitor, qemu):
        assert monitor.dump_memory(tmp_path / "dump", _LIMIT)
    assert (tmp_path / "dump").read_bytes() == b"memory"
    assert qemu.commands[-1]["arguments"] == {
        "paging": False,
        "protocol": "fd:dump",
        "format": "kdump-zlib",
    }
