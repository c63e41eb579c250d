"""What of pytest the guest does without."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.processes import finish

_RUN = """
import os
import sys
from harness.guest.inside import recording, unneeded
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
unneeded.leave_out()
import pytest
status = pytest.main([*recording.PYTEST_ARGUMENTS, *sys.argv[1:]])
real = [name for name in ("debugging", "doctest", "legacypath", "logging", "pytester")
        if getattr(sys.modules[f"_pytest.{name}"], "__file__", None)]
assert not real, real
print(int(status))
"""
_TESTS = """
import pytest

@pytest.fixture
def one(tmp_path):
    return tmp_path

@pytest.mark.parametrize("number", [1, 2])
def test_passes(number, one):
    assert one.is_dir()

def test_fails():
    assert 1 == 2

def test_is_skipped():
    pytest.skip("no")
"""


def test_pytest_does_without(tmp_path: Path) -> None:
    suite, temporary = tmp_path / "suite", tmp_path / "temporary"
    suite.mkdir()
    (suite / "test_one.py").write_text(_TESTS)
    options: list[str | Path] = ["-c", "/dev/null", "--rootdir", suite, "--basetemp", temporary]
    run = finish([sys.executable, "-c", _RUN, *options, suite], directory=Path.cwd())
    assert [line.split(" ")[0] for line in run.stdout.splitlines()] == ["..Fs", "1"], (
        run.stdout + run.stderr
    )
