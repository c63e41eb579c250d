"""summary.md and the dispatch of formats."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.model import CodeWord, Control, Fact, KernelResult, RunResult, State
from harness.report import results_file
from harness.report.render import FORMATS, render
from harness.report.summary import summary_lines
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
    assert text.splitlines()[0].startswith("# AF_ALG: exit code 0")
    assert f"- **ok** {samples.NEW}" in text
    assert "| skcipher.splice_file | **present** | absent |" in text
    assert "| page_cache_write | **present** | absent |" in text
    assert "| fixed | `page_cache_write` | present | absent | Copy Fail" in text
    assert f"| intended | `{samples.STDRNG_TEST}` |" in text
    assert "outside the signed index" in text
    assert "skipped (1): bind rng 'stdrng': ENOENT" in text


def test_who_vouches_for_a_state() -> None:
    new = samples.with_code(samples.new(), CodeWord.CANNOT)
    text = summary(samples.run(samples.old(), new))
    assert "| skcipher.splice_file | **present** | absent p-c |" in text
    assert "Who saw a path's state: p a probe" in text


def test_failures_and_console_are_there() -> None:
    text = summary(samples.run(samples.old(), samples.regressed(), samples.crashed()))
    assert "- **NOT OK** 7.4.0-rc1-amd64" in text
    assert "zero_copy.skcipher.splice_file is present, expected absent" in text
    assert f"**failed** `{samples.SHA256_TEST}`: expected e3b0c442, saw 00000000" in text
    assert "E   expected e3b0c442, saw 00000000" in text
    assert f"| **regressed** | `{samples.path_test(samples.PATHS[0])}` | passed | crashed |" in text
    assert f"kasan: {samples.KASAN.replace('[', chr(92) + '[').replace(']', chr(92) + ']')}" in text
    assert "Read of size 8" in text


def test_nothing_known_is_no_verdict() -> None:
    text = summary(samples.run(samples.old(), samples.unavailable()))
    assert "- **unknown** debian:6.19.6+deb13-amd64" in text
    assert "not in the archive any more" in text
    assert "Not compared: debian:6.19.6+deb13-amd64 unavailable." in text


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


def test_every_path_is_explained() -> None:
    text = summary(samples.main_job())
    for path in samples.PATHS:
        assert re.search(rf"^\| {path} \| .* \| present \| input shares ", text, re.MULTILINE)
        assert re.search(rf"^\| {path} \| .* \| absent \| input is copied", text, re.MULTILINE)


def test_programs_have_rows_of_their_own() -> None:
    def with_program(kernel: KernelResult, state: State) -> KernelResult:
        fact = {"consumers.kcapi_rng.stdrng.root": Fact(state, Control.FIRED)}
        return replace(kernel, facts=replace(kernel.facts, other=fact))

    result = samples.run(
        with_program(samples.old(), State.WORKS), with_program(samples.new(), State.FAILS)
    )
    row = next(line for line in summary(result).splitlines() if "kcapi" in line and "|" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert "consumers.kcapi" in cells[0]
    assert cells[1:] == ["works", "fails"]
