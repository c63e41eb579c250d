"""Every format of a run in which cloud and rt kernels are, as its consumer reads it.

The run is a whole one of twelve kernels, 6.1 to 7.3; what each consumer must make of a run is in
the tests of its format.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import RunResult
from harness.report.options import ReportOptions
from tests.stored_runs import FLAVOURS, stored_run
from tests.unit.report import (
    test_csv_table,
    test_github,
    test_junit,
    test_kcidb,
    test_ktap,
    test_mail,
    test_nipa,
    test_screen,
    test_summary,
)

_CLOUD = ("6.1.0-50-cloud-amd64", "7.3.4+deb13-cloud-amd64")
_RT = ("6.12.96+deb13-rt-amd64", "7.3.4+deb13-rt-amd64")
_ALL_IN_A_ROW = "of 11 candidates 7 are OK, 4 are NOT OK"


@pytest.fixture(scope="module")
def run() -> RunResult:
    """The stored run."""
    return stored_run(FLAVOURS)


def test_the_run_has_them(run: RunResult) -> None:
    releases = {kernel.release for kernel in run.kernels}
    assert len(releases) == 12
    assert releases >= {*_CLOUD, *_RT}


def test_text(run: RunResult) -> None:
    text = test_screen.printed(run)
    assert _ALL_IN_A_ROW in text
    for release in (*_CLOUD[1:], *_RT):
        assert f"OK        {release}" in text


def test_summary_of_it(run: RunResult) -> None:
    page = test_summary.checked(test_summary.summary(run))
    assert _ALL_IN_A_ROW in page
    assert all(release in page for release in (*_CLOUD, *_RT))


def test_mail_of_it(run: RunResult) -> None:
    subject, text = test_mail.read(run)
    assert subject == f"AF_ALG: {_ALL_IN_A_ROW}"
    assert all(release in text for release in (*_CLOUD, *_RT))


def test_junit_of_it(run: RunResult, tmp_path: Path) -> None:
    found = {suite.name: suite for suite in test_junit.suites(run, tmp_path)}
    assert all(not found[release].failures for release in (_CLOUD[1], *_RT))
    assert found["6.12.95+deb13-amd64"].failures == 1


def test_ktap_of_it(run: RunResult, tmp_path: Path) -> None:
    found = dict(test_ktap.leaves(test_ktap.parsed(run, tmp_path)))
    for release in (_CLOUD[1], *_RT):
        assert found[release, "verdict", "zero_copy"] == "PASS"
    assert found["7.0.13+deb13-amd64", "verdict", "zero_copy"] == "FAIL"


def test_kcidb_of_it(run: RunResult) -> None:
    # Two of twelve: the library takes seconds for all.
    kernels = tuple(kernel for kernel in run.kernels if kernel.release in {_CLOUD[1], _RT[1]})
    report = test_kcidb.told(replace(run, kernels=kernels, comparisons=()))
    assert {one["git_commit_name"] for one in report["checkouts"]} == {_CLOUD[1], _RT[1]}
    path = "afalg.facts.zero_copy.aead.sendfile"
    seen = [one["status"] for one in report["tests"] if one["path"] == path]
    assert seen == ["PASS", "PASS"]


def test_the_others(run: RunResult) -> None:
    assert len({row["kernel"] for row in test_csv_table.rows(run)}) == 12
    assert test_github.commands(run)
    assert len(test_nipa.checks(run, ReportOptions())) == 11
