"""What passed on another machine is left out here, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CONFTEST = """
from tests import passed
def pytest_addoption(parser): passed.add_options(parser)
def pytest_configure(config): passed.register(config)
"""
_TESTS = """
import pytest
@pytest.fixture
def breaks_at_the_end():
    yield
    assert False
def test_passes(): pass
@pytest.mark.parametrize("text", ["a b", "\\n"])
def test_each(text): pass
def test_fails(): assert False
def test_is_skipped(): pytest.skip("not here")
def test_ends_badly(breaks_at_the_end): pass
"""


@pytest.fixture
def run_tests(tmp_path: Path) -> Path:
    """A folder with one test of each kind."""
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_it.py").write_text(_TESTS)
    return tmp_path


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *arguments]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize("processes", ["0", "2"])
def test_only_what_passed_is_left_out(run_tests: Path, processes: str) -> None:
    first = _run(run_tests, "--write-passed", "passed", "-n", processes)
    assert first.returncode == 1
    assert sorted((run_tests / "passed").read_text().splitlines()) == [
        "test_it.py::test_each[\\n]",
        "test_it.py::test_each[a b]",
        "test_it.py::test_passes",
    ]
    spread = _run(run_tests, "--except-passed", "passed", "-n", processes)
    assert "1 failed, 1 passed, 1 skipped" in spread.stdout
    second = _run(run_tests, "--except-passed", "passed")
    assert "1 failed, 1 passed, 1 skipped, 3 deselected, 1 error" in second.stdout


def test_what_was_cut_off_after_its_set_up_has_not_passed(run_tests: Path) -> None:
    """Ctrl-C amid a test: of its phases there is only a set-up, which passed."""
    code = "def test_first(): pass\ndef test_is_cut_off(): raise KeyboardInterrupt\n"
    (run_tests / "test_it.py").write_text(code)
    assert _run(run_tests, "--write-passed", "passed").returncode == 2
    assert (run_tests / "passed").read_text().splitlines() == ["test_it.py::test_first"]


def test_a_file_that_is_not_there(run_tests: Path) -> None:
    done = _run(run_tests, "--except-passed", "nowhere")
    assert done.returncode == 4
    assert "nowhere" in done.stderr
