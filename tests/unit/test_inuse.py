"""Marks of use: a directory is not deleted while a process uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import inuse

_HOLDER = """
import sys
from pathlib import Path
from harness import inuse
print(inuse.hold(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def _holder(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_kept_until_its_user_is_gone(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "file").touch()
    with _holder(place) as holder:
        assert inuse.is_used(place)
        assert not inuse.remove(place)
        assert (place / "file").exists()
        holder.kill()
        holder.wait()
        assert not inuse.is_used(place)
        assert inuse.remove(place)
    assert list(tmp_path.iterdir()) == []


def test_two_users(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with _holder(place) as first, _holder(place) as second:
        first.kill()
        first.wait()
        assert not inuse.remove(place)
        second.kill()
        second.wait()
        assert inuse.remove(place)


def test_what_is_not_there(tmp_path: Path) -> None:
    place = tmp_path / "place"
    assert not inuse.hold(place)
    assert not inuse.is_used(place)
    assert not inuse.remove(place)
    assert inuse.last_used(place) is None


def test_a_directory_made_anew_is_held_anew(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    assert inuse.hold(place)
    assert inuse.last_used(place) is not None
    place.rename(tmp_path / "moved")
    assert not inuse.hold(place)
    place.mkdir()
    assert inuse.hold(place)
    assert not inuse.remove(place)


def test_half_deleted_has_another_name(tmp_path: Path) -> None:
    """What is killed while it deletes leaves nothing under the directory's own name."""
    place = tmp_path / "place"
    (place / "locked").mkdir(parents=True)
    (place / "locked/file").touch()
    code = (
        "import shutil, os, sys; from pathlib import Path; from harness import inuse\n"
        "shutil.rmtree = lambda _: os._exit(9)\n"
        "inuse.remove(Path(sys.argv[1]))"
    )
    result = subprocess.run([sys.executable, "-c", code, place], check=False)
    assert result.returncode == 9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".place.")
