"""``afalg-harness shell`` as a person uses it; with --exec: test_host_faults.py."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pexpect
import pytest

from tests import documented

from .conftest import AFTER, COMMAND

_PATIENCE = 600  # seconds


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory for temporary files."""
    place = tmp_path / "tmp"
    place.mkdir()
    return place


def _left_behind(place: Path) -> list[str]:
    """Temporary files, and processes that work in their directory."""
    files = [str(path) for path in place.iterdir()]
    processes = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(place):
                processes.append(str(link))
        except OSError:
            continue
    return files + processes


def _heed_hangup() -> None:
    """The tests themselves may run under nohup, which is inherited."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _spawn(place: Path, *arguments: str) -> pexpect.spawn:
    return pexpect.spawn(
        str(COMMAND),
        list(arguments),
        timeout=_PATIENCE,
        encoding="utf-8",
        codec_errors="replace",
        dimensions=(33, 99),
        preexec_fn=_heed_hangup,
        env={**os.environ, "TMPDIR": str(place)},
    )


def test_a_shell(place: Path) -> None:
    """A terminal of the right size, on which Ctrl-C ends a program and Ctrl-D the shell."""
    child = _spawn(place, *documented.arguments("afalg-harness shell debian:6.12.96+deb13-amd64"))
    child.expect("# ")
    # One process says that it is there and waits: a signal ends it at any time from then on.
    waiting = """sh -c 'echo rea""dy; read x'"""
    child.sendline(f"stty size; tty; id -u; ls functional/test_hash.py; {waiting}")
    child.expect(r"33 99\r\n/dev/pts/\d+\r\n0\r\nfunctional/test_hash.py\r\nready\r\n")
    child.sendintr()
    child.expect("# ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130  # bash's own, of the last command
    assert not _left_behind(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_gdb(place: Path, number: signal.Signals) -> None:
    """The guest waits for a debugger; a signal ends all of it."""
    child = _spawn(place, *documented.arguments("--gdb"))
    child.expect(r"QEMU waits for a debugger: gdb -ex 'target remote ([^']*)'")
    with socket.socket(socket.AF_UNIX) as debugger:
        debugger.settimeout(_PATIENCE)
        debugger.connect(child.match.group(1))
        debugger.sendall(b"$?#3f")
        answer = b""
        while not re.match(rb"\+?\$...", answer):  # it may come in pieces
            answer += debugger.recv(100)
        assert re.match(rb"\+?\$[ST]05", answer)
    child.kill(number)
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (130, None)
    assert not _left_behind(place)


def test_without_a_terminal_there_is_no_shell() -> None:
    done = subprocess.run(
        [COMMAND, "shell", AFTER], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "needs a terminal" in done.stderr


def test_a_bad_spec_is_an_input_error() -> None:
    done = subprocess.run(
        [COMMAND, "shell", "/no/such/kernel", "--exec", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "/no/such/kernel" in done.stderr.splitlines()[-1]
