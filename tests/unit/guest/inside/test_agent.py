"""The first program in the guest, and the channel that it reports on."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest

from harness.guest.inside import agent, records
from harness.guest.inside.kernel_log import KernelLogReader, format_message
from harness.guest.inside.words import Cause, Defect, Outcome, Reason


class _Port:
    """A results port: the end that the host reads."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        self.writer = records.RecordWriter(write)
        self._write = write

    def received(self) -> list[dict[str, object]]:
        """All that was sent."""
        os.close(self._write)
        with os.fdopen(self._read) as file:
            return [json.loads(line) for line in file]


def _fork(act: object) -> int:
    child = os.fork()
    if child == 0:
        try:
            assert callable(act)
            act()
        finally:
            os._exit(0)
    return child


def test_each_record_is_written_under_its_name_with_its_fields() -> None:
    port = _Port()
    reason = Reason(Cause.NO_MODULE, name="algif_rng")
    defect = Defect("CVE-2025-38079", "b2df03ed4052", provoked=False)
    port.writer.send(records.Finish("a", Outcome.SKIPPED, 0.5, "m", "", reason, defect))
    port.writer.send(records.End(0, 1.5, None))
    first, second = port.received()
    assert isinstance(first.pop("uptime"), float)
    assert first == {
        "type": "outcome",
        "seq": 0,
        "id": "a",
        "outcome": "skipped",
        "seconds": 0.5,
        "message": "m",
        "details": "",
        "reason": {"cause": "no_module", "type": "", "name": "algif_rng"}
        | {"errno": "", "restrict": None},
        "defect": {"cve": "CVE-2025-38079", "fix": "b2df03ed4052", "provoked": False},
        "waited": "",
    }
    assert (second["type"], second["seq"], second["taint"]) == ("end", 1, None)


def test_every_record_has_a_name() -> None:
    names = [name for kind in records.TYPES.values() for name in kind.__dataclass_fields__]
    assert len(records.TYPES) == 11
    # What frames a record cannot be the name of a field of it.
    assert not {"type", "seq", "uptime", "by", "host_seconds", "raw", "left_out"} & set(names)


def test_a_process_that_does_not_own_the_port_writes_nothing() -> None:
    port = _Port()
    os.waitpid(_fork(lambda: port.writer.send(records.Start("of the child"))), 0)
    port.writer.send(records.Start("of the parent"))
    assert [record["id"] for record in port.received()] == ["of the parent"]


def test_the_numbers_go_on_in_a_process_that_becomes_an_owner() -> None:
    port = _Port()

    def own_and_send() -> None:
        port.writer.own()
        port.writer.send(records.Start("of the child"))

    port.writer.send(records.Start("before"))
    os.waitpid(_fork(own_and_send), 0)
    port.writer.send(records.Start("after"))
    assert [(record["seq"], record["id"]) for record in port.received()] == [
        (0, "before"),
        (1, "of the child"),
        (2, "after"),
    ]


def test_two_owners_do_not_garble_each_other() -> None:
    """Records far larger than what a pipe takes at once."""
    port = _Port()

    def send(name: str) -> None:
        port.writer.own()
        for number in range(20):
            port.writer.send(records.CollectionError(f"{name}{number}", name * 200_000))

    children = [_fork(lambda name=name: send(name)) for name in "ab"]
    received = port.received()
    for child in children:
        os.waitpid(child, 0)
    assert [record["seq"] for record in received] == list(range(40))
    assert {str(record["id"])[0] for record in received} == {"a", "b"}


def test_a_dead_owner_does_not_hold_up_the_other() -> None:
    port = _Port()

    def die_in_a_record() -> None:
        port.writer.own()
        with port.writer._locked():
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(_fork(die_in_a_record), 0)
    port.writer.send(records.Start("alive"))
    assert [record["id"] for record in port.received()] == ["alive"]


@pytest.mark.parametrize(
    ("cmdline", "nonce"),
    [
        ("quiet afalg_harness.nonce=00ff init=/bin/sh -- -c x", "00ff"),
        ("afalg_harness.nonce=00ff", "00ff"),
        ("quiet xafalg_harness.nonce=00ff", ""),
        ("", ""),
    ],
)
def test_the_nonce_is_that_of_the_command_line(cmdline: str, nonce: str) -> None:
    assert agent.find_nonce(cmdline) == nonce


def test_who_the_guest_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(agent, "RESTRICT", tmp_path / "af_alg_restrict")
    assert agent.identity().af_alg_restrict is None
    (tmp_path / "af_alg_restrict").write_text("1\n")
    hello = agent.identity()
    assert hello.af_alg_restrict == 1
    assert hello.release == os.uname().release
    assert hello.taint == int(Path("/proc/sys/kernel/tainted").read_text())
    assert hello.cmdline == Path("/proc/cmdline").read_text().strip()


class _Log:
    """A kernel log that gives out nothing but whole lines."""

    def __init__(self, path: Path) -> None:
        path.write_text("last words without a line end")
        self._path = path
        self._taken = 0

    def take(self) -> records.KernelLog | None:
        whole = self._path.read_text().rpartition("\n")[0].splitlines()
        fresh, self._taken = whole[self._taken :], len(whole)
        return records.KernelLog(tuple(fresh), 0) if fresh else None


@pytest.fixture
def kernel_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Log:
    """A file in the kernel log's place, opened for writing at its end."""
    path = tmp_path / "kmsg"
    log = _Log(path)
    monkeypatch.setattr(records, "_opened", lambda *_: os.open(path, os.O_WRONLY | os.O_APPEND))
    return log


def _wait(go: int, stay: int) -> None:
    """Live until everybody else has closed ``stay``."""
    os.close(stay)
    os.read(go, 1)


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("act", "status"), [(lambda: os._exit(5), 5), (_kill_self, -9)])
def test_the_kernel_log_is_sent_to_its_end(kernel_log: _Log, act: object, status: int) -> None:
    port = _Port()
    waited = agent.await_suite(_fork(act), kernel_log, port.writer)  # type: ignore[arg-type]
    assert os.waitstatus_to_exitcode(waited) == status
    (batch,) = port.received()
    assert batch["lines"] == ["last words without a line end<6>afalg-harness: end"]


def test_the_host_is_told_what_the_process_does_when_it_asks(
    kernel_log: _Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trigger = tmp_path / "trigger"
    trigger.touch()
    monkeypatch.setattr(agent, "_SYSRQ_TRIGGER", trigger)
    go, stay = os.pipe()
    requests, host = socket.socketpair()
    host.sendall(records.REQUEST)
    port = _Port()

    def ended_when_it_has_answered(record: records.Record) -> None:
        send(record)
        os.close(stay)

    send = port.writer.send
    monkeypatch.setattr(port.writer, "send", ended_when_it_has_answered)
    child = _fork(lambda: _wait(go, stay))
    agent.await_suite(child, None, port.writer, requests.fileno())
    (answer,) = port.received()
    assert (answer["type"], answer["asked"]) == ("alive", True)
    assert answer["state"] in ("S", "R")
    assert trigger.read_text() == "l", "each letter is a write of its own"


def test_a_host_that_is_gone_is_not_listened_to(kernel_log: _Log) -> None:
    requests, host = socket.socketpair()
    host.close()
    looks = []

    class _Log:
        def take(self) -> None:
            looks.append(1)

    port = _Port()
    go, stay = os.pipe()
    child = _fork(lambda: _wait(go, stay))
    threading.Timer(1.5, os.close, [stay]).start()
    agent.await_suite(child, _Log(), port.writer, requests.fileno())  # type: ignore[arg-type]
    assert len(looks) < 10, "it would look without a pause"


def test_signs_of_life_come_by_themselves(
    kernel_log: _Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "ALIVE_SECONDS", 0.1)
    monkeypatch.setattr(agent, "_LOG_SECONDS", 0.05)
    port = _Port()
    go, stay = os.pipe()
    sent = []

    def note(record: records.Record) -> None:
        sent.append(record)
        if len(sent) == 3:
            os.close(stay)

    monkeypatch.setattr(port.writer, "send", note)
    agent.await_suite(_fork(lambda: _wait(go, stay)), None, port.writer)
    assert all(isinstance(record, records.Alive) and not record.asked for record in sent)
    assert len(sent) >= 3


def test_a_kernel_that_floods_its_log_is_not_followed_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    numbers = itertools.count()
    monkeypatch.setattr(os, "read", lambda *_: b"6,%d,0,-;%s\n" % (next(numbers), b"x" * 500))
    (tmp_path / "kmsg").touch()
    reader = KernelLogReader(str(tmp_path / "kmsg"))
    batches = list(iter(reader.take, None))
    assert max(sum(map(len, batch.lines)) for batch in batches) < 300_000
    assert sum(len(line) for batch in batches for line in batch.lines) < 5_000_000
    assert [batch.lost for batch in batches] == [0] * (len(batches) - 1) + [1]


def test_a_kernel_without_a_log_is_awaited_as_well(kernel_log: _Log) -> None:
    port = _Port()
    assert agent.await_suite(_fork(lambda: None), None, port.writer) == 0
    assert port.received() == []


@pytest.mark.parametrize(
    ("message", "number", "lines"),
    [
        (b"6,339,5140900,-;NET: Registered\n", 339, ["[    5.140900] NET: Registered"]),
        (
            b"3,7,12000001,-,caller=T1;usb 1-1: new\n SUBSYSTEM=usb\n DEVICE=+usb:1-1\n",
            7,
            ["[   12.000001] usb 1-1: new"],
        ),
        (b"4,8,1,c;a;b\n", 8, ["[    0.000001] a;b"]),
        (
            rb"4,9,0,-;first\x0asecond\xff" + b"\n",
            9,
            ["[    0.000000] first", "[    0.000000] second\ufffd"],
        ),
    ],
)
def test_messages_look_as_on_a_console(message: bytes, number: int, lines: list[str]) -> None:
    assert format_message(message) == (number, lines)


def test_what_was_overwritten_in_the_kernel_log_is_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers: list[bytes | OSError] = [
        b"6,2,0,-;third\n",  # two are gone already
        b"6,3,0,-;fourth\n",
        BrokenPipeError(),
        b"6,9,0,-;tenth\n",
        BlockingIOError(),
        BlockingIOError(),
    ]

    def read(_descriptor: int, _size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    (tmp_path / "kmsg").touch()
    reader = KernelLogReader(str(tmp_path / "kmsg"))
    monkeypatch.setattr(os, "read", read)
    batch = reader.take()
    assert batch is not None
    assert [line.partition("] ")[2] for line in batch.lines] == ["third", "fourth", "tenth"]
    assert batch.lost == 2 + 5
    assert reader.take() is None


@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="no permission to read the log")
def test_the_kernel_log_of_this_machine_can_be_read() -> None:
    batch = KernelLogReader().take()
    assert batch is not None
    assert all(re.match(r"\[ *\d+\.\d{6}\] ", line) for line in batch.lines)
