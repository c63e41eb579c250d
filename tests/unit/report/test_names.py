"""No two kernels go by one name in a report, and what is not known is called unknown."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from harness.judge.conclude import conclude
from harness.judge.expectations import Expectations
from harness.model import (
    Boot,
    ConsoleEvent,
    ConsoleWatch,
    KernelResult,
    Role,
    RunResult,
    Status,
    Verdict,
)
from harness.report.overview import distinct_name, name_of, notes, side_names
from harness.report.render import write
from harness.report.summary import summary_lines
from harness.report.terminal import print_details
from tests.unit import samples

DEBUG = ("slub_debug=FZPU",)


def _printed(result: RunResult) -> str:
    file = io.StringIO()
    console = Console(file=file, width=200)
    print_details(result, console)
    return file.getvalue()


def _summary(result: RunResult) -> str:
    return "\n".join(summary_lines(result))


def _suites(result: RunResult, path: Path) -> list[ElementTree.Element]:
    write(result, "junit", path / "junit.xml")
    return list(ElementTree.parse(path / "junit.xml").getroot())


def _compared(baseline: KernelResult, *candidates: KernelResult) -> RunResult:
    """As ``compare`` puts kernels of two runs together."""
    kernels = (replace(baseline, role=Role.BASELINE), *candidates)
    run = replace(samples.main_job(), kernels=kernels, comparisons=())
    return conclude(run, Expectations(), None, same_run=False)


def test_arguments_are_part_of_the_name() -> None:
    kernel = replace(samples.new(), append=(*DEBUG, "quiet loglevel=0"))
    assert name_of(kernel) == f"{samples.NEW} [slub_debug=FZPU, quiet, loglevel=0]"


def test_arguments_that_had_no_effect_are_not_said_to_be_added() -> None:
    kernel = replace(
        samples.new(), append=("fips=1 quiet",), ignored_arguments=("fips=1", "nonce=1")
    )
    assert name_of(kernel) == f"{samples.NEW} [fips=1 (no effect), quiet]"
    assert "kernel arguments added: quiet" in notes(kernel)
    alone = replace(kernel, append=("fips=1",))
    assert not any(note.startswith("kernel arguments added") for note in notes(alone))


def test_kernels_that_differ_in_arguments_only(tmp_path: Path) -> None:
    plain, debug = samples.new(), replace(samples.regressed(), append=DEBUG)
    debug = replace(debug, release=plain.release, spec=plain.spec)
    result = _compared(plain, debug)
    names = (plain.release, f"{plain.release} [slub_debug=FZPU]")
    assert side_names(result.comparisons[0], result.kernels) == names
    assert f"changes from {names[0]} to {names[1]}" in _printed(result)
    assert f"{names[1]} is not ok:" in _printed(result)
    assert f"tests on {names[1]}\n" in _printed(result)
    escaped = names[1].replace("[", r"\[").replace("]", r"\]")
    assert f"| {escaped} | **NOT OK** |" in _summary(result)
    assert f"|  | {names[0]} | {escaped} |" in _summary(result)
    assert [suite.get("name") for suite in _suites(result, tmp_path)] == list(names)


@pytest.mark.parametrize(
    ("specs", "told"),
    [(("./a", "./b"), ("./a", "./b")), (("./a", "./a"), ("baseline", "candidate"))],
)
def test_kernels_of_one_release(specs: tuple[str, str], told: tuple[str, str]) -> None:
    first, second = (replace(samples.new(), spec=spec) for spec in specs)
    result = _compared(first, second)
    names = tuple(f"{samples.NEW} ({word})" for word in told)
    assert tuple(distinct_name(kernel, result.kernels) for kernel in result.kernels) == names
    assert side_names(result.comparisons[0], result.kernels) == names
    assert f"no changes from {names[0]} to {names[1]}" in _printed(result)


def test_each_comparison_finds_its_candidate_by_its_arguments() -> None:
    plain = samples.new()
    debug = replace(plain, append=DEBUG)
    result = _compared(plain, plain, debug)
    names = [side_names(comparison, result.kernels)[1] for comparison in result.comparisons]
    assert names == [f"{plain.release} (candidate)", f"{plain.release} [slub_debug=FZPU]"]


def _unknown(role: Role = Role.CANDIDATE) -> KernelResult:
    return replace(samples.new(), role=role, console_watch=ConsoleWatch(5, 0, kernel_log=False))


def test_an_unknown_verdict_is_called_so(tmp_path: Path) -> None:
    result = samples.run(samples.old(), _unknown())
    assert result.kernels[1].verdict.unknown
    assert f"{samples.NEW} is unknown:" in _printed(result)
    assert f"| {samples.NEW} | **UNKNOWN** |" in _summary(result)
    suite = _suites(result, tmp_path)[1]
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["verdict"] == "unknown"
    assert [*suite.iter("failure")] == []
    assert [one.get("type") for one in suite.iter("error")] == ["unknown"]


def test_an_unknown_baseline_is_called_so() -> None:
    result = samples.run(_unknown(Role.BASELINE), samples.kernel("7.4.0"))
    assert f"{samples.NEW}, the baseline, is unknown (does not count):" in _printed(result)
    assert f"| {samples.NEW} | **UNKNOWN** |" in _summary(result)


def test_a_void_watch_is_in_the_summary() -> None:
    result = samples.run(_unknown())
    assert "| console watch | void: 0 of 5 lines seen |" in _summary(result)
    watched = replace(samples.new(), console_watch=ConsoleWatch(5, 5, kernel_log=True))
    assert "console watch" not in _summary(samples.run(watched))


def test_both_boots_are_in_the_summary() -> None:
    panic = ConsoleEvent("panic", "Kernel panic - not syncing: x", 1.5, lines=("Call Trace:",))
    boots = (
        Boot(Status.BOOT_FAILED, panic.title, "kvm", console_events=(panic,)),
        Boot(Status.COMPLETED, accel="kvm", number=2),
    )
    text = _summary(samples.run(replace(samples.new(), boots=boots)))
    assert "| boots | **1 boot failed, 1 completed** |" in text
    assert f"- boot 1 of 2 (all that was selected): boot failed: {panic.title}\n" in text
    assert f"panic: {panic.title}\n\n  ~~~~\n  Call Trace:" in text


def test_a_fault_of_ours_is_told_where_the_changes_would_be(
    monkeypatch: pytest.MonkeyPatch, details: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("zip() argument 2 is shorter")

    monkeypatch.setattr("harness.judge.conclude.compare", fail)
    result = _compared(samples.old(), samples.new())
    assert result.exit_code == 3
    for text in (_printed(result), _summary(result)):
        assert "ompared: the harness failed: ValueError: zip() argument 2 is shorter; a" in text
        assert "no changes" not in text
    assert all("in fail" in log.read_text() for log in details.iterdir())


def test_names_drive_no_terminal(tmp_path: Path) -> None:
    kernel = replace(samples.new(), release="", spec="./a\x1b[31m\ud800b", append=("x\x1b",))
    kernel = replace(
        kernel,
        facts=replace(kernel.facts, other={"o\x00": kernel.facts.named()["page_cache_write"]}),
    )
    result = samples.run(replace(kernel, verdict=Verdict(True)))
    assert "\x1b" not in _printed(result)
    assert "\x1b" not in _summary(result)
    _suites(result, tmp_path)
