"""A program that does not end in time: was the machine slow, or did it sleep?"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.model import Cause
from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def programs() -> ModuleType:
    return suite_module("programs")


@pytest.mark.parametrize(
    ("code", "cause"),
    [("while True: pass", Cause.HOST), ("import signal; signal.pause()", Cause.OTHER)],
)
def test_no_end_in_time(
    programs: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    cause: Cause,
) -> None:
    monkeypatch.setattr(programs, "_SECONDS", 1.5)
    # A machine that gives a busy program less than a tenth of the time is as good as none.
    monkeypatch.setattr(programs, "_BUSY", 0.1)
    runner = programs.Runner(tmp_path, nobody=False)
    with pytest.raises(programs.Unfinished) as ended:
        runner.run([sys.executable, "-S", "-E", "-c", code])
    assert ended.value.reason.cause is cause
    assert "no end within 1.5 s" in str(ended.value)
