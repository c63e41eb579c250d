"""kcidb.json as KCIDB's own library takes it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from kcidb_io.schema import V5_3

from harness.model import KernelIdentity, Outcome, RunResult
from harness.report.options import ReportOptions
from harness.report.render import pieces
from tests.stored_runs import stored_run
from tests.unit import samples
from tests.unit.report.test_junit import RUNS


def told(result: RunResult, options: ReportOptions | None = None) -> Any:
    """The report; what the library refuses fails the test."""
    report = json.loads("".join(pieces(result, "kcidb", options)))
    V5_3.validate(report)
    assert report["version"] == {"major": 5, "minor": 3}
    checkouts = {one["id"] for one in report["checkouts"]}
    builds = {one["id"] for one in report["builds"]}
    assert {one["checkout_id"] for one in report["builds"]} == checkouts
    assert {one["build_id"] for one in report["tests"]} == builds
    tests = [one["id"] for one in report["tests"]]
    assert len(tests) == len(set(tests))
    return report


def statuses(report: Any) -> dict[str, str]:
    return {one["path"]: one["status"] for one in report["tests"]}


def test_real_kernels() -> None:
    # Two of twelve: the library takes seconds for all.
    run = stored_run()
    kernels = tuple(one for one in run.kernels if one.release.startswith(("6.12.95", "6.12.96")))
    report = told(replace(run, kernels=kernels))
    assert [one["git_commit_name"] for one in report["checkouts"]] == [
        "6.12.95+deb13-amd64",
        "6.12.96+deb13-amd64",
    ]
    assert {one["architecture"] for one in report["builds"]} == {"x86_64"}
    assert all(one["compiler"].startswith("x86_64-linux-gnu-gcc") for one in report["builds"])
    path = "afalg.facts.zero_copy.skcipher.splice_file"
    seen = [one["status"] for one in report["tests"] if one["path"] == path]
    assert seen == ["FAIL", "PASS"]
    counts = Counter(one["status"] for one in report["tests"])
    assert counts["PASS"] > 1900
    assert counts["SKIP"] > 400


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_went_wrong(name: str) -> None:
    told(RUNS[name], ReportOptions(url="https://ci.example/run/1"))


def test_miss_is_what_never_reported_and_error_what_could_not_run() -> None:
    missing = statuses(told(RUNS["tests missing"]))
    assert Counter(missing.values())["MISS"] == len(samples.PLAN) - 5
    assert statuses(told(RUNS["unavailable"])) == {"afalg.boot": "ERROR"}
    error = replace(samples.failed(samples.SHA256_TEST, "no fixture"), outcome=Outcome.ERROR)
    found = statuses(told(samples.run(samples.with_test(samples.new(), error))))
    assert found["afalg.functional.test_hash.test_sha256"] == "ERROR"
    assert found["afalg.functional.test_hash.test_sha1"] == "PASS"


def test_kernel_is_the_same_in_every_run_of_it() -> None:
    commit = "ffdd2bc37895" + "0" * 28
    kernel = replace(samples.new(), kernel=KernelIdentity(build_id="ab12", commit=commit))
    first = told(samples.run(kernel))
    again = told(replace(samples.run(kernel), id="another"))
    assert first["builds"] == again["builds"]
    assert first["checkouts"][0]["git_commit_hash"] == commit
    assert {one["id"] for one in first["tests"]}.isdisjoint(one["id"] for one in again["tests"])
