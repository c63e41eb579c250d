"""Building the guest image: whatever ends it, nothing of it stays on the host."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.scratch import leftovers, sweep

#: Mounts and starts things as mmdebstrap does, then stands still.
_MMDEBSTRAP = """#!/bin/sh
mkdir -p "$TMPDIR/mmdebstrap.x/proc" && mount -t tmpfs none "$TMPDIR/mmdebstrap.x/proc" || exit 9
setsid sleep 987654 &
echo "$TMPDIR" > {ready}
sleep 987653
"""
_BUILD = """
import sys
from pathlib import Path
from harness import cli
from harness.commands.actions import doctor
from harness.guest.image import guest_image
from harness.progress import SilentProgress
def execute(arguments):
    guest_image(Path(sys.argv[1]), "http://127.0.0.1:9/debian", SilentProgress())
doctor.execute = execute
sys.exit(cli.main(["doctor"]))
"""
_MOUNTS = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]


def _running(words: str) -> bool:
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words.encode() in cmdline.read_bytes().replace(b"\0", b" "):
                return True
        except OSError:
            continue
    return False


def _await(path: Path, process: subprocess.Popen[bytes]) -> str:
    """What is written to a pipe while the process lives."""
    text = b""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        while not text.endswith(b"\n"):
            assert process.poll() is None, "it ended by itself"
            select.select([pipe], [], [], 0.1)
            text += pipe.read() or b""
    return text.decode().strip()


@pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(_MOUNTS, check=False).returncode != 0,
    reason="only root mounts outside of a namespace, and may not here",
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_build_that_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    ready, program = tmp_path / "ready", tmp_path / "bin/mmdebstrap"
    os.mkfifo(ready)
    program.parent.mkdir()
    program.write_text(_MMDEBSTRAP.format(ready=ready))
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, tmp_path / "cache"],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
    )
    try:
        temporary = Path(_await(ready, process))
        process.send_signal(number)
        assert process.wait(60) == (-9 if number == signal.SIGKILL else 130)
    finally:
        process.kill()
        process.wait()
    for _ in range(100):  # after SIGKILL the kernel ends its children, one after the other
        if not _running("sleep 98765"):
            break
        signal.sigtimedwait([], 0.1)
    assert not _running("sleep 98765")
    assert str(temporary) not in Path("/proc/self/mountinfo").read_text()
    if number == signal.SIGKILL:
        # Another process of the tests may sweep as well, and be first.
        assert temporary in leftovers() or not temporary.exists()
        sweep()
    assert not temporary.exists()
    assert not [*(tmp_path / "cache").glob("images/*/build-*")] or number == signal.SIGKILL
