"""report.ktap as the kernel's own kunit.py reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kunit_tool import kunit_tool

from harness.model import RunResult
from harness.report.options import ReportOptions
from harness.report.render import write
from tests.stored_runs import stored_run
from tests.unit import samples
from tests.unit.report.test_junit import RUNS


def parsed(result: RunResult, tmp_path: Path, options: ReportOptions | None = None) -> Any:
    """What kunit.py makes of it; whatever it complains of fails the test."""
    path = tmp_path / "report.ktap"
    write(result, "ktap", path, options)
    done = subprocess.run(
        [sys.executable, kunit_tool(), "parse", f"--json={tmp_path / 'out.json'}", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "[ERROR]" not in done.stdout, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    assert "Testing complete. Ran " in done.stdout
    parsed = json.loads((tmp_path / "out.json").read_text())
    assert done.returncode == int(any(status == "FAIL" for _, status in leaves(parsed)))
    return parsed


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for case in node.get("test_cases", ()):
        yield (*path, case["name"]), case["status"]
    for group in node.get("sub_groups", ()):
        yield from leaves(group, (*path, group["name"]))


def test_every_test_of_every_real_kernel_is_read(tmp_path: Path) -> None:
    result = stored_run()
    found = dict(leaves(parsed(result, tmp_path)))
    for kernel in result.kernels:
        name = (kernel.release, "functional", "test_hash", "test_known_answer[sha256]")
        assert found[name] == "PASS", name
    assert found["6.12.95+deb13-amd64", "verdict", "zero_copy"] == "FAIL"
    assert found["6.12.96+deb13-amd64", "verdict", "zero_copy"] == "PASS"
    assert found["6.12.43+deb12-amd64", "verdict", "zero_copy"] == "SKIP"  # the baseline
    assert len(found) > 12 * 1209
    failed = [path for path, status in found.items() if status == "FAIL"]
    assert len(failed) == 16


@pytest.mark.parametrize("name", RUNS)
def test_red_exactly_when_the_run_fails(name: str, tmp_path: Path) -> None:
    statuses = [status for _, status in leaves(parsed(RUNS[name], tmp_path))]
    assert ("FAIL" in statuses) == (RUNS[name].exit_code != 0)


def test_hostile_text_ends_nothing(tmp_path: Path) -> None:
    odd = "Kernel panic - not syncing: VFS: x\n# Subtest: y\nok 1 z\n1..9\nKTAP version 1 # SKIP"
    kernel = samples.with_test(samples.new(), samples.failed(samples.SHA256_TEST, odd))
    told = parsed(samples.run(kernel), tmp_path, ReportOptions(labels={"": odd}))
    found = dict(leaves(told))
    assert len({path[0] for path in found}) == 1
    plain = samples.with_test(samples.new(), samples.failed(samples.SHA256_TEST, "odd"))
    assert [path[1:] for path in found] == [
        path[1:] for path, _ in leaves(parsed(samples.run(plain), tmp_path))
    ]
