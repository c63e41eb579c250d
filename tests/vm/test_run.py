"""What a run promises as a whole: one bad kernel, two guests at once, offline reports."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.model import KernelResult, Status

from .conftest import AFTER, BEFORE, COMMAND, Finished, RunCommand


@pytest.fixture
def finished(boundary: Finished) -> Finished:
    """Three kernels, the second of them a package that was cut short."""
    return boundary


def _named(finished: Finished, part: str) -> KernelResult:
    return next(kernel for kernel in finished.result.kernels if part in kernel.spec)


def test_a_bad_kernel_does_not_stop_the_others(finished: Finished) -> None:
    bad = _named(finished, "cut_amd64.deb")
    assert bad.status is Status.UNAVAILABLE
    assert "cut_amd64.deb" in bad.status_reason
    assert not bad.verdict.ok
    for part in (BEFORE, AFTER):
        kernel = _named(finished, part)
        assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert finished.code == 2
    assert "cut_amd64.deb" in finished.stdout
    assert "Traceback" not in finished.stderr


def test_two_guests_overlap(finished: Finished) -> None:
    """The second guest had reported before the first had powered off."""
    first, second = (
        [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted(finished.out.glob("kernels/*/events.jsonl"))
    )
    # The records carry no common clock; the files' times do.
    for records in (first, second):
        # A boot before it may have failed by a fault of the emulation.
        assert "hello" in [record["type"] for record in records]
    times = [
        ((directory / "vng.txt").stat().st_mtime, (directory / "events.jsonl").stat().st_mtime)
        for directory in sorted((finished.out / "kernels").iterdir())
    ]
    for (start, end), (other_start, other_end) in itertools.combinations(times, 2):
        assert max(start, other_start) < min(end, other_end)


def test_the_reports_can_be_made_again_offline(finished: Finished) -> None:
    made = {name: (finished.out / name).read_text() for name in ("junit.xml", "summary.md")}
    for name in made:
        (finished.out / name).unlink()
    command: list[str | Path] = [
        COMMAND,
        "report",
        finished.out,
        "--format",
        "junit",
        "--format",
        "summary",
    ]
    report = subprocess.run(command, capture_output=True, text=True, check=False)
    assert report.returncode == finished.code, report.stderr
    assert {name: (finished.out / name).read_text() for name in made} == made


def test_stored_runs_can_be_compared_offline(finished: Finished) -> None:
    command: list[str | Path] = [COMMAND, "compare", "-v", finished.out, finished.out]
    compared = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "zero_copy.skcipher.splice_file" in compared.stdout
    assert "fixed: present -> absent" in compared.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["debian:9.9.9-amd64"], 2, "9.9.9-amd64"),
        (["debian:nonsuch"], 2, "nonsuch"),
        ([AFTER, "--accel", "kvm"], 3, "kvm"),
        (
            ["debian:6.12.94+deb13-amd64", "--mirror", "http://127.0.0.1:9/debian", "--refresh"],
            3,
            "127.0.0.1:9",
        ),
    ],
    ids=lambda value: " ".join(value).replace("/", "_") if isinstance(value, list) else None,
)
def test_bad_input_gets_one_clear_line(
    run_command: RunCommand, arguments: list[str], code: int, words: str
) -> None:
    """What needs the archive or this host; all the rest: tests/unit/commands/test_refusals.py."""
    finished = run_command(*arguments, "--quiet")
    said = finished.stdout + finished.stderr
    assert finished.code == code, said
    assert words in said
    assert "Traceback" not in said


def test_missing_qemu_is_named(tmp_path: Path) -> None:
    """QEMU is hidden in a mount namespace: the run stops before it downloads anything."""
    hidden = shutil.which("qemu-system-x86_64")
    assert hidden is not None
    argv: list[str | Path] = [
        *("unshare", "--mount", "--propagation", "unchanged"),
        *("sh", "-c", 'mount --bind /dev/null "$0" && exec "$@"', hidden),
        *(COMMAND, "run", AFTER, "--out", tmp_path / "run"),
    ]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert finished.returncode == 3, finished.stderr
    assert "apt-get install qemu-system-x86" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
