"""GitHub's action on real kernels: one that is still zero-copy fails, the next one passes."""

from __future__ import annotations

from pathlib import Path

from harness.model import Outcome
from harness.report import results_file
from tests.github_runner import Job, run_action
from tests.recipes import CI, machine

from .conftest import AFTER, BEFORE


def _run(kernel: str, tmp_path: Path) -> Job:
    """The action in a clean workspace on a machine that is set up."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    inputs = {
        "kernels": kernel,
        "suites": "zero_copy/test_input.py",
        "arguments": "-k\nsplice_file or sendfile or vmsplice",
        "setup": "false",
        "cache": "false",
    }
    return run_action(CI / "github", workspace, inputs, environment=machine())


def test_a_kernel_with_zero_copy_fails_and_its_paths_are_named(tmp_path: Path) -> None:
    job = _run(BEFORE, tmp_path)
    assert job.outputs == {"exit-code": "1", "outcome": "regression"}, job.steps
    assert job.code == 1
    errors = [one for one in job.annotations if one.level == "error"]
    (zero_copy,) = [one for one in errors if one.title.endswith(": zero_copy")]
    assert "6.12.95" in zero_copy.title
    sentence, names, *_ = zero_copy.text.splitlines()
    assert sentence.startswith("zero-copy present on ")
    paths = {
        f"{kind}.{way}"
        for kind in ("skcipher", "aead", "aead_aad")
        for way in ("splice_file", "sendfile", "vmsplice")
    }
    assert paths <= set(names.split(", "))
    assert "zero-copy present on " in job.summary


def test_a_kernel_without_passes(tmp_path: Path) -> None:
    job = _run(AFTER, tmp_path)
    assert job.outputs == {"exit-code": "0", "outcome": "passed"}, job.steps
    assert job.code == 0
    assert [one.level for one in job.annotations] == ["notice"]
    assert "6.12.96" in job.summary
    run = tmp_path / "workspace" / job.step("Keep the run").inputs["path"]
    (kernel,) = results_file.load(run).kernels
    assert kernel.identity is not None
    assert {test.outcome for test in kernel.tests} == {Outcome.PASSED}
    assert {"junit.xml", "report.html", "results.json"} < {path.name for path in run.iterdir()}
