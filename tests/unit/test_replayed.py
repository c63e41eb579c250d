"""A run directory edited by hand is judged by what its files say, not by results.json."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.errors import InputError
from harness.judge.conclude import conclude
from harness.judge.expectations import load_expectations
from harness.model import (
    Cause,
    CodeFinding,
    CodeWord,
    EarlierRecord,
    KernelResult,
    PackageFile,
    Reason,
    Reused,
    Role,
    RunResult,
    Status,
)
from harness.replayed import replay_run
from harness.report import results_file
from tests.unit.guest import boots
from tests.unit.guest.boots import NONCE, PLAN, console, marker

_WHOLE: list[boots.Said] = [
    boots.hello(),
    *boots.passing(),
    marker(8.0, f"hello {NONCE}"),
    marker(9.2, f"start {PLAN[0]}"),
    marker(9.4, f"start {PLAN[1]}"),
    marker(12.0, "end"),
    console(12.5, "reboot: Power down"),
]


def _files(run: Path, name: str, spec: str, role: Role) -> None:
    directory = run / "kernels" / name
    directory.mkdir(parents=True)
    boots.write(directory, _WHOLE, boot=replace(boots.BOOT, spec=spec, role=role))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one good kernel, as it was stored."""
    run = tmp_path / "run"
    _files(run, "a", "debian:a", Role.CANDIDATE)
    result = replay_run(run)
    kernel = replace(result.kernels[0], config={"CONFIG_X": "y"}, append=("nosmp",))
    _save(run, replace(result, kernels=(kernel,)))
    return run


def _save(run: Path, result: RunResult, *expected: str) -> None:
    expectations = load_expectations(None, expected)
    judged = conclude(replace(result, expectations=expectations.entries()), expectations, None)
    results_file.save(judged, run / "results.json")


def _report(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    code = main(["report", "--verbose", "--replay", str(run)])
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before, (
        "nothing is written"
    )
    return code, capsys.readouterr().out


def _insert(path: Path, before: str, line: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, f"{line}\n{before}", 1))


def test_what_was_not_edited_is_as_it_was(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored, replayed = results_file.load(run).kernels[0], replay_run(run).kernels[0]
    assert replace(replayed, verdict=stored.verdict) == stored
    code, text = _report(run, capsys)
    assert code == 0
    assert "exit code 0" in text


def test_what_the_code_said_is_kept(run: Path) -> None:
    said = (CodeFinding("skcipher.input", CodeWord.CANNOT, ("skcipher_sendmsg",)),)
    stored = results_file.load(run)
    _save(run, replace(stored, kernels=(replace(stored.kernels[0], code=said),)))
    assert replay_run(run).kernels[0].code == said


def test_a_probe_that_passed_and_recorded_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory made by others: the record of the fact is not there."""
    probe = "zero_copy/test_input.py::test_skcipher[splice_file]"
    directory = tmp_path / "run/kernels/a"
    directory.mkdir(parents=True)
    boots.write(directory, _WHOLE, boot=boots.BOOT)
    for name in ("events.jsonl", "console.log"):
        path = directory / name
        path.write_text(path.read_text().replace(PLAN[0], probe))
    code, text = _report(tmp_path / "run", capsys)
    assert code == 3
    assert "zero_copy.skcipher.splice_file is unknown" in text
    assert "passed without recording a state" in text


def test_a_report_put_before_the_first_test(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "[     8.100] [    5.100000] BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80"
    console_log = run / "kernels/a/console.log"
    first = next(text for text in console_log.read_text().splitlines() if "start" in text)
    _insert(console_log, first, line)
    code, text = _report(run, capsys)
    assert code == 1
    assert "af_alg_free_sg" in text


def test_the_last_records_cut_off(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = run / "kernels/a/events.jsonl"
    events.write_text("".join(events.read_text().splitlines(keepends=True)[:5]))
    code, text = _report(run, capsys)
    assert code == 1
    assert "missing" in text


def test_records_in_the_wrong_order(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = run / "kernels/a/events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    events.write_text("".join(lines))
    code, text = _report(run, capsys)
    assert code == 1
    assert "records of the guest were lost" in text


def test_another_nonce(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = run / "kernels/a/events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace(NONCE, "11" * 8)
    events.write_text("".join(lines))
    code, text = _report(run, capsys)
    assert code == 3
    assert "not of this run" in text


def test_what_was_expected_then_is_expected_now(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _save(run, results_file.load(run), f"{PLAN[0]}=skipped")
    code, text = _report(run, capsys)
    assert f"{PLAN[0]} passed, expected skipped" in text
    assert code == 0, "that a test passes is never held against a kernel"
    _save(run, results_file.load(run), "no.such.fact=absent")
    assert _report(run, capsys)[0] != 0


def test_only_results_json_knows_what_the_run_was_told(run: Path) -> None:
    only_there: dict[str, Any] = {
        "spec": "debian:trixie",
        "packages": (PackageFile("linux-image-a", "1", "0" * 64, "local"),),
        "exact": "debian:a",
        "append": ("nosmp",),
        "reproduce": "afalg-harness run debian:a",
        "settings": "--suite x",
        "reused": Reused("i", "2026-11-26T00:00:00+00:00"),
        "config": {"CONFIG_X": "y"},
        "earlier": {PLAN[0]: EarlierRecord(3, 2)},
    }
    before = results_file.load(run)
    _save(run, replace(before, kernels=(replace(before.kernels[0], **only_there),)))
    kernel, again = results_file.load(run).kernels[0], replay_run(run).kernels[0]
    assert {name: getattr(kernel, name) for name in only_there} == only_there
    assert replace(again, verdict=kernel.verdict) == kernel


def test_files_of_a_version_whose_suite_told_reasons_in_english(tmp_path: Path) -> None:
    directory = tmp_path / "kernels" / "a"
    directory.mkdir(parents=True)
    skip = boots.outcome(9.3, 3, PLAN[0], "skipped", "bind rng 'stdrng': ENOENT")
    records = [skip if said == boots.outcome(9.3, 3, PLAN[0]) else said for said in boots.passing()]
    boots.write(directory, [boots.hello(), *records, console(12.5, "reboot: Power down")])
    boots.forget_the_host(directory)
    (kernel,) = replay_run(tmp_path).kernels
    assert kernel.tests[0].reason == Reason(Cause.NOT_BOUND, "rng", "stdrng", "ENOENT")


def test_without_results_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "results.json").unlink()
    _files(run, "b", "debian:b", Role.CANDIDATE)
    kernels = replay_run(run).kernels
    assert [kernel.role for kernel in kernels] == [Role.BASELINE, Role.CANDIDATE]
    assert _report(run, capsys)[0] == 0


def test_a_run_that_died_before_it_stored_its_kernels(run: Path) -> None:
    """results.json names what was planned; the files say what came of it."""
    _files(run, "b", "debian:b", Role.CANDIDATE)
    stored = results_file.load(run)
    blank = KernelResult("debian:b", "", Role.CANDIDATE, Status.INTERRUPTED, "not finished")
    other = replace(blank, spec="debian:c")
    _save(run, replace(stored, kernels=(*stored.kernels, blank, other)))
    kernels = {kernel.spec: kernel for kernel in replay_run(run).kernels}
    assert kernels["debian:b"].status is Status.COMPLETED
    assert kernels["debian:c"].status is Status.INTERRUPTED


def test_files_that_are_gone(run: Path) -> None:
    shutil.rmtree(run / "kernels/a")
    with pytest.raises(InputError, match=r"kernels/a: not there"):
        replay_run(run)


@pytest.mark.parametrize("made", [True, False])
def test_no_run(tmp_path: Path, made: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "none"
    if made:
        run.mkdir()
    assert main(["report", "--verbose", "--replay", str(run)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
