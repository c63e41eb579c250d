"""What doctor says of builds: good to have, and nothing that the main job waits for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import host
from harness.errors import HostError
from harness.kernels.source import kbuild
from harness.kernels.source.kbuild import Compiler
from harness.processes import PACKAGES

SETUP = Path(__file__).parents[2] / "ci/setup.sh"


def test_builds_are_not_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Compiler:
        raise HostError("flex is not installed; apt-get install flex")

    monkeypatch.setattr(host, "find_compiler", missing)
    (check,) = [check for check in host.check_host(tmp_path) if check.name == "builds"]
    assert not check.ok
    assert not check.required
    assert "flex is not installed" in check.found
    monkeypatch.setattr(host, "find_compiler", lambda: Compiler("ccache gcc", "gcc 12"))
    (check,) = [check for check in host.check_host(tmp_path) if check.name == "builds"]
    assert check.ok
    assert check.found == "ccache gcc: gcc 12"


def test_setup_installs_what_builds_call() -> None:
    (section,) = re.findall(r"for_builds=\((.*?)\n\)", SETUP.read_text(), re.DOTALL)
    installed = {word for line in section.splitlines() for word in line.partition("#")[0].split()}
    programs = (*kbuild._PROGRAMS, "gcc", "git", "addr2line", "nm")
    assert {PACKAGES[program] for program in programs} <= installed
    assert set(kbuild._HEADERS.values()) <= installed
