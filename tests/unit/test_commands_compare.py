"""``compare``: two stored runs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands.compare import execute
from harness.errors import InputError
from harness.judge.expectations import load_expectations
from harness.model import ConsoleEvent, KernelResult, RunResult
from harness.report import results_file
from tests.unit import samples

WHOLE = samples.new()
HASH = tuple(test for test in samples.PLAN if test.startswith("functional/test_hash.py"))
PART = replace(
    WHOLE,
    plan=HASH,
    tests=samples.results(HASH),
    facts=replace(WHOLE.facts, zero_copy={}, page_cache_write=None),
    reproduce=f"{WHOLE.reproduce} --suite functional/test_hash.py",
)


def compared(tmp_path: Path, before: RunResult, after: RunResult) -> int:
    for name, run in (("a", before), ("b", after)):
        (tmp_path / name).mkdir()
        results_file.save(run, tmp_path / name / "results.json")
    return execute(argparse.Namespace(baseline=tmp_path / "a", candidate=tmp_path / "b"))


@pytest.mark.parametrize("order", [(WHOLE, PART), (PART, WHOLE)])
def test_a_run_of_less_lost_nothing(
    order: tuple[KernelResult, KernelResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, *(samples.run(kernel) for kernel in order)) == 0
    side = "baseline" if order[0] is WHOLE else "candidate"
    assert f"not compared, selected on the {side} only" in capsys.readouterr().out


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    stranger = replace(PART, plan=("mine.py::test_x",), tests=samples.results(["mine.py::test_x"]))
    with pytest.raises(InputError, match="nothing to compare"):
        compared(tmp_path, samples.run(WHOLE), samples.run(stranger))


def test_the_baseline_of_another_run_excuses_the_same_report(tmp_path: Path) -> None:
    event = ConsoleEvent("warning", "WARNING: CPU: 0 PID: 1 at arch/x86/x.c:1", 1.5)
    noisy = replace(WHOLE, console_events=(event,))
    assert samples.run(noisy).exit_code == 1
    assert compared(tmp_path, samples.run(noisy), samples.run(noisy)) == 0


def test_what_the_run_was_told_to_expect_still_holds(tmp_path: Path) -> None:
    bad = samples.with_test(WHOLE, samples.failed(samples.SHA256_TEST, "no"))
    rules = load_expectations(None, [f"{samples.SHA256_TEST}=failed"])
    run = samples.run(bad, expectations=rules)
    assert compared(tmp_path, samples.run(WHOLE), run) == 0
