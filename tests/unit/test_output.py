"""The exit code says what was found, whatever becomes of what is printed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from harness.commands.display import ProgressConsole
from harness.output import nobody_need_listen, reader_may_leave
from harness.progress import LineProgress
from harness.report import results_file
from tests.unit import samples

COMMAND = f"{sys.executable} -m harness"


@pytest.fixture
def regressed(tmp_path: Path) -> Path:
    """A stored run whose exit code is 1."""
    result = samples.run(samples.new(), samples.regressed())
    assert result.exit_code == 1
    results_file.save(result, tmp_path / "results.json")
    return tmp_path


def _shell(line: str) -> tuple[str, str]:
    """Stdout and stderr of a line of shell that begins with our command."""
    finished = subprocess.run(
        ["bash", "-c", f"{COMMAND} {line}; echo $?"], capture_output=True, text=True, check=False
    )
    return finished.stdout, finished.stderr


def test_nobody_reads_the_end(regressed: Path) -> None:
    finished = subprocess.run(
        ["bash", "-c", f"{COMMAND} report {regressed} | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == ("1\n", "")


@pytest.mark.parametrize("closed", [">&-", "<&- 2>&-"])
def test_closed_streams(regressed: Path, closed: str) -> None:
    out, err = _shell(f"report {regressed} {closed}")
    assert out.endswith("1\n")
    assert err == ""


def test_closed_stdout_is_no_file_of_ours(regressed: Path) -> None:
    """The number of a closed stream is given to the next file that is opened."""
    before = (regressed / "results.json").read_bytes()
    out, err = _shell(f"report {regressed} --format summary --format text >&-")
    assert (out, err) == ("1\n", "")
    assert "is NOT OK" in (regressed / "summary.md").read_text().splitlines()[0]
    assert (regressed / "results.json").read_bytes() == before


@pytest.mark.parametrize("line", ["--help >&-", "report --help | true"])
def test_help_that_nobody_reads(line: str) -> None:
    assert _shell(f"{line}") == ("0\n", "")


def test_a_full_disk_takes_no_output(regressed: Path) -> None:
    out, err = _shell(f"report {regressed} >/dev/full")
    assert out == "3\n"
    assert err.startswith("afalg-harness: no space left:")
    assert len(err.splitlines()) == 1


def test_complaints_that_nothing_takes() -> None:
    assert _shell("report /nowhere 2>/dev/full") == ("2\n", "")


def _broken_console() -> Console:
    reading, writing = os.pipe()
    os.close(reading)
    return Console(file=io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True))


def test_progress_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.dup2", lambda *_: None)  # rich gives up stdout, which is ours here
    progress = LineProgress(_broken_console())
    progress.report("kernel", "booting")
    progress.finish("kernel", "done")


def test_progress_that_nobody_reads_leaves_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[object] = []
    monkeypatch.setattr("os.dup2", lambda *descriptors: moved.append(descriptors))
    console = ProgressConsole()
    console.file = _broken_console().file
    progress = LineProgress(console)
    progress.report("kernel", "booting")
    progress.finish("kernel", "done")
    assert moved == []


def test_progress_on_a_full_disk() -> None:
    with Path("/dev/full").open("w") as full:
        progress = LineProgress(Console(file=full))
        with nobody_need_listen():
            progress.report("kernel", "booting")
            progress.finish("kernel", "done")
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_other_exits_pass() -> None:
    with pytest.raises(SystemExit), reader_may_leave():
        raise SystemExit(3)
