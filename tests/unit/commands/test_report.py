"""A stored run is judged by what was observed, not by the verdict that stands beside it."""

from __future__ import annotations

import json
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
    assert "exit code 1: " in out
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
    assert (tmp_path / "summary.md").read_text().startswith("# AF_ALG: exit code 1")
