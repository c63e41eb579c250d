"""Scratch directories: gone with their process, safe from other processes, fit for vng."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import scratch
from harness.cli import main
from harness.errors import ExitCode
from harness.scratch import leftovers, scratch_directory, sweep

_HOLDER = """
import sys
from harness.scratch import scratch_directory
with scratch_directory() as path:
    (path / "file").touch()
    print(path, flush=True)
    sys.stdin.read()
"""
_SWEEPER = "from harness.scratch import sweep; sweep()"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory for temporary files, short as they usually are; TMPDIR names it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(directory)


def _in_a_pid_namespace(*argv: str) -> list[str]:
    """The command in a PID namespace of its own, if this machine allows any, else as it is."""
    namespace = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    allowed = subprocess.run([*namespace, "true"], capture_output=True, check=False)
    return [*namespace, *argv] if allowed.returncode == 0 else list(argv)


def _await_its_end(path: Path) -> None:
    """Wait until no process holds the directory, however many processes deep it was."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)


def test_removed_at_the_end(place: Path) -> None:
    with scratch_directory() as path:
        assert path.parent == place
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "file").touch()
    assert list(place.iterdir()) == []


def test_left_by_a_killed_process(place: Path) -> None:
    argv = _in_a_pid_namespace(sys.executable, "-c", _HOLDER)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as holder:
        assert holder.stdout is not None
        path = Path(holder.stdout.readline().strip())
        assert path.parent == place
        sweep()
        assert (path / "file").exists()
        os.killpg(holder.pid, 9)
        _await_its_end(path)
    assert leftovers() == [path]
    sweep()
    assert list(place.iterdir()) == []


def test_a_command_that_is_refused_clears_it_too(place: Path) -> None:
    left = place / "afalg.of_one_that_was_killed"
    left.mkdir()
    assert leftovers() == [left]
    assert main(["run", str(place / "no-such-kernel")]) == ExitCode.USAGE
    assert list(place.iterdir()) == []


def test_a_sweep_where_our_process_id_means_nothing(place: Path) -> None:
    with scratch_directory() as path:
        subprocess.run(_in_a_pid_namespace(sys.executable, "-c", _SWEEPER), check=True)
        assert path.is_dir()
    (place / "afalg.left").mkdir()
    subprocess.run(_in_a_pid_namespace(sys.executable, "-c", _SWEEPER), check=True)
    assert list(place.iterdir()) == []


def test_one_that_others_may_enter(place: Path) -> None:
    with scratch_directory(passable=True) as path:
        assert path.parent == Path("/var/tmp")
        assert path.stat().st_mode & 0o777 == 0o711
        sweep()
        assert path.is_dir()
    assert not path.exists()
    left = Path(tempfile.mkdtemp(prefix="afalg.", dir="/var/tmp"))
    sweep()
    assert not left.exists()


def test_a_sweep_leaves_what_is_not_a_leftover(place: Path) -> None:
    (place / "target").mkdir()
    (place / "afalg.link").symlink_to(place / "target")
    (place / "afalg.file").touch()
    (place / "other").mkdir()
    before = set(place.iterdir())
    sweep()
    assert set(place.iterdir()) == before


def test_half_swept_is_swept(place: Path) -> None:
    (place / ".afalg.left.1234abcd").mkdir()
    sweep()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "it's", 'say "a"', "a;b", "a$b", "a\nb", "x" * 120, "ö"])
def test_the_path_is_plain_and_short(
    place: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place / name))
    with scratch_directory() as path, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "results"))
        assert scratch._PLAIN.fullmatch(str(path))
        assert path.parent == Path("/var/tmp")
    assert not path.exists()
