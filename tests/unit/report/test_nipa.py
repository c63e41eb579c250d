"""What NIPA and patchwork are told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.model import Attempt, Outcome, RunResult
from harness.report import results_file
from harness.report.nipa import NipaExit, nipa_exit
from harness.report.options import ReportOptions
from harness.report.render import pieces
from tests.stored_runs import stored_run
from tests.unit import samples
from tests.unit.report.test_junit import RUNS

_FLAKY = replace(
    samples.results()[0],
    attempts=(Attempt(1, Outcome.FAILED), Attempt(2, Outcome.PASSED)),
)
EXITS = {
    "main job": NipaExit.PASS,
    "regressed": NipaExit.FAIL,
    "crashed": NipaExit.FAIL,
    "lost, each side content": NipaExit.FAIL,
    "unavailable": NipaExit.SKIP,
    "all skipped": NipaExit.FAIL,  # a candidate of which nothing was seen is not as expected
    "the code still can": NipaExit.WARN,
    "baseline did not boot": NipaExit.WARN,
}


@pytest.mark.parametrize("name", EXITS)
def test_exit_code(name: str) -> None:
    assert nipa_exit(RUNS[name]) == EXITS[name]


def test_other_outcomes_in_other_boots_are_a_warning() -> None:
    kernel = samples.with_test(samples.new(), _FLAKY)
    assert nipa_exit(samples.run(samples.old(), kernel)) == NipaExit.WARN


def test_no_candidate_is_a_skip() -> None:
    assert nipa_exit(replace(samples.main_job(), kernels=())) == NipaExit.SKIP


def checks(result: RunResult, options: ReportOptions) -> list[dict[str, str]]:
    """The checks, as patchwork's serializer and columns take them."""
    found: list[dict[str, str]] = json.loads("".join(pieces(result, "nipa", options)))
    for check in found:
        assert check.keys() <= {"state", "target_url", "context", "description"}
        assert check["state"] in {"pending", "success", "warning", "fail"}
        assert re.fullmatch(r"[-a-zA-Z0-9_]{1,255}", check["context"])
        assert len(check["description"]) <= 255
    return found


def test_a_check_for_each_candidate() -> None:
    options = ReportOptions(url="https://ci.example/1", labels={"7.3.4+deb13-amd64": "head: a b"})
    found = checks(stored_run(), options)
    assert len(found) == 11
    assert found[-1] == {
        "state": "success",
        "context": "afalg-head-a-b",
        "target_url": "https://ci.example/1",
        "description": "OK: zero-copy gone, page cache safe, 1079 passed, 0 failed, 130 skipped",
    }
    assert found[1]["description"] == "NOT OK: zero-copy present on 33 of 33 paths"


@pytest.mark.parametrize("name", RUNS)
def test_checks_of_runs_that_went_wrong(name: str) -> None:
    checks(RUNS[name], ReportOptions())


@pytest.mark.parametrize("command", ["report", "gate"])
def test_command_exits_in_nipas_words(command: str, tmp_path: Path) -> None:
    results_file.save(RUNS["the code still can"], tmp_path / "results.json")
    assert cli.main([command, str(tmp_path)]) == 3
    assert cli.main([command, str(tmp_path), "--exit", "nipa"]) == 5
