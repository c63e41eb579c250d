"""junit.xml as its readers see it: red exactly when the run fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from junit2htmlreport.parser import Junit
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from lxml import etree

from harness.judge.expectations import load_expectations
from harness.model import CodeWord, Role, RunResult
from harness.report.answer import answers
from harness.report.options import ReportOptions
from harness.report.render import write
from tests.stored_runs import DATA, stored_run
from tests.unit import samples

#: Of Jenkins' xunit plugin (MIT): what it refuses, no server there shows.
SCHEMA = etree.XMLSchema(etree.parse(DATA / "junit-10.xsd"))


def suites(
    result: RunResult, tmp_path: Path, options: ReportOptions | None = None
) -> list[TestSuite]:
    path = tmp_path / "junit.xml"
    write(result, "junit", path, options)
    SCHEMA.assertValid(etree.parse(path))
    return list(JUnitXml.fromfile(str(path)))


def case(suite: TestSuite, name: str, classname: str = "") -> TestCase:
    found = [
        one for one in suite if one.name == name and (not classname or one.classname == classname)
    ]
    assert len(found) == 1, (name, [one.name for one in suite])
    return found[0]


def is_red(suite: TestSuite) -> bool:
    counted = bool(suite.failures or suite.errors)
    listed = any(isinstance(kind, Failure | Error) for one in suite for kind in one.result)
    assert counted == listed
    return listed


RUNS = {
    "the code still can": samples.run(
        samples.old(), samples.with_code(samples.new(), CodeWord.CAN)
    ),
    "main job": samples.main_job(),
    "regressed": samples.run(samples.old(), samples.regressed()),
    "crashed": samples.run(samples.crashed()),
    "hung": samples.run(samples.hung()),
    "unavailable": samples.run(samples.unavailable()),
    "boot failed": samples.run(samples.boot_failed()),
    "all skipped": samples.run(samples.all_skipped()),
    "no AF_ALG": samples.run(samples.no_af_alg()),
    "tests missing": samples.run(replace(samples.new(), tests=samples.results()[:5])),
    "nothing planned": samples.run(replace(samples.new(), plan=(), tests=())),
    "collection error": samples.run(replace(samples.new(), collection_errors=("x.py: boom",))),
    "skipped without a reason": samples.run(
        samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, ""))
    ),
    "taint unknown": samples.run(replace(samples.new(), taint=None)),
    "lost, each side content": samples.run(
        samples.old(),
        samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, "not today")),
    ),
    "baseline did not boot": samples.run(
        replace(samples.boot_failed(), role=Role.BASELINE), samples.new()
    ),
    "baseline crashed": samples.run(replace(samples.crashed(), role=Role.BASELINE), samples.new()),
}


@pytest.mark.parametrize("name", RUNS)
def test_red_exactly_when_the_run_fails(name: str, tmp_path: Path) -> None:
    red = [is_red(suite) for suite in suites(RUNS[name], tmp_path)]
    assert any(red) == (RUNS[name].exit_code != 0)


def test_one_suite_per_kernel(tmp_path: Path) -> None:
    baseline, candidate = suites(samples.main_job(), tmp_path)
    assert (baseline.name, candidate.name) == (samples.OLD, samples.NEW)
    elements: Any = candidate
    found = {one.name: one.value for one in elements.properties()}
    assert found["zero_copy.skcipher.splice_file"] == "absent"
    assert found["page_cache_write"] == "absent"
    assert found["release"] == samples.NEW
    assert found["accel"] == "tcg"
    assert found["taint"] == "0"
    assert found["status"] == "completed"
    names = {one.name for one in candidate}
    assert {test.partition("::")[2] for test in samples.PLAN} <= names


def test_who_vouches_for_a_state(tmp_path: Path) -> None:
    kernel = samples.with_code(samples.new(), CodeWord.CANNOT)
    (suite,) = suites(samples.run(kernel), tmp_path)
    elements: Any = suite
    found = {one.name: one.value for one in elements.properties()}
    assert found["zero_copy.skcipher.splice_file"] == "absent"
    assert found["zero_copy.skcipher.splice_file witnesses"] == "p-c"
    assert "page_cache_write witnesses" not in found


def test_failure_tells_expected_and_seen(tmp_path: Path) -> None:
    _, suite = suites(RUNS["regressed"], tmp_path)
    test = case(suite, "test_sha256", f"{suite.name}.functional.test_hash")
    (failure,) = test.result
    assert isinstance(failure, Failure)
    assert failure.message == "expected e3b0c442, saw 00000000"
    assert "test_hash.py:31" in (failure.text or "")
    assert "afalg-harness run debian:7.4.0-rc1-amd64" in (test.system_out or "")
    fact = case(suite, "zero_copy", f"{suite.name}.verdict")
    assert fact.result[0].message == "zero-copy present on 12 of 12 paths"
    assert "zero_copy.skcipher.splice_file: present" in (fact.result[0].text or "")


def test_outcomes_keep_their_kind(tmp_path: Path) -> None:
    (suite,) = suites(RUNS["crashed"], tmp_path)
    fatal = case(suite, "test_skcipher[splice_file]")
    assert isinstance(fatal.result[0], Error)
    assert fatal.result[0].type == "crashed"
    assert "Kernel panic" in (fatal.result[0].text or "")
    missing = case(suite, "test_skcipher[sendfile]")
    assert isinstance(missing.result[0], Skipped | Error)
    assert "missing" in missing.result[0].message


def test_planned_test_without_a_result_is_an_error(tmp_path: Path) -> None:
    (suite,) = suites(RUNS["tests missing"], tmp_path)
    red = [one for one in suite if any(isinstance(kind, Error) for kind in one.result)]
    assert [one.result[0].type for one in red] == ["missing"]
    (last,) = case(suite, "test_authencesn_leaves_the_file_alone").result
    assert isinstance(last, Skipped)
    assert last.message.startswith("missing, of the same cause as functional/")


def test_baseline_that_did_not_boot_is_red(tmp_path: Path) -> None:
    baseline, candidate = suites(RUNS["baseline did not boot"], tmp_path)
    assert isinstance(case(baseline, "status", f"{baseline.name}.verdict").result[0], Error)
    assert not is_red(candidate)


def test_skip_has_its_reason(tmp_path: Path) -> None:
    _, suite = suites(samples.main_job(), tmp_path)
    (skip,) = case(suite, "test_stdrng").result
    assert isinstance(skip, Skipped)
    assert skip.message == "bind rng 'stdrng': ENOENT"


def test_baseline_is_shown_but_not_red(tmp_path: Path) -> None:
    suite, _ = suites(samples.main_job(), tmp_path)
    (skip,) = case(suite, "zero_copy", f"{suite.name}.verdict").result
    assert isinstance(skip, Skipped)
    assert "not judged: zero-copy present on 12 of 12 paths" in skip.message


def test_known_issue_is_skipped_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(
        f'[[expect]]\nname = "{samples.SHA256_TEST}"\nvalue = "failed"\nreason = "bug 7"\n'
    )
    kernel = samples.with_test(samples.new(), samples.failed(samples.SHA256_TEST, "bad"))
    result = samples.run(kernel, expectations=load_expectations(file, []))
    assert result.exit_code == 0
    (suite,) = suites(result, tmp_path)
    (skip,) = case(suite, "test_sha256").result
    assert isinstance(skip, Skipped)
    assert skip.message == "known, failed: bug 7"


def test_any_text_makes_valid_xml(tmp_path: Path) -> None:
    odd = samples.failed(samples.SHA256_TEST, "\x00\x1b[31m ]]> <&> \udcff \uffff é\r\n")
    (suite,) = suites(samples.run(samples.with_test(samples.new(), odd)), tmp_path)
    message = case(suite, "test_sha256").result[0].message
    assert "]]> <&>" in message
    assert "é" in message
    assert not set(message) & {"\x00", "\x1b"}


def test_one_failure_for_each_cause_of_real_kernels(tmp_path: Path) -> None:
    result = stored_run()
    found = suites(result, tmp_path)
    red = {
        suite.name: [one for one in suite if isinstance(next(iter(one.result), None), Failure)]
        for suite in found
    }
    assert {name: len(ones) for name, ones in red.items() if ones} == {
        answer.name: len(answer.gating) for answer in answers(result) if answer.gating
    }
    (zero_copy,) = red["6.12.95+deb13-amd64"]
    assert (zero_copy.name, zero_copy.result[0].message) == (
        "zero_copy",
        "zero-copy present on 33 of 33 paths",
    )
    text = zero_copy.result[0].text or ""
    assert len([line for line in text.splitlines() if line.startswith("zero_copy.")]) == 35


def test_output_only_where_it_says_something(tmp_path: Path) -> None:
    for suite in suites(RUNS["regressed"], tmp_path):
        for one in suite:
            is_bad = any(isinstance(kind, Failure | Error) for kind in one.result)
            assert bool(one.system_out) == is_bad


def test_label_is_in_every_name(tmp_path: Path) -> None:
    options = ReportOptions(labels={samples.NEW: "mainline"})
    _, suite = suites(samples.main_job(), tmp_path, options)
    assert suite.name == "mainline"
    assert all(one.classname.startswith("mainline.") for one in suite)


def test_cases_of_two_kernels_do_not_go_by_one_name(tmp_path: Path) -> None:
    every = [(one.classname, one.name) for suite in suites(stored_run(), tmp_path) for one in suite]
    assert len(every) == len(set(every)) > 12_000


def test_a_report_is_made_of_it(tmp_path: Path) -> None:
    suites(RUNS["regressed"], tmp_path)
    page = Junit(filename=str(tmp_path / "junit.xml")).html()
    assert "zero-copy present on 12 of 12 paths" in page
    assert "expected e3b0c442, saw 00000000" in page
