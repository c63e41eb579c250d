"""The recipes for GitLab, Buildkite and Jenkins: each job's shell, run in a clean directory."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.github_runner import load
from tests.recipes import AFTER, BEFORE, CI, Checkout, machine, make_checkout, store

GITLAB, BUILDKITE = CI / "gitlab/afalg-check.yml", CI / "buildkite/pipeline.yml"
JENKINS = CI / "jenkins/Jenkinsfile"
PAGE = CI.parent / "docs/ci.md"


@dataclass(frozen=True)
class Recipe:
    """What a server starts, and with which variables of the recipe's."""

    argv: tuple[str, ...]
    script: str
    variables: Mapping[str, str]


def gitlab() -> Recipe:
    """As the runner's generated script: one bash for all lines, which ends at the first fault."""
    job: dict[str, Any] = load(GITLAB)[".afalg-check"]
    script = "set -eo pipefail\n" + "\n".join(job["script"])
    return Recipe(("bash", "-c"), script, job["variables"])


def buildkite() -> Recipe:
    """As the agent does, after the upload has made one dollar of two."""
    pipeline = load(BUILDKITE)
    (step,) = pipeline["steps"]
    assert not re.search(r"(?<!\$)\$(?!\$)", step["command"]), "it would be filled in too early"
    script = step["command"].replace("$$", "$")
    return Recipe(("/bin/bash", "-e", "-c"), script, pipeline["env"])


def jenkins() -> Recipe:
    """As the step ``sh`` does; Groovy fills in nothing between three single quotes."""
    text = JENKINS.read_text()
    (script,) = re.findall(r"script: '''(.*?)'''", text, re.DOTALL)
    variables = dict(re.findall(r"^ +(AFALG_\w+) = '(.*?)'", text, re.MULTILINE))
    return Recipe(("sh", "-xe", "-c"), script, variables)


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "gitlab": gitlab,
    "buildkite": buildkite,
    "jenkins": jenkins,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository of the harness to clone, whose runs are stored ones."""
    made = make_checkout(tmp_path)
    for words in (
        ("init", "-q", "-b", "main"),
        ("add", "--force", "."),
        ("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "all"),
    ):
        subprocess.run(["git", *words], cwd=made.top, check=True)
    return made


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """An empty directory, in which a job begins."""
    place = tmp_path / "job"
    place.mkdir()
    return place


def run(
    recipe: Recipe, checkout: Checkout, job: Path, **told: str
) -> subprocess.CompletedProcess[str]:
    # Servers fill in their own variables in those of a job.
    variables = {
        name: str(value).replace("$CI_PROJECT_DIR", str(job))
        for name, value in recipe.variables.items()
    }
    told = {"AFALG_HARNESS_URL": str(checkout.top), **told}
    return subprocess.run(
        [*recipe.argv, recipe.script],
        cwd=job,
        env=machine(**checkout.environment(), **variables) | told,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_job(name: str, checkout: Checkout, job: Path, tmp_path: Path) -> None:
    stored = {"STORED": str(store(tmp_path / "stored", BEFORE)), "RUN_EXIT": "1"}
    ended = run(RECIPES[name](), checkout, job, AFALG_KERNELS=f"debian:{BEFORE}", **stored)
    assert ended.returncode == 1, ended.stderr
    assert checkout.set_up == ["--runtime"]
    assert checkout.started[:4] == ["run", "--out=afalg-run", "--", f"debian:{BEFORE}"]
    assert {"junit.xml", "summary.md"} < {path.name for path in (job / "afalg-run").iterdir()}
    assert "zero-copy present on 33 of 33 paths" in (job / "afalg-run/junit.xml").read_text()

    good = {"STORED": str(store(tmp_path / "good", AFTER)), "RUN_EXIT": "0"}
    again = run(RECIPES[name](), checkout, job, AFALG_KERNELS=f"debian:{AFTER}", **good)
    assert again.returncode == 0, "a workspace is used again"


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "told", [{"RUN_EXIT": "3"}, {"SETUP_EXIT": "100"}, {"AFALG_HARNESS_URL": "/nowhere"}], ids=str
)
def test_infrastructure_is_3(
    told: dict[str, str], name: str, checkout: Checkout, job: Path
) -> None:
    ended = run(RECIPES[name](), checkout, job, AFALG_KERNELS="host", **told)
    assert ended.returncode == 3, ended.stderr


def test_3_is_no_regression() -> None:
    assert load(GITLAB)[".afalg-check"]["allow_failure"] == {"exit_codes": 3}
    (step,) = load(BUILDKITE)["steps"]
    assert step["soft_fail"] == [{"exit_status": 3}]
    assert re.search(r"code == 3\) \{\s+unstable\(", JENKINS.read_text())


def test_what_servers_read_is_where_the_run_is() -> None:
    job = load(GITLAB)[".afalg-check"]
    out = job["variables"]["AFALG_OUT"]
    assert job["artifacts"]["reports"]["junit"] == [f"{out}/junit.xml", f"{out}/*/junit.xml"]
    assert job["artifacts"]["paths"] == [f"{out}/"]
    pipeline = load(BUILDKITE)
    out = pipeline["env"]["AFALG_OUT"]
    assert pipeline["steps"][0]["artifact_paths"] == [f"{out}/**/*"]
    out = jenkins().variables["AFALG_OUT"]
    assert f"junit testResults: '{out}/junit.xml'" in JENKINS.read_text()
    assert f"artifacts: '{out}/**'" in JENKINS.read_text()


def test_gitlab_shares_the_work_among_parallel_jobs(checkout: Checkout, job: Path) -> None:
    nodes = {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "3"}
    run(gitlab(), checkout, job, AFALG_KERNELS="host", **nodes)
    assert checkout.started[:3] == ["run", "--out=afalg-run/2", "--shard=2/3"]


def _taken_by(schema: str, *paths: Path) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    checked = subprocess.run([*check, *paths], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("schema", "path"), [("vendor.gitlab-ci", GITLAB), ("vendor.buildkite", BUILDKITE)]
)
def test_it_is_what_the_server_takes(schema: str, path: Path) -> None:
    _taken_by(schema, path)


def test_the_examples_are_what_the_servers_take(tmp_path: Path) -> None:
    examples: dict[str, list[Path]] = {"jobs": [], "include": [], "discover": []}
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)):
        path = tmp_path / f"{number}.yml"
        path.write_text(text)
        (kind,) = set(examples) & set(load(path))
        examples[kind].append(path)
    assert {kind: len(paths) for kind, paths in examples.items()} == {
        **{"jobs": 2, "include": 2},
        "discover": 1,  # tmt's, which has no schema of its own for a part of a plan
    }
    _taken_by("vendor.github-workflows", *examples["jobs"])
    _taken_by("vendor.gitlab-ci", *examples["include"])


def test_examples_give_the_action_inputs_that_it_has() -> None:
    inputs = set(load(CI / "github/action.yml")["inputs"])
    given: set[str] = set()
    for text in re.findall(r"```yaml\n(name:.*?)```", PAGE.read_text(), re.DOTALL):
        jobs = YAML(typ="safe", pure=True).load(text)["jobs"].values()
        steps = [step for job in jobs for step in job["steps"]]
        ours = [step for step in steps if step["uses"].startswith("OWNER/")]
        given |= {name for step in ours for name in step["with"]}
    assert {"packages", "kernels", "merge"} <= given <= inputs


def test_the_page_names_every_variable_and_input() -> None:
    page = PAGE.read_text()
    script = (CI / "check-kernels.sh").read_text()
    variables = set(re.findall(r"^#   (AFALG_\w+)", script, re.MULTILINE))
    assert len(variables) > 10
    action = load(CI / "github/action.yml")
    inputs = {f"`{name}`" for name in action["inputs"]}
    assert not {name for name in {*variables, *inputs} if name not in page}
