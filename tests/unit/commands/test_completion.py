"""What a shell is told of how a line may go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_COMMAND = Path(sys.executable).parent / "afalg-harness"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a few files, and a cache with two kernels."""
    releases = tmp_path / "cache/kernels/releases"
    releases.mkdir(parents=True)
    for release in ("6.12.96+deb13-amd64", "7.3.4+deb13-cloud-amd64"):
        (releases / f"{release}.1.json").touch()
    (releases / ".unfinished.1.json").touch()
    place = tmp_path / "place"
    (place / "linux").mkdir(parents=True)
    (place / "vmlinuz").touch()
    (place / "a.deb").touch()
    monkeypatch.chdir(place)
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "cache"))
    return place


def _completions(place: Path, line: str) -> list[str]:
    """What the command answers to argcomplete's shell function."""
    answer = place.parent / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "harness"], env=environment, check=True)
    return [word.strip() for word in answer.read_text().split("\013")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("afalg-harness ru", ["run", "runs"]),
        ("afalg-harness bisect", ["bisect", "bisect-step"]),
        ("afalg-harness kernels c", ["cache"]),
        ("afalg-harness kernels cache pr", ["prune"]),
        ("afalg-harness run --te", ["--test-timeout"]),
        ("afalg-harness run --accel ", ["auto", "kvm", "tcg"]),
        ("afalg-harness run debian:6", ["debian:6.12.96+deb13-amd64"]),
        ("afalg-harness run debian:f", ["debian:forky"]),
        ("afalg-harness run debian:sid/cl", ["debian:sid/cloud", "debian:sid/cloud-amd64"]),
        ("afalg-harness run --baseline vm", ["vmlinuz"]),
        ("afalg-harness run b.deb,a", ["b.deb,a.deb"]),
        ("afalg-harness run git:l", ["git:linux/"]),
        ("afalg-harness run --suite zero", ["zero_copy"]),
        ("afalg-harness run --suite policy/test_allow", ["policy/test_allowlist.py::"]),
        (
            "afalg-harness run --suite functional/test_hash.py::test_keyed_k",
            ["functional/test_hash.py::test_keyed_known_answer"],
        ),
        ("afalg-harness run --suite v", ["vmlinuz"]),
        ("afalg-harness run --expect page", ["page_cache_write="]),
        ("afalg-harness run --expect page_cache_write=p", ["page_cache_write=present"]),
        ("afalg-harness run --kconfig fault", ["faultinjection"]),
        ("afalg-harness run --root h", ["host"]),
        ("afalg-harness bisect --check page", ["page_cache_write"]),
        (
            "afalg-harness bisect --check pol",
            ["policy.allowlist", "policy.unprivileged_bind", "policy/"],
        ),
        ("afalg-harness kernels list --suite trixie-b", ["trixie-backports"]),
        ("afalg-harness kernels cache prune 7", ["7.3.4+deb13-cloud-amd64"]),
    ],
)
def test_a_line_can_go_on(place: Path, line: str, expected: list[str]) -> None:
    found = [word for word in _completions(place, line) if word]
    assert sorted(found) == expected


def test_a_cache_that_is_not_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFALG_CACHE", "/nonexistent")
    assert _completions(place, "afalg-harness run debian:6") == [""]


def test_what_is_registered_by_one_line(place: Path) -> None:
    """README's line, in a real bash; a colon ends a word there."""
    script = f"""
export PATH={_COMMAND.parent}:$PATH
eval "$(register-python-argcomplete afalg-harness)"
line='afalg-harness run debian:6'
COMP_LINE=$line COMP_POINT=${{#line}} COMP_TYPE=9
COMP_WORDS=(afalg-harness run debian : 6) COMP_CWORD=4
_python_argcomplete afalg-harness 6 :
echo "${{COMPREPLY[@]}}"
"""
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    assert 'eval "$(register-python-argcomplete afalg-harness)"' in readme
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "6.12.96+deb13-amd64"
