"""The plan in ``ci/tmt``: tmt's own lint, and a run of it on this machine."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.github_runner import load
from tests.recipes import BEFORE, CI, machine, make_checkout, store

_TMT = Path(sys.executable).parent / "tmt"
_METADATA = ".fmf"


def _tmt(*words: str | Path, top: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_TMT, *words], cwd=top, env=machine(), capture_output=True, text=True, check=False
    )


def test_lint() -> None:
    linted = _tmt("lint", "/ci/tmt", top=CI.parent)
    assert linted.returncode == 0, linted.stdout
    lines = linted.stdout.splitlines()
    assert {"/ci/tmt/plan", "/ci/tmt/test"} <= set(lines)
    assert not [line for line in lines if line.startswith(("warn", "fail"))]


def test_a_regression_fails_the_plan(tmp_path: Path) -> None:
    """Without the step that prepares, which installs packages."""
    checkout = make_checkout(tmp_path)
    shutil.copytree(CI.parent / _METADATA, checkout.top / _METADATA)
    stored = str(store(tmp_path / "stored", BEFORE))
    told = checkout.environment(STORED=stored, RUN_EXIT="1", AFALG_KERNELS=f"debian:{BEFORE}")
    quoted = [shlex.quote(f"{name}={value}") for name, value in told.items()]
    environment = [word for item in quoted for word in ("--environment", item)]
    steps = ("discover", "provision", "--how", "local", "execute", "report")
    place = tmp_path / "plan"
    ran = _tmt("--feeling-safe", "run", "--id", place, *environment, *steps, top=checkout.top)
    assert ran.returncode == 1, ran.stderr
    (result,) = load(place / "ci/tmt/plan/execute/results.yaml")
    assert (result["name"], result["result"]) == ("/ci/tmt/test", "fail")
    data = place / "ci/tmt/plan/execute" / result["data-path"]
    assert f"--out={data / 'afalg-run'}" in checkout.started
    assert {"junit.xml", "summary.md"} < {path.name for path in (data / "afalg-run").iterdir()}
