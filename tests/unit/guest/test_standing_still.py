"""Host, agent and suite together: what becomes of tests that stand still. Processes, no guest."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guest import patience as module
from harness.guest.heard import Heard
from harness.guest.idle import IdleWatch
from harness.guest.inside.words import Outcome, Waited
from harness.guest.journal import BootRecord
from harness.guest.lines import LineSplitter
from harness.guest.parsing import parse_line
from harness.guest.patience import Patience

_LIMIT = 240.0  # seconds; reached only if something is broken

_GUEST = """
import os, sys
import pytest
from harness.guest.inside import agent, records, recording
from harness.guest.inside.expiry import Expiry

suite, records.KERNEL_LOG, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
records.read_taint = lambda: 0
writer, expiry = records.RecordWriter(port), Expiry()
child = os.fork()
if child == 0:
    writer.own()
    recorder = recording.Recorder(writer, 200.0, (), expiry)
    while os.getppid() and not os.path.exists(f"{suite}/go"):
        os.sched_yield()
    os._exit(pytest.main([*recording.PYTEST_ARGUMENTS, f"--rootdir={suite}", suite], [recorder]))
writer.send(records.Hello(str(child), "r", "v", "m", "", "", None, 0))
open(f"{suite}/go", "w").close()
agent.await_suite(child, None, writer, port, expiry)
"""

_SUITE = """
import os, signal, time
import pytest

ours, theirs = os.pipe()
def _stand_still(): os.read(ours, 1)
def test_before(): pass
@pytest.mark.parametrize("number", range(3))
def test_hangs(number): _stand_still()
@pytest.mark.parametrize("number", range(2))
def test_like_those(number): _stand_still()
def test_elsewhere(): signal.pause()
def test_computes():
    end = time.process_time() + 3
    while time.process_time() < end: pass
def test_heeds_no_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    _stand_still()
"""


def _lines(port: socket.socket) -> Iterator[str]:
    """What comes, line by line; "" while nothing does for a moment."""
    splitter = LineSplitter(1 << 20)
    while True:
        ready, _, _ = select.select([port], [], [], 0.1)
        if not ready:
            yield ""
            continue
        chunk = port.recv(1 << 16)
        if not chunk:
            return
        for piece in splitter.feed(chunk.decode()):
            yield piece.text


def _hear(port: socket.socket) -> tuple[Heard, str]:
    """All that the guest says, and why it was given up in the end."""
    heard = Heard(BootRecord())
    patience: Patience | None = None
    end = time.monotonic() + _LIMIT
    for line in _lines(port):
        now = time.monotonic()
        assert now < end
        if line:
            heard.record(now, parse_line(line)[1])
        elif heard.running:
            patience = patience or _patience(heard, port)
            if given_up := patience.look(heard, now):
                return heard, given_up
    return heard, ""


def _patience(heard: Heard, port: socket.socket) -> Patience:
    """With the suite's process, which the agent names, in QEMU's place."""
    assert heard.identity is not None
    suite = IdleWatch(int(heard.identity.nonce))
    return Patience(200.0, suite.idle_seconds, port.send)


def test_tests_that_stand_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HANGS", 1.5)
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.5)
    monkeypatch.setattr(module, "_UNHEEDED", 1.0)
    suite = tmp_path / "functional"  # a name of ours: how long its tests take is known
    suite.mkdir()
    (suite / "test_it.py").write_text(_SUITE)
    (tmp_path / "kmsg").touch()
    ours, theirs = socket.socketpair()
    with subprocess.Popen(
        [sys.executable, "-c", _GUEST, tmp_path, tmp_path / "kmsg", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        cwd=tmp_path,
        start_new_session=True,
    ) as guest:
        theirs.close()
        try:
            heard, given_up = _hear(ours)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guest.pid, signal.SIGKILL)
            ours.close()
    ended = {name.partition("::")[2]: test for name, test in heard.tests.items()}
    outcomes = {name: (test.outcome, test.waited) for name, test in ended.items()}
    hung = (Outcome.TIMEOUT, Waited.HUNG)
    is_known = "not known" not in ended["test_hangs[0]"].message  # to root, of most kernels
    alike = (Outcome.TIMEOUT, Waited.NOT_WAITED_FOR) if is_known else hung
    assert outcomes == {
        "test_before": (Outcome.PASSED, Waited.LIMIT),
        **{f"test_hangs[{number}]": hung for number in range(3)},
        **{f"test_like_those[{number}]": alike for number in range(2)},
        "test_elsewhere": hung,
        "test_computes": (Outcome.PASSED, Waited.LIMIT),
    }
    test = "functional/test_it.py::test_heeds_no_signal"
    assert given_up.endswith(f"s while running {test}")
    assert heard.running == test
    assert not heard.records_lost
