"""What people are told who change the harness is true of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

_TOP = Path(__file__).parents[3]
_TOLD = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
#: In backquotes, and not of this repository.
_FOREIGN = {"absent", "intended", '""', "v1.2.3", "security@kernel.org", "python -m build"}


def _code(name: str) -> list[str]:
    text = re.sub(r"```.*?```", "", (_TOP / name).read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize("name", _TOLD)
def test_paths_exist(name: str) -> None:
    paths = [word for word in _code(name) if re.fullmatch(r"\.?[\w.-]+/[\w./-]*[\w/]", word)]
    paths += re.findall(r"\]\((?!http)([^)#]+)\)", (_TOP / name).read_text())
    assert [path for path in paths if not (_TOP / path).exists()] == []
    assert paths or name == "CHANGELOG.md"


@pytest.mark.parametrize("name", _TOLD)
def test_names_are_of_the_code(name: str) -> None:
    """KINDS, pieces(result, options), @pytest.mark.regression and so on."""
    sources = "".join(
        path.read_text() for place in ("harness", "tests") for path in (_TOP / place).rglob("*.py")
    )
    for code in _code(name):
        word = re.match(r"@?([A-Za-z_.]+)", code)
        if word and "/" not in code and " " not in code.partition("(")[0] and code not in _FOREIGN:
            assert word[1].strip("_.") in sources, code


def test_where_a_report_is_entered() -> None:
    """The path that the text leads along, once, with what is there."""
    from harness.report.formats import PURPOSES  # noqa: PLC0415
    from harness.report.render import FORMATS  # noqa: PLC0415

    assert [*FORMATS] == [*PURPOSES]
    text = (_TOP / "tests/unit/report/test_hostile_text.py").read_text()
    assert 'parametrize("name", render.FORMATS)' in text


def test_hooks_run_what_ci_runs() -> None:
    hooks = [
        hook
        for repo in YAML(typ="safe").load(_TOP / ".pre-commit-config.yaml")["repos"]
        for hook in repo["hooks"]
    ]
    script = (_TOP / "ci/test.sh").read_text()
    checks = re.findall(r"^    (\.venv/bin/(?!pytest).*)$", script, re.MULTILINE)
    assert len(checks) == 3
    assert [hook["entry"] for hook in hooks if "stages" not in hook] == checks
    (tests,) = (hook for hook in hooks if "stages" in hook)
    assert tests["entry"] == 'ci/test.sh --unchecked -m "not vm"'


def test_pre_commit_takes_the_hooks(tmp_path: Path) -> None:
    """It reads them, and a file that is not formatted fails the first."""
    program = _TOP / ".venv/bin/pre-commit"
    subprocess.run([program, "validate-config", _TOP / ".pre-commit-config.yaml"], check=True)
    for words in ("init -q", "config user.name n", "config user.email e"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    (tmp_path / ".pre-commit-config.yaml").write_text(
        (_TOP / ".pre-commit-config.yaml").read_text()
    )
    (tmp_path / ".venv").symlink_to(_TOP / ".venv")
    (tmp_path / "bad.py").write_text("x = [1,2]\n")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    ran = subprocess.run(
        [program, "run", "ruff-format"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "bad.py" in ran.stdout and "would be reformatted" in ran.stdout


def test_the_container_has_what_the_set_up_installs() -> None:
    text = (_TOP / "ci/Containerfile").read_text()
    assert "ci/setup.sh --runtime" in text
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["debian:13"]
