"""Tests run before the rest is collected: the same tests, in the same order, as one session."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from immutabledict import immutabledict

_RUN = """
import json, os, sys
import pytest
from harness.guest.inside import recording, running, stages

suite, out, planned, first, left = sys.argv[1:]
planned, first, left = json.loads(planned), json.loads(first), json.loads(left)
os.chdir(suite)

class Writer:
    def __init__(self):
        self.records = []
    def send(self, record):
        self.records.append((type(record).__name__, getattr(record, "id", "")
                             or list(getattr(record, "tests", ()))))

writer = Writer()
recorder = recording.Recorder(writer, 60.0, left=left, planned=planned)
plugins = [recorder, running.Runner(recorder)]
if planned:
    plugins.append(stages.Stages(planned, first, left))
options = [*recording.PYTEST_ARGUMENTS, *running.ARGUMENTS, f"--rootdir={suite}", "a", "b"]
status = pytest.main(options, plugins)
with open(out, "w") as file:
    json.dump([int(status), writer.records, open("said").read().split()], file)
"""

#: What runs says so, and what is set up for the whole session, for whom it lasts.
_CONFTEST = """
import pytest
from harness.guest.inside.stages import planned_ids
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("first") is None)
def pytest_configure(config): config.addinivalue_line("markers", "first: runs first")
def say(word): print(word, file=open("said", "a"))
def pytest_runtestloop(session): say(f"loop:{len(planned_ids(session))}")
@pytest.fixture(scope="session")
def whole():
    say("up")
    yield
    say("down")
@pytest.fixture(scope="module", autouse=True)
def module(request):
    yield
    say(f"end:{request.node.path.stem}")
"""
_FILES = {
    "a/test_1.py": "from conftest import say\nsay('import:1')\ndef test_x(whole): pass\n",
    "a/test_2.py": """
import pytest
from conftest import say
say('import:2')
pytestmark = pytest.mark.first
def test_x(whole): pass
def test_fails(whole): assert False
""",
    "b/test_3.py": "from conftest import say\nsay('import:3')\ndef test_x(whole): say('3')\n",
}
_FIRST = ["a/test_2.py"]
_PLAN = ["a/test_2.py::test_x", "a/test_2.py::test_fails", "a/test_1.py::test_x"]
_PLAN += ["b/test_3.py::test_x"]


@dataclass(frozen=True)
class Ran:
    """What became of a session."""

    status: int
    records: list[tuple[str, str | list[str]]]
    said: list[str]

    @property
    def plans(self) -> list[str | list[str]]:
        return [told for kind, told in self.records if kind == "Plan"]

    @property
    def ran(self) -> list[str | list[str]]:
        return [told for kind, told in self.records if kind == "Finish"]


def _ran(
    path: Path,
    planned: list[str],
    first: list[str],
    left: tuple[str, ...] = (),
    changed: Mapping[str, str] = immutabledict(),
) -> Ran:
    suite = path / "suite"
    files = {"conftest.py": _CONFTEST, "said": "", "pytest.ini": "[pytest]\n", **_FILES, **changed}
    for name, text in files.items():
        (suite / name).parent.mkdir(parents=True, exist_ok=True)
        (suite / name).write_text(text)
    out = path / "out.json"
    words = [json.dumps(value) for value in (planned, first, left)]
    environment = {"PYTHONPATH": f"{Path(__file__).parents[4]}:{suite}", "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [sys.executable, "-c", _RUN, suite, out, *words],
        check=True,
        capture_output=True,
        env=environment,
    )
    status, records, said = json.loads(out.read_text())
    return Ran(status, [tuple(record) for record in records], said)


def test_what_comes_first_runs_before_the_rest_is_imported(tmp_path: Path) -> None:
    whole = _ran(tmp_path / "whole", [], [])
    staged = _ran(tmp_path / "staged", _PLAN, _FIRST)
    assert whole.plans == staged.plans == [_PLAN]
    assert whole.ran == staged.ran == _PLAN
    assert whole.status == staged.status == 1, "a test failed"
    assert whole.said[:3] == ["import:1", "import:2", "import:3"]
    assert staged.said == [
        *("import:2", "loop:4", "up", "end:test_2"),
        *("import:1", "import:3", "end:test_1", "3", "end:test_3", "down"),
    ]


def test_what_another_guest_runs_is_planned_here(tmp_path: Path) -> None:
    staged = _ran(tmp_path, _PLAN, _FIRST, left=("a/test_1.py",))
    assert staged.plans == [_PLAN]
    assert staged.ran == [*_PLAN[:2], _PLAN[3]]
    assert "loop:3" in staged.said


@pytest.mark.parametrize(
    ("planned", "first", "ran"),
    [
        (_PLAN[1:], _FIRST, []),
        ([*_PLAN[:2], "a/test_1.py::test_y", _PLAN[3]], _FIRST, _PLAN[:2]),
        ([*_PLAN[:2], _PLAN[3], _PLAN[2]], _FIRST, _PLAN[:2]),
        (_PLAN[:3], _FIRST, _PLAN[:2]),
    ],
)
def test_another_plan_is_an_error_of_pytests(
    tmp_path: Path, planned: list[str], first: list[str], ran: list[str]
) -> None:
    """Of which no kernel is accused (conclude.py)."""
    staged = _ran(tmp_path, planned, first)
    assert staged.ran == ran
    assert staged.status == pytest.ExitCode.INTERNAL_ERROR


def test_a_module_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    staged = _ran(tmp_path, _PLAN, _FIRST, changed={"b/test_3.py": "import nothing\n"})
    assert ("CollectionError", "b/test_3.py") in staged.records
    assert staged.ran == _PLAN[:2]
    assert staged.status == pytest.ExitCode.INTERNAL_ERROR
