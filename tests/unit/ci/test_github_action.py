"""The action in ``ci/github``: its steps run as GitHub's runner would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.github_runner import Annotation, Job, load, read_annotations, run_action
from tests.recipes import AFTER, BEFORE, CI, Checkout, machine, make_checkout, store

_ACTION = CI / "github/action.yml"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """What GitHub fetches for ``uses: OWNER/afalg-harness/ci/github@TAG``."""
    return make_checkout(tmp_path)


def run(checkout: Checkout, tmp_path: Path, *, hit: bool = False, **told: str) -> Job:
    """The action in a clean workspace: words in capitals are the stubs', others are inputs."""
    workspace = tmp_path / "work space"
    workspace.mkdir(parents=True)
    settings = {name: value for name, value in told.items() if name.isupper()}
    inputs = {name: value for name, value in told.items() if name.islower()}
    environment = machine(**checkout.environment(**settings))
    place = checkout.top / "ci/github"
    return run_action(place, workspace, inputs, environment=environment, cache_hit=hit)


def test_it_is_what_github_takes_for_an_action() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]
    checked = subprocess.run([*check, _ACTION], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_inputs_never_become_shell_text() -> None:
    steps = load(_ACTION)["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) >= 4
    assert not [script for script in scripts if "${{" in script]


def test_a_kernel_with_zero_copy_fails_and_its_paths_are_named(
    checkout: Checkout, tmp_path: Path
) -> None:
    stored = store(tmp_path / "stored", BEFORE)
    job = run(checkout, tmp_path, STORED=str(stored), RUN_EXIT="1", kernels=f"debian:{BEFORE}")
    assert job.code == 1
    assert job.outputs == {"exit-code": "1", "outcome": "regression"}
    error = next(one for one in job.annotations if one.title == f"AF_ALG on {BEFORE}: zero_copy")
    assert error.level == "error"
    sentence, names, *_ = error.text.splitlines()
    assert sentence == "zero-copy present on 33 of 33 paths"
    assert {"skcipher.splice_file", "skcipher.vmsplice", "aead.sendfile"} < set(names.split(", "))
    assert BEFORE in job.summary
    assert "zero-copy" in job.summary


def test_a_good_kernel_passes(checkout: Checkout, tmp_path: Path) -> None:
    stored = store(tmp_path / "stored", AFTER)
    job = run(checkout, tmp_path, STORED=str(stored), kernels=f"debian:{AFTER}", mirror="copy:/m")
    assert job.code == 0
    assert job.outputs == {"exit-code": "0", "outcome": "passed"}
    assert [one.level for one in job.annotations] == ["notice"]
    assert AFTER in job.summary
    ran = [step.name for step in job.steps]
    assert ran == [
        *("Set up", "Name the cache", "Fetch the cache", "Test the kernels", "Keep the run"),
        *("Trim the cache", "Keep the cache"),
    ]
    assert checkout.set_up == ["--runtime"]
    run_dir = tmp_path / "work space" / job.step("Keep the run").inputs["path"]
    assert {"junit.xml", "summary.md", "annotations.txt"} < {
        path.name for path in run_dir.iterdir()
    }
    fetched, kept = job.step("Fetch the cache").inputs, job.step("Keep the cache").inputs
    assert kept == {name: fetched[name] for name in ("path", "key")}
    assert fetched["key"].startswith(fetched["restore-keys"])


def test_infrastructure_is_named(checkout: Checkout, tmp_path: Path) -> None:
    job = run(checkout, tmp_path, RUN_EXIT="3", kernels="debian:trixie")
    assert (job.code, job.outputs["outcome"]) == (3, "infrastructure")
    (warning,) = job.annotations
    assert (warning.level, warning.title) == ("warning", "AF_ALG: infrastructure")
    assert "Keep the run" in [step.name for step in job.steps]


def test_a_machine_that_cannot_be_set_up_is_infrastructure(
    checkout: Checkout, tmp_path: Path
) -> None:
    job = run(checkout, tmp_path, SETUP_EXIT="100", kernels="debian:trixie")
    assert job.code == 3
    assert [one.title for one in job.annotations] == ["AF_ALG: infrastructure"]
    assert [step.name for step in job.steps] == ["Set up", "Keep the run"]
    assert "run" not in checkout.started


def test_a_job_without_kernels_is_wrong(checkout: Checkout, tmp_path: Path) -> None:
    job = run(checkout, tmp_path)
    assert (job.code, job.outputs["outcome"]) == (2, "usage")
    assert [one.level for one in job.annotations] == ["error"]


def test_what_was_in_the_cache_is_not_kept_again(checkout: Checkout, tmp_path: Path) -> None:
    job = run(checkout, tmp_path, hit=True, kernels="host", setup="false", artifact="")
    assert [step.name for step in job.steps] == [
        *("Name the cache", "Fetch the cache", "Test the kernels"),
    ]


def test_without_a_cache(checkout: Checkout, tmp_path: Path) -> None:
    job = run(checkout, tmp_path, kernels="host", cache="false")
    assert [step.name for step in job.steps] == ["Set up", "Test the kernels", "Keep the run"]


def test_other_kernels_have_another_cache(checkout: Checkout, tmp_path: Path) -> None:
    keys = set()
    for number, kernels in enumerate(("host", "host", "debian:sid")):
        job = run(checkout, tmp_path / str(number), kernels=kernels)
        keys.add(job.step("Fetch the cache").inputs["key"])
    assert len(keys) == 2


def test_what_a_kernel_says_is_no_command(checkout: Checkout, tmp_path: Path) -> None:
    job = run(checkout, tmp_path, kernels="host")
    assert "::error::said by a kernel" in job.step("Test the kernels").output
    assert job.annotations == []


def test_annotations_are_read_as_github_reads_them() -> None:
    lines = ("::stop-commands::x", "::error::no", "::x::", "::error title=a%3A b,file=c::%25d%0Ae")
    assert read_annotations("\n".join(lines)) == [Annotation("error", "a: b", "%d\ne")]
