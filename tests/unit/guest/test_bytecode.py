"""Compiling a suite without running it, as the guest's Python does it; here by this one."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest

from harness.guest import compile_suite
from harness.guest.bytecode import add_bytecode
from harness.guest.payload import Selection, write_payload
from harness.guest.vng import Root
from harness.processes import finish
from harness.progress import SilentProgress

_TEST = """
import beside

def test_values():
    assert beside.ONE == 2
"""
_CONFTEST = """
import early_fixtures

pytest_plugins = ("early_fixtures", "late_fixtures")
"""
_BESIDE = "from pathlib import Path\nONE = 1\nPath(__file__).with_suffix('.ran').touch()\n"


class Lines(SilentProgress):
    """Keeps what is said at the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def finish(self, subject: str, outcome: str) -> None:
        self.lines.append(f"{subject}: {outcome}")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "test_one.py").write_text(_TEST)
    (tmp_path / "beside.py").write_text(_BESIDE)
    (tmp_path / "broken.py").write_text("def\n")
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    for name in ("early_fixtures", "late_fixtures"):
        (tmp_path / f"{name}.py").write_text("import pytest\n")
    compiled = finish([sys.executable, "-I", compile_suite.__file__, tmp_path])
    assert (compiled.returncode, compiled.stderr) == (0, "")
    return tmp_path


def test_nothing_is_run(suite: Path) -> None:
    assert not (suite / "beside.ran").exists()


def test_pytest_and_python_take_it(suite: Path) -> None:
    """They write anew what they do not take."""
    made = {path: path.stat().st_mtime_ns for path in suite.glob("__pycache__/*.pyc")}
    assert len(made) == 7
    run = finish(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", suite, suite],
        directory=suite,
    )
    assert "assert 1 == 2" in run.stdout
    assert (suite / "beside.ran").exists()
    assert {path: path.stat().st_mtime_ns for path in suite.glob("__pycache__/*.pyc")} == made


def test_no_python_in_the_image(tmp_path: Path) -> None:
    """The guests compile by themselves, which is said; the archive is as it was."""
    payload, image = tmp_path / "payload.tar", tmp_path / "image/root.ext4"
    image.parent.mkdir()
    image.write_bytes(bytes(1 << 20))
    write_payload(Selection(), payload)
    before = payload.read_bytes()
    progress = Lines()
    add_bytecode(payload, Root("disk", image, isolated=True), progress)
    assert payload.read_bytes() == before
    assert "compiled anew in each guest" in str(progress.lines)
    assert not (image.parent / "compiling").exists()


def test_bytecode_of_another_suite_is_not_taken(tmp_path: Path) -> None:
    image = tmp_path / "image/root.ext4"
    kept = image.parent / "bytecode"
    kept.mkdir(parents=True)
    image.write_bytes(b"")
    with tarfile.open(kept / f"{'0' * 64}.tar", "w"):
        pass
    payload = tmp_path / "payload.tar"
    write_payload(Selection(), payload)
    progress = Lines()
    add_bytecode(payload, Root("disk", image, isolated=True), progress)
    assert "compiled anew" in str(progress.lines)


def test_only_for_the_default_image(tmp_path: Path) -> None:
    payload = tmp_path / "payload.tar"
    write_payload(Selection(), payload)
    before = payload.read_bytes()
    progress = Lines()
    add_bytecode(payload, Root("directory", Path("/")), progress)
    assert (payload.read_bytes(), progress.lines) == (before, [])
