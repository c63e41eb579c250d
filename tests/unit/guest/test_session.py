"""A session with a program of ours in vng's place: channels, their end, and the way to them."""

from __future__ import annotations

import errno
import sys
import tempfile
from pathlib import Path

import pytest

from harness.errors import InfrastructureError
from harness.guest import vng
from harness.guest.launcher import INIT_NAME
from harness.guest.messages import ConsoleLine, Ended, Message, RecordLine, Stopped
from harness.guest.place import Place
from harness.guest.session import Exit, GuestSettings, Session
from harness.model import BootableKernel

_KERNEL = BootableKernel("debian:x", "6.12", Path("/k/boot/vmlinuz"), None, None, None)
_SETTINGS = GuestSettings(vng.Root("disk", Path("/root.ext4")), "tcg")

#: Connects as QEMU does, by the names in the working directory.
_CONNECT = """
import json, os, signal, socket, sys
results, qmp = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
results.connect("results")
qmp.connect("qmp")
def monitor(**said): qmp.sendall(json.dumps(said).encode() + b"\\n")
monitor(QMP={"version": {}, "capabilities": []})
"""
_RUN = "assert b'qmp_capabilities' in qmp.recv(200)\nmonitor(**{'return': {}})\n"
_TALK = "print('on the console', flush=True)\nresults.sendall(b'{\"type\": \"x\"}\\nhalf a rec')\n"


def _hear(monkeypatch: pytest.MonkeyPatch, program: str) -> tuple[list[Message], Exit]:
    """All that is heard of a program in vng's place until it has ended, and how it ended."""
    argv = [sys.executable, "-c", program]
    monkeypatch.setattr(vng, "command", lambda *_, **__: argv)
    heard: list[Message] = []
    with Session(_KERNEL, _SETTINGS, Path("/payload")) as session:
        while not heard or not isinstance(heard[-1], Ended):
            heard.append(session.next(session.elapsed() + 60))
        heard += session.drain()
        return heard, session.exit()


def _texts(heard: list[Message]) -> tuple[list[str], list[str]]:
    console = [message.text for message in heard if isinstance(message, ConsoleLine)]
    return console, [message.text for message in heard if isinstance(message, RecordLine)]


@pytest.mark.parametrize(
    ("last", "found"),
    [
        (
            "monitor(event='SHUTDOWN', data={'guest': True, 'reason': 'guest-shutdown'})\n",
            Exit(ran=True, shutdown="guest-shutdown", vng_status=0),
        ),
        ("sys.exit(4)\n", Exit(ran=True, shutdown="", vng_status=4)),
        ("os.kill(os.getpid(), signal.SIGKILL)\n", Exit(ran=True, shutdown="", vng_status=-9)),
        ('qmp.sendall(b\'{"event": "SHUT\')\n', Exit(ran=True, shutdown="", vng_status=0)),
    ],
)
def test_what_is_heard_and_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, last: str, found: Exit
) -> None:
    heard, ended = _hear(monkeypatch, _CONNECT + _RUN + _TALK + last)
    assert _texts(heard) == (["on the console"], ['{"type": "x"}', "half a rec"])
    assert ended == found


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"action": "stop", "nospace": True, "reason": "No space left"}, "no space left in {}"),
        ({"action": "stop", "nospace": False, "reason": "EDQUOT"}, "disk error (EDQUOT) in {}"),
        ({"action": "report", "nospace": False, "reason": "EIO"}, ""),
    ],
)
def test_a_guest_that_qemu_stopped(
    monkeypatch: pytest.MonkeyPatch, data: dict[str, object], words: str
) -> None:
    """What QEMU tells on a write error of a disk (qapi/block-core.json, BLOCK_IO_ERROR)."""
    heard, _ = _hear(monkeypatch, _CONNECT + _RUN + f"monitor(event='BLOCK_IO_ERROR', data={data})")
    stopped = [message.reason for message in heard if isinstance(message, Stopped)]
    place = words.format(tempfile.gettempdir())
    assert [reason.partition(" (TMPDIR)")[0] for reason in stopped] == ([place] if words else [])


def test_lines_without_an_end_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is cut, the console comes in pieces, and what follows is whole again."""
    monkeypatch.setattr("harness.guest.session.RECORD_LIMIT", 1000)
    monkeypatch.setattr("harness.guest.session._CONSOLE_LINE_LIMIT", 1000)
    talk = "print('x' * 2500, flush=True)\nresults.sendall(b'y' * 300_000 + b'\\nnext\\n')\n"
    heard, _ = _hear(monkeypatch, _CONNECT + _RUN + talk)
    console, _ = _texts(heard)
    assert console == ["x" * 1000, "x" * 1000, "x" * 500]
    records = [message for message in heard if isinstance(message, RecordLine)]
    assert [(line.text, line.left_out) for line in records] == [
        ("y" * 200, 300_000 - 200),
        ("next", 0),
    ]


@pytest.mark.parametrize("name", ["/virtme-init-a_1", "../virtme-init-a_1"])
def test_what_vng_leaves_in_the_root_when_it_is_ended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is removed with the guest, and nothing else is."""
    root = tmp_path / "root"
    root.mkdir()
    for file in (root / "virtme-init-a_1", root / "virtme-init-b", tmp_path / "virtme-init-a_1"):
        file.touch()
    program = f"open({INIT_NAME!r}, 'w').write({name!r})\n{_CONNECT}{_RUN}{_TALK}signal.pause()\n"
    monkeypatch.setattr(vng, "command", lambda *_, **__: [sys.executable, "-c", program])
    settings = GuestSettings(vng.Root("directory", root), "tcg")
    (tmp_path / "payload").touch()
    with Session(_KERNEL, settings, tmp_path / "payload") as session:
        while not isinstance(message := session.next(60), RecordLine):
            assert not isinstance(message, Ended)
    assert [file.name for file in root.iterdir()] == ["virtme-init-b"]
    assert (tmp_path / "virtme-init-a_1").exists()


def test_the_agent_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _CONNECT + _RUN + "results.sendall(b'ready\\n' + results.recv(100))\n"
    monkeypatch.setattr(vng, "command", lambda *_, **__: [sys.executable, "-c", program])
    with Session(_KERNEL, _SETTINGS, Path("/payload")) as session:
        while not session.ask_agent() and session.elapsed() < 60:
            session.next(session.elapsed() + 0.05)
        heard = [session.next(60), session.next(60)]
    assert _texts(heard)[1] == ["ready", "look"]
    assert not session.ask_agent(), "it is gone"


def test_qemu_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = (
        "asked = json.loads(qmp.recv(1000))\n"
        "monitor(**{'return': {'status': 'paused'}, 'id': asked['id']})\n"
        "qmp.recv(1)\n"
    )
    monkeypatch.setattr(
        vng, "command", lambda *_, **__: [sys.executable, "-c", _CONNECT + _RUN + answer]
    )
    with Session(_KERNEL, _SETTINGS, Path("/payload")) as session:
        assert session.monitor._usable.wait(60)
        assert session.monitor.status(60) == "paused"
        assert not session.qemu_is_stopped()


def test_for_a_dump_the_limit_on_what_qemu_writes_is_lifted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limited = (
        "import resource\n"
        "_, most = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))\n"
        "open('/proc/self/comm', 'w').write('qemu-system-x86')\n"
    )
    answer = "qmp.recv(1000)\nprint(resource.getrlimit(resource.RLIMIT_FSIZE)[0] == most)\n"
    program = limited + _CONNECT + _RUN + answer
    monkeypatch.setattr(vng, "command", lambda *_, **__: [sys.executable, "-c", program])
    with Session(_KERNEL, _SETTINGS, Path("/payload")) as session:
        assert session.monitor._usable.wait(60)
        assert not session.dump_memory(tmp_path / "dump", 60), "it has ended without an answer"
        heard = list(session.drain())
    assert "True" in _texts(heard)[0]


@pytest.mark.parametrize("program", [_CONNECT, "raise SystemExit('no such disk')"])
def test_a_guest_that_was_never_started(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    _, ended = _hear(monkeypatch, program)
    assert not ended.ran


def test_the_way_to_temporary_files_may_be_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 120) / ("y" * 120)
    long.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    heard, _ = _hear(monkeypatch, _CONNECT + _RUN + _TALK)
    assert _texts(heard)[1] == ['{"type": "x"}', "half a rec"]


def test_a_guest_that_nobody_listens_to_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It floods its console; the threads that wait for room give up."""
    program = _CONNECT + _RUN + "while True: print('noise' * 20)\n"
    monkeypatch.setattr(vng, "command", lambda *_, **__: [sys.executable, "-c", program])
    monkeypatch.setattr("harness.guest.session._BACKLOG", 3)
    with Session(_KERNEL, _SETTINGS, Path("/payload")) as session:
        assert isinstance(session.next(60), ConsoleLine)
        threads = session._threads
    assert not any(thread.is_alive() for thread in threads)


def test_the_command_names_nothing_by_its_whole_way() -> None:
    argv = vng.command(_KERNEL, _SETTINGS.root, accel="tcg", cpus=2, memory="1G", append=("a=b c",))
    (options,) = (word for word in argv if word.startswith("--qemu-opts="))
    assert f"path={vng.RESULTS_SOCKET} " in options
    assert f"path={vng.QMP_SOCKET} " in options
    assert not [word for word in [*argv[1:], *options.split("=")] if word.startswith("/")]


def test_the_bytes_that_arguments_take() -> None:
    """A blank before each; vng quotes what has blanks in it."""
    assert vng.appended_bytes(()) == 0
    assert vng.appended_bytes(("a=b c", "ü")) == len(b' "a=b c" ' + "ü".encode())


def test_modules_are_loaded_by_the_image_s_own_modprobe() -> None:
    own = f"sysctl.kernel.modprobe={vng.FAST_MODPROBE}"
    for root, is_told in (
        (vng.Root("disk", Path("/image"), isolated=True), True),
        (vng.Root("disk", Path("/image")), False),
    ):
        argv = vng.command(_KERNEL, root, accel="tcg", cpus=2, memory="1G", append=("a=b",))
        given = [word for at, word in enumerate(argv) if argv[at - 1] == "--append"]
        assert given == ([own, "a=b"] if is_told else ["a=b"])


def test_a_full_disk_before_vng_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Place, "make", make)
    place = tempfile.gettempdir()
    with (
        pytest.raises(InfrastructureError, match=f"no space left in {place}; .* TMPDIR"),
        Session(_KERNEL, _SETTINGS, Path("/payload")),
    ):
        pass


def test_a_disk_that_was_filled_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "monitor(event='BLOCK_IO_ERROR', data={'operation': 'write', 'action': %r})\n"
    for action, filled in (("report", True), ("stop", False)):
        _, ended = _hear(monkeypatch, _CONNECT + _RUN + said % action)
        assert ended.filled is filled
