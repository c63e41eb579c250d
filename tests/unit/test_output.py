"""The exit code says what was found, even if nobody reads what is printed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.output import reader_may_leave
from harness.progress import LineProgress
from harness.report import store
from tests.unit import samples

COMMAND = str(Path(sys.executable).parent / "afalg-harness")


def test_report_of_a_regression(tmp_path: Path) -> None:
    result = replace(samples.main_job(), exit_code=1)
    store.save(result, tmp_path / "results.json")
    process = subprocess.run(
        ["bash", "-c", f"{COMMAND} report {tmp_path} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.stdout, process.stderr) == ("1\n", "")


def _broken_console() -> Console:
    reading, writing = os.pipe()
    os.close(reading)
    return Console(file=io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True))


def test_progress_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    monkeypatch.setattr("os.dup2", lambda *descriptors: moved.append(descriptors))
    progress = LineProgress(_broken_console())
    progress.report("kernel", "booting")
    progress.finish("kernel", "done")
    assert moved != []


def test_other_exits_pass() -> None:
    with pytest.raises(SystemExit), reader_may_leave():
        raise SystemExit(3)
