"""``.ci/run`` goes through everything once, and fails if any part of it does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[3] / ".ci/run"
#: Each stands for a script of ci/; NAME_EXIT is its exit code.
_STUBS = {
    "setup.sh": "exit ${SETUP_EXIT-0}",
    "fresh-root.sh": (
        '[ -z "$WAITS" ] || { echo $$ >"$WAITS"; exec sleep 90; }\n'
        'for last; do :; done; echo one >"$last"; exit ${FRESH_EXIT-0}'
    ),
    "test.sh": (
        'case "$*" in\n*"-m vm") echo booted; exit ${VM_EXIT-0} ;;\n*) exit ${REST_EXIT-0} ;;\nesac'
    ),
}
_ONCE = "--unchecked --except-passed= --numprocesses=0 -m not vm"


@dataclass(frozen=True)
class Ended:
    """What became of it, and with what it started the tests that boot nothing."""

    code: int
    stdout: str
    rest: list[str]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the script and what it starts, all of it committed."""
    top = tmp_path / "checkout"
    (top / "ci").mkdir(parents=True)
    (top / ".ci").mkdir()
    shutil.copy(_SCRIPT, top / ".ci/run")
    for name, text in _STUBS.items():
        script = top / "ci" / name
        script.write_text(f'#!/bin/sh\necho {name} "$@" >>"$STARTED"\n{text}\n')
        script.chmod(0o755)
    for words in ("init -q", "add .", "-c user.name=n -c user.email=e commit -qm all"):
        subprocess.run(["git", *words.split()], cwd=top, check=True)
    return top


def _environment(checkout: Path, more: Mapping[str, str]) -> dict[str, str]:
    place = checkout.parent
    return {**os.environ, "STARTED": str(place / "started"), "TMPDIR": str(place), **more}


def _run(checkout: Path, exits: Mapping[str, str]) -> Ended:
    started = checkout.with_name("started")
    environment = _environment(checkout, exits)
    done = subprocess.run(
        [checkout / ".ci/run"], env=environment, capture_output=True, text=True, check=False
    )
    assert sorted(path.name for path in started.parent.iterdir()) == ["checkout", "started"]
    lines = started.read_text().splitlines()
    booted = [line for line in lines if line == "test.sh --unchecked -m vm"]
    assert len(booted) == (0 if "SETUP_EXIT" in exits else 1)
    rest = [
        re.sub(r"(--except-passed=)\S+", r"\1", line).removeprefix("test.sh ")
        for line in lines
        if line.endswith("-m not vm")
    ]
    return Ended(done.returncode, done.stdout, rest)


@pytest.mark.parametrize(
    ("exits", "code", "rest"),
    [
        ({}, 0, _ONCE),
        ({"REST_EXIT": "5"}, 0, _ONCE),  # pytest's: all tests had passed in the fresh root
        ({"REST_EXIT": "1"}, 1, _ONCE),
        ({"VM_EXIT": "1"}, 1, _ONCE),
        ({"VM_EXIT": "5"}, 5, _ONCE),
        ({"FRESH_EXIT": "3"}, 3, "-m not vm"),
        ({"FRESH_EXIT": "3", "REST_EXIT": "5"}, 3, "-m not vm"),
    ],
    ids=str,
)
def test_parts(exits: dict[str, str], code: int, rest: str, checkout: Path) -> None:
    ended = _run(checkout, exits)
    assert (ended.code, ended.rest) == (code, [rest])
    last = ended.stdout.splitlines()[-1]
    assert last == "booted" if code == 0 else last.startswith("ci: failed: ")


def test_what_is_not_committed_was_tested_nowhere_else(checkout: Path) -> None:
    (checkout / "new").touch()
    assert _run(checkout, {}).rest == ["-m not vm"]


def test_nothing_is_tested_where_nothing_can_be_set_up(checkout: Path) -> None:
    ended = _run(checkout, {"SETUP_EXIT": "3"})
    assert (ended.code, ended.rest) == (3, [])


def test_a_signal_ends_all_parts(checkout: Path) -> None:
    """At once, and not when the part that runs has come to its end."""
    waits = checkout.with_name("waits")
    os.mkfifo(waits)
    environment = _environment(checkout, {"WAITS": str(waits)})
    with subprocess.Popen([checkout / ".ci/run"], env=environment) as script:
        part = int(waits.read_text())  # it has begun
        script.terminate()
        assert script.wait(timeout=60) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(part, 0)
    assert not list(checkout.parent.glob("tmp.*"))
