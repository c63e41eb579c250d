"""What a run promises as a whole: one bad kernel, two guests at once, offline reports."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.model import KernelResult, Status
from harness.progress import SilentProgress

from .conftest import COMMAND, Finished, RunCommand, execute

_BEFORE = "debian:6.12.95+deb13-amd64"
_AFTER = "debian:6.12.96+deb13-amd64"
_SUITE = ("--suite", "zero_copy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Three kernels, the second of them a package that was cut short."""
    sources = KernelSources(Path(os.environ.get("AFALG_CACHE") or default_cache_dir()))
    for spec in (_BEFORE, _AFTER):
        resolve(spec, sources, SilentProgress())  # else a download may keep the guests apart
    folder = tmp_path_factory.mktemp("three")
    package = folder / "linux-image-cut_amd64.deb"
    package.write_bytes(
        b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n2.0\n"
    )
    return execute(folder / "run", _BEFORE, str(package), _AFTER, *_SUITE, "--jobs", "2")


def _named(finished: Finished, part: str) -> KernelResult:
    return next(kernel for kernel in finished.result.kernels if part in kernel.spec)


def test_a_bad_kernel_does_not_stop_the_others(finished: Finished) -> None:
    bad = _named(finished, "cut_amd64.deb")
    assert bad.status is Status.UNAVAILABLE
    assert "cut_amd64.deb" in bad.status_reason
    assert not bad.verdict.ok
    for part in (_BEFORE, _AFTER):
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
        assert [record["type"] for record in records[:2]] == ["boot", "hello"]
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
    command: list[str | Path] = [COMMAND, "compare", finished.out, finished.out]
    compared = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "zero_copy.skcipher.splice_file" in compared.stdout
    assert "fixed" in compared.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["debian:9.9.9-amd64"], 2, "9.9.9-amd64"),
        (["debian:nonsuch"], 2, "nonsuch"),
        (["/nonexistent/vmlinuz"], 2, "/nonexistent/vmlinuz"),
        (["/etc"], 2, "/etc"),
        (["/etc/passwd"], 2, "/etc/passwd"),
        ([_AFTER, "--suite", "nonsuch"], 2, "nonsuch"),
        ([_AFTER, "--suite", "functional/test_hash.py::test_nonsuch"], 2, "test_nonsuch"),
        ([_AFTER, "--suite", "functional/test_hash.py::test_known_answer[x]"], 2, "no test"),
        ([_AFTER, "-k", "nonsuch"], 2, "no test"),
        ([_AFTER, "--expectations", "/nonexistent.toml"], 2, "/nonexistent.toml"),
        ([_AFTER, "--expect", "nonsense"], 2, "nonsense"),
        ([_AFTER, "--root", "/nonexistent"], 2, "/nonexistent"),
        ([_AFTER, "--accel", "kvm"], 3, "kvm"),
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
        *(COMMAND, "run", _AFTER, "--out", tmp_path / "run"),
    ]
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert finished.returncode == 3, finished.stderr
    assert "apt-get install qemu-system-x86" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_an_unwritable_output_is_named() -> None:
    finished = execute(Path("/proc/nowhere"), _AFTER, "--quiet")
    assert finished.code == 2
    assert "/proc/nowhere" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
