"""Bisects over Debian's real kernels, whose answers are known.

Between ends far apart: ci/debian_bisects.py.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import documented
from tests.vm.conftest import AFTER, BEFORE, COMMAND

FACT = "zero_copy.skcipher.splice_file"


@dataclass(frozen=True)
class Ended:
    """One bisect that ended."""

    code: int
    stdout: str
    stderr: str
    steps: list[dict[str, Any]]
    candidates: int


def bisect(out: Path, *arguments: str) -> Ended:
    done = subprocess.run(
        [COMMAND, *arguments, "--out", out],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert (out / "bisect.json").exists(), done.stderr
    steps = json.loads((out / "bisect.json").read_text())["steps"]
    head = next(line for line in done.stderr.splitlines() if " kernels, from " in line)
    return Ended(done.returncode, done.stdout, done.stderr, steps, int(head.split()[1]))


def within_bound(ended: Ended) -> bool:
    boots = sum(len(step["runs"]) for step in ended.steps)
    return 2 <= boots <= math.ceil(math.log2(ended.candidates)) + 2


def test_the_first_kernel_of_trixie_that_copies(tmp_path: Path) -> None:
    ended = bisect(tmp_path / "a", *documented.arguments("bisect --old debian:6.12.94"))
    assert ended.code == 0, ended.stderr
    assert f"first new kernel: {AFTER}\nlast old kernel: {BEFORE}" in ended.stdout
    assert ended.candidates >= 4
    assert within_bound(ended)
    assert "crypto: af_alg - Remove zero-copy support from skcipher and aead" in ended.stdout
    report = (tmp_path / "a/bisect.md").read_text()
    for step in ended.steps:
        assert step["spec"] in report
        for run in step["runs"]:
            assert (tmp_path / "a" / run / "results.json").is_file()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git tree whose commits each name one kernel in the file ``kernel``."""
    path = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", path], check=True)
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    # Of the first and the last git asks nothing.
    for number, kernel in enumerate(("debian:old", BEFORE, "debian:7.99-amd64", AFTER, "new")):
        (path / "kernel").write_text(f"{kernel}\n")
        for words in (["add", "."], ["commit", "-qm", kernel], ["tag", f"v{number}"]):
            subprocess.run(["git", *identity, *words], cwd=path, check=True)
    return path


def test_a_step_of_git_bisect_run(tree: Path, tmp_path: Path) -> None:
    """git bisect run drives bisect-step; a kernel that cannot be had is skipped."""
    step = shlex.join([str(COMMAND), *documented.arguments("git bisect run"), "--out"])
    log = tmp_path / "codes"
    script = (
        f'{step} {shlex.quote(str(tmp_path / "step"))} "$(cat kernel)"; code=$?\n'
        f'echo "$(cat kernel) $code" >> {shlex.quote(str(log))}; exit $code'
    )
    subprocess.run(["git", "bisect", "start", "v4", "v0"], cwd=tree, check=True)
    done = subprocess.run(
        ["git", "bisect", "run", "sh", "-c", script],
        cwd=tree,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    codes = dict(line.split() for line in log.read_text().splitlines())
    assert codes == {BEFORE: "0", "debian:7.99-amd64": "125", AFTER: "1"}, done.stderr
    # 7.99 does not exist, so that it, or the one after it, was the first.
    assert "There are only 'skip'ped commits left to test." in done.stdout, done.stderr
    named = {
        subprocess.run(
            ["git", "rev-parse", f"v{number}"],
            cwd=tree,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for number in (2, 3)
    }
    assert all(commit in done.stdout for commit in named)
    assert "cannot be tested" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--command", "sh -c 'uname -r | grep -q 6.12.96'", AFTER], 0),
        (["--command", "sh -c 'echo c > /proc/sysrq-trigger'", AFTER], 1),  # it panics
        (["--check", "software_only", AFTER], 128),
        (["--check", FACT, "--mirror", "http://localhost:9/debian", "debian:sid"], 129),
    ],
)
def test_exit_codes_of_a_step(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "bisect-step", *arguments, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
