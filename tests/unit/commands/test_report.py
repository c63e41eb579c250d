"""A stored run is judged by what was observed, not by the verdict that stands beside it."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.judge.expectations import load_expectations
from harness.model import Boot, KernelResult, RunResult, State, Status
from harness.report import results_file
from tests.unit import samples


def _recorded(kernel: KernelResult) -> KernelResult:
    """As this version records it."""
    return replace(kernel, boots=(Boot(Status.COMPLETED, identity=kernel.identity),))


def _report(result: RunResult, path: Path) -> int:
    results_file.save(result, path / "results.json")
    return main(["report", str(path)])


def test_an_edited_verdict_counts_for_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = samples.run(_recorded(samples.regressed()))
    assert result.exit_code == 1
    good = samples.run(_recorded(samples.new()))
    edited = replace(
        result,
        exit_code=0,
        kernels=(replace(result.kernels[0], verdict=good.kernels[0].verdict),),
    )
    assert _report(edited, tmp_path) == 1
    out, err = capsys.readouterr()
    assert "(exit 1)" in out
    assert err == f"afalg-harness: {tmp_path}: judged anew the exit code is 1; 0 was stored\n"


def test_edited_observations_are_what_counts(tmp_path: Path) -> None:
    result = samples.run(_recorded(samples.new()))
    assert _report(result, tmp_path) == 0
    path = tmp_path / "results.json"
    data = json.loads(path.read_text())
    data["kernels"][0]["facts"]["page_cache_write"]["state"] = "present"
    path.write_text(json.dumps(data))
    assert main(["report", str(tmp_path)]) == 1


@pytest.mark.parametrize("stored", [True, False])
def test_what_the_run_expected_holds(tmp_path: Path, stored: bool) -> None:
    """An expectation that was met, and one that was not."""
    present = replace(samples.new(), facts=samples.facts(State.PRESENT, State.ABSENT, restrict=1))
    rules = load_expectations(None, ["zero_copy.*=present"])
    kept = rules.entries() if stored else ()
    for kernel, code in ((present, 0), (samples.new(), 1)):
        result = replace(samples.run(_recorded(kernel), expectations=rules), expectations=kept)
        assert result.exit_code == code
        assert _report(result, tmp_path) == code


def test_the_verdict_of_an_earlier_version_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It did not store its boots."""
    result = replace(samples.run(samples.new()), exit_code=1)
    assert _report(result, tmp_path) == 1
    assert capsys.readouterr().err == ""


def test_a_report_that_was_judged_anew_is_written(tmp_path: Path) -> None:
    result = replace(samples.run(_recorded(samples.regressed())), exit_code=0)
    results_file.save(result, tmp_path / "results.json")
    assert main(["report", str(tmp_path), "--format", "summary"]) == 1
    assert (tmp_path / "summary.md").read_text().startswith("# AF_ALG: 7.4.0-rc1-amd64 is NOT OK")


@pytest.fixture
def regressed(tmp_path: Path) -> Path:
    """A stored run whose exit code is 1."""
    run = tmp_path / "run"
    run.mkdir()
    results_file.save(samples.run(_recorded(samples.regressed())), run / "results.json")
    return run


def test_written_anywhere(
    regressed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("json", "junit", "summary", "text"):
        assert main(["report", str(regressed), "--format", name, "--output", "-"]) == 1
        told = capsys.readouterr().out
        file = tmp_path / name
        assert main(["report", str(regressed), "--format", name, "--output", str(file)]) == 1
        assert file.read_text() == told
        assert capsys.readouterr().out == f"{file}\n"
    assert [path.name for path in regressed.iterdir()] == ["results.json"]


def test_a_run_that_may_only_be_read(
    regressed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, _pieces: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("harness.report.render.write_whole", refuse)
    assert main(["report", str(regressed)]) == 1
    assert main(["report", str(regressed), "--format", "junit", "--output", "-"]) == 1
    capsys.readouterr()
    assert main(["report", str(regressed), "--format", "junit"]) == 3
    told = "Read-only file system; name another place with --output\n"
    assert capsys.readouterr().err.endswith(told)


def test_several_formats(
    regressed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ["report", str(regressed), "--format", "junit", "--format", "md"]
    assert main([*both, "--output", "-"]) == 2
    assert "standard output takes one format, not junit, summary" in capsys.readouterr().err
    assert main([*both, "--output", str(regressed / "results.json")]) == 2
    assert "2 formats need a directory" in capsys.readouterr().err
    assert main([*both, "--output", str(tmp_path / "new" / "place")]) == 1
    assert {path.name for path in (tmp_path / "new" / "place").iterdir()} == {
        "junit.xml",
        "summary.md",
    }
    assert main(both) == 1
    assert (regressed / "junit.xml").exists()
    assert (regressed / "summary.md").exists()


def test_other_expectations(regressed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = [f"{samples.SHA256_TEST}=any", "zero_copy.*=any", "console.*=any", "taint.*=any"]
    expect = [word for name in told for word in ("--expect", name)]
    for command in ("report", "gate"):
        assert main([command, str(regressed)]) == 1
        assert main([command, str(regressed), *expect]) == 0
    assert capsys.readouterr().err == ""
    assert main(["report", str(regressed), *expect, "--format", "json"]) == 2
    assert "name another file with --output" in capsys.readouterr().err


def test_an_earlier_version_s_run_is_not_judged_by_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _report(samples.run(samples.new()), tmp_path) == 0
    assert main(["report", str(tmp_path), "--expect", "page_cache_write=any"]) == 2
    assert "stored by an earlier version" in capsys.readouterr().err


def test_gate_says_little(regressed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", str(regressed)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("exit 1: 7.4.0-rc1-amd64 is NOT OK: zero-copy present on 12 of 12 paths")
    assert len(out.splitlines()) == 1
    assert main(["gate", str(regressed), "-v"]) == 1
    assert len(capsys.readouterr().out.splitlines()) > 2
    assert main(["gate", str(regressed / "nosuch")]) == 2
