"""Programs on terminals of their own: started from several threads, never two at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from harness.guest.terminal import on_terminal

#: Notes, as filelock does, that a fork begins while another one goes on.
_TWO_THREADS = """\
import os, pexpect, sys, threading
from pathlib import Path
from harness.guest.terminal import on_terminal

forking, at_once = set(), threading.Event()

def before():
    forking.add(threading.get_ident())
    at_once.wait(1)  # time for the other one to come

def audit(event, _arguments):
    if event == "os.forkpty" and forking:
        at_once.set()

def start():
    child = on_terminal(["true"], Path())
    child.expect(pexpect.EOF, timeout=60)
    started.append(child)

started = []
os.register_at_fork(
    before=before, after_in_parent=lambda: forking.discard(threading.get_ident())
)
sys.addaudithook(audit)
threads = [threading.Thread(target=start) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(f"{len(started)} started, at once: {at_once.is_set()}")
"""


def test_two_threads() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _TWO_THREADS], capture_output=True, text=True, check=False
    ).stderr
    assert said == "2 started, at once: False\n"


@pytest.mark.parametrize("lines", [24, 50])
def test_a_terminal(tmp_path: Path, lines: int) -> None:
    child = on_terminal(
        ["sh", "-c", 'echo "$A"; pwd; stty size'],
        tmp_path,
        environment={"A": "b", "PATH": "/usr/bin:/bin"},
        dimensions=(lines, 80),
    )
    child.expect(pexpect.EOF, timeout=60)
    assert str(child.before).split() == ["b", str(tmp_path), str(lines), "80"]
