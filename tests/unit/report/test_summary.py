"""summary.md and the dispatch of formats."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from harness.errors import InputError
from harness.model import CodeWord, Control, Fact, KernelResult, Role, RunResult, State
from harness.report import results_file
from harness.report.formats import PURPOSES, SYNONYMS
from harness.report.options import ReportOptions
from harness.report.render import FORMATS, render
from harness.report.summary import summary_lines
from tests.stored_runs import stored_run
from tests.unit import samples


def summary(result: RunResult) -> str:
    return "\n".join(summary_lines(result))


def tables(text: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_main_job() -> None:
    text = summary(samples.main_job())
    lines = text.splitlines()
    assert lines[0] == (
        f"# AF_ALG: {samples.NEW} is OK, against {samples.OLD}: zero-copy none seen, nothing lost"
    )
    assert lines[2].startswith("Exit code 0: ")
    assert f"| {samples.NEW} | OK | none seen (12 of 12 copied) | safe |" in text
    assert f"| {samples.OLD} | baseline | present (0 of 12 copied) | WRITABLE |" in text
    assert "| fixed | page_cache_write: Copy Fail" in text
    assert "outside the signed index" in text
    assert re.search(r"^- \d tests? skipped: .*stdrng", text, re.MULTILINE)
    assert "## Why" not in text


def test_who_vouches_for_a_state() -> None:
    new = samples.with_code(samples.new(), CodeWord.CANNOT)
    text = summary(samples.run(samples.old(), new))
    row = next(line for line in text.splitlines() if line.startswith("| skcipher.splice_file"))
    assert row.endswith(" | **present** | absent p-c |")
    assert "Who saw a path's state: p a probe" in text


def test_failures_and_console_are_there() -> None:
    text = summary(samples.run(samples.old(), samples.regressed(), samples.crashed()))
    assert "| 7.4.0-rc1-amd64 | **NOT OK** | present (0 of 12 copied) |" in text
    assert "- **zero-copy present on 12 of 12 paths**: 7.4.0-rc1-amd64" in text
    assert f"**failed** `{samples.SHA256_TEST}`: expected e3b0c442, saw 00000000" in text
    assert "E   expected e3b0c442, saw 00000000" in text
    assert "| **regressed** |" in text
    assert f"kasan: {samples.KASAN.replace('[', chr(92) + '[').replace(']', chr(92) + ']')}" in text
    assert "Read of size 8" in text


def test_nothing_known_is_no_verdict() -> None:
    text = summary(samples.run(samples.old(), samples.unavailable()))
    assert "| debian:6.19.6+deb13-amd64 | **UNKNOWN** |" in text
    assert "not in the archive any more" in text
    assert "not compared: debian:6.19.6+deb13-amd64 unavailable" in text


def test_labels_stand_for_the_kernels() -> None:
    options = ReportOptions(labels={samples.NEW: "head", samples.OLD: "stable"})
    lines = list(summary_lines(samples.main_job(), options))
    assert any(line.startswith("| head | OK |") for line in lines)
    assert any("changes from stable" in line for line in lines)


def checked(text: str) -> str:
    """The summary as GitHub shows it; whatever is out of shape fails the test."""
    assert len(text.encode()) <= 60_000
    assert text.count("<details>") == text.count("</details>")
    for table in tables(text):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1, table
    return str(MarkdownIt("gfm-like", {"linkify": False}).render(text))


def test_real_kernels_in_one_comment() -> None:
    text = summary(stored_run())
    page = checked(text)
    assert page.startswith("<h1>AF_ALG: of 11 candidates 5 are OK, 6 are NOT OK</h1>")
    assert page.count("zero-copy present on 33 of 33 paths") <= 6 + 1
    # No two rows or items say the same.
    answer = text.partition(": failures, boots")[0]
    told = [line for line in answer.splitlines() if line.startswith(("| 6", "- **"))]
    assert len(told) == len(set(told))
    assert "Left out here for their size" in text.splitlines()[-1]


def test_eighty_kernels_in_one_comment() -> None:
    run = stored_run()
    many = tuple(
        replace(kernel, release=f"{kernel.release}-{number}", role=Role.CANDIDATE)
        for number in range(7)
        for kernel in run.kernels
    )
    text = summary(replace(run, kernels=many, comparisons=()))
    page = checked(text)
    assert page.count("<tr>") > 80


def test_odd_text_does_not_break_the_tables() -> None:
    odd = samples.failed("functional/x.py::t[a|b`c]", "a | b\n| c | `d` <img> **e**")
    kernel = samples.new()
    kernel = replace(kernel, plan=(*kernel.plan, odd.id), tests=(*kernel.tests, odd))
    baseline = samples.old()
    passed = samples.results([odd.id])
    baseline = replace(baseline, plan=(*baseline.plan, odd.id), tests=(*baseline.tests, *passed))
    for table in tables(summary(samples.run(baseline, kernel))):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(columns) == 1, table


def test_render_writes_what_was_asked_for(tmp_path: Path) -> None:
    result = samples.main_job()
    written = render(result, tmp_path, ("json", "junit", "md", "summary"))
    assert [path.name for path in written] == [
        "results.json",
        "junit.xml",
        "summary.md",
        "summary.md",
    ]
    assert all(path.stat().st_size > 500 for path in written)
    # Everything is made from results.json alone.
    again = tmp_path / "again"
    again.mkdir()
    render(results_file.load(tmp_path), again, tuple(FORMATS))
    for path in written:
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pdf: no such report format; there are .*junit"):
        render(samples.main_job(), tmp_path, ("pdf",))


def test_states_are_explained() -> None:
    text = summary(samples.main_job())
    assert re.search(r"^\| skcipher.* \| present \| input shares ", text, re.MULTILINE)
    assert re.search(r"^\| skcipher.* \| absent \| input is copied", text, re.MULTILINE)


def test_programs_have_rows_of_their_own() -> None:
    def with_program(kernel: KernelResult, state: State) -> KernelResult:
        fact = {"consumers.kcapi_rng.stdrng.root": Fact(state, Control.FIRED)}
        return replace(kernel, facts=replace(kernel.facts, other=fact))

    result = samples.run(
        with_program(samples.old(), State.WORKS), with_program(samples.new(), State.FAILS)
    )
    row = next(line for line in summary(result).splitlines() if line.startswith("| consumers"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert "consumers.kcapi" in cells[0]
    assert cells[1:] == ["works", "fails"]


def test_help_knows_every_format() -> None:
    assert [*PURPOSES] == [*FORMATS]
    assert {*SYNONYMS.values()} <= {*FORMATS}
