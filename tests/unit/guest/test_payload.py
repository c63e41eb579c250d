"""Suites of the user's beside the built-in one: each runs, and each has its own modules.

Real pytest runs them here, laid out as in a guest, beside a built-in suite made for these tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness import suites
from harness.errors import InputError
from harness.guest import payload
from harness.guest.inside.recording import PYTEST_ARGUMENTS
from harness.guest.payload import Selection, lay_out_suites, write_payload, write_programs
from harness.locations import suite_dir

_BUILT_IN = {
    "conftest.py": "import pages, pytest\n@pytest.fixture\ndef ours(): return pages.WHO\n",
    "pages.py": "WHO = 'built-in'\n",
    "witness.py": "import pages\nWHO = pages.WHO\n",
    "zero_copy/test_x.py": """
import pages, witness
def test_helper(ours):
    import pages as again
    assert (pages.WHO, witness.WHO, again.WHO, ours) == 4 * ("built-in",)
""",
}

#: A suite with helper modules of its own, one of them named like one of ours.
_OWN = {
    "conftest.py": "import pages, pytest\n@pytest.fixture\ndef own(): return pages.WHO\n",
    "pages.py": "WHO = {name!r}\n",
    "deeper/__init__.py": "",
    "deeper/data.py": "import pages\nWHO = pages.WHO\n",
    "test_x.py": """
from __future__ import annotations
import dataclasses, typing, importlib, sys
import pages, witness
from deeper import data
@dataclasses.dataclass
class Value:
    number: typing.ClassVar[int] = 1
def test_own(own, ours):
    import pages as again
    who = (pages.WHO, data.WHO, own, again.WHO, importlib.import_module("pages").WHO)
    assert who == 5 * ({name!r},)
    assert (ours, witness.WHO) == ("built-in", "built-in")
def test_fails():
    assert {name!r} == "b"
""",
}

#: Runs pytest as the agent does; prints the outcomes, and what could not be collected.
_RUNNER = """
import json, os, sys
import pytest
seen = {}
class Recorder:
    def pytest_collectreport(self, report):
        if report.failed: seen[report.nodeid] = report.longreprtext
    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed: seen[report.nodeid] = report.outcome
out = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
status = pytest.main([*sys.argv[1:], "--rootdir=.", "--confcutdir=."], [Recorder()])
os.write(out, json.dumps([int(status), seen]).encode())
"""


@pytest.fixture(autouse=True)
def built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small built-in suite, and a working directory to lay the user's in."""
    folder = _write(tmp_path / "built-in", _BUILT_IN)
    (folder / "pytest.ini").write_text((suite_dir() / "pytest.ini").read_text())
    for module in (payload, suites):
        monkeypatch.setattr(module, "suite_dir", lambda: folder)
    monkeypatch.chdir(tmp_path)


def _write(folder: Path, files: dict[str, str], name: str = "") -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text.replace("{name!r}", repr(name)))
    return folder


def _laid_out(*suites: str) -> tuple[list[str], Path]:
    target = Path("guest")
    return lay_out_suites(Selection(suites), target), target


def _run(*suites: str) -> dict[str, str]:
    """Outcome of each test by its id."""
    arguments, target = _laid_out(*suites)
    finished = subprocess.run(
        [sys.executable, "-c", _RUNNER, *PYTEST_ARGUMENTS, *arguments],
        cwd=target,
        env=dict(os.environ) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    status, seen = json.loads(finished.stdout or '[-1, {"stderr": ""}]')
    assert status in {0, 1}, (status, seen, finished.stderr)
    return dict(seen)


def test_two_suites_of_one_name() -> None:
    _write(Path("a/tests"), _OWN, "a")
    _write(Path("b/tests"), _OWN, "b")
    assert _run("a/tests", "b/tests", "zero_copy") == {
        "tests/test_x.py::test_own": "passed",
        "tests/test_x.py::test_fails": "failed",
        "tests~2/test_x.py::test_own": "passed",
        "tests~2/test_x.py::test_fails": "passed",
        "zero_copy/test_x.py::test_helper": "passed",
    }


def test_own_modules_are_gone_before_the_built_in_suite_runs() -> None:
    """And are there again for their own suite, though both have run before."""
    _write(Path("mine"), _OWN, "b")
    outcomes = _run("mine", "zero_copy")
    assert list(outcomes) == [
        "mine/test_x.py::test_own",
        "mine/test_x.py::test_fails",
        "zero_copy/test_x.py::test_helper",
    ]
    assert set(outcomes.values()) == {"passed"}


def test_a_suite_without_modules_of_its_own_gets_ours() -> None:
    test = "import pages, witness\ndef test(): assert pages.WHO == 'built-in'\n"
    _write(Path("plain"), {"test_x.py": test})
    assert _run("plain") == {"plain/test_x.py::test": "passed"}


@pytest.mark.parametrize("name", ["pages", "witness", "secrets", "json", "conftest", "pytest"])
def test_a_folder_named_like_a_module(name: str) -> None:
    """An ``__init__.py`` in it would make it the module of that name."""
    test = "import pages, secrets, json\ndef test(): assert pages.WHO == 'built-in'\n"
    _write(Path(name), {"__init__.py": "", "test_x.py": test})
    assert _run(name, "zero_copy") == {
        f"{name}~2/test_x.py::test": "passed",
        "zero_copy/test_x.py::test_helper": "passed",
    }


def test_modules_of_pythons_own_cannot_be_replaced() -> None:
    files = {
        "secrets.py": "raise RuntimeError",
        "json.py": "raise RuntimeError",
        "test_x.py": "import secrets, json\ndef test(): assert secrets.token_hex and json.loads\n",
    }
    _write(Path("mine"), files)
    assert _run("mine", "zero_copy")["mine/test_x.py::test"] == "passed"


def test_single_files() -> None:
    test = "def test(): pass\n"
    for path in ("a/test_x.py", "b/test_x.py", "pages.py"):
        _write(Path(path).parent, {Path(path).name: test})
    assert _run("a/test_x.py", "b/test_x.py", "./pages.py", "zero_copy") == {
        "test_x.py::test": "passed",
        "test_x~2.py::test": "passed",
        "pages~2.py::test": "passed",
        "zero_copy/test_x.py::test_helper": "passed",
    }


@pytest.mark.parametrize(
    ("name", "in_guest"),
    [
        ("my suite", "my suite"),
        ("a[b]", "a_b_"),
        ("--collect-only", "_-collect-only"),
        ("@file", "_file"),
        (".hidden", "_hidden"),
        ("v1.2", "v1.2"),
        ("a::b", "a__b"),
        ("über\n\udcff", "über__"),
    ],
)
def test_odd_names(name: str, in_guest: str) -> None:
    _write(Path(name), {"test_x.py": "def test(): pass\n"})
    assert _run(f"./{name}") == {f"{in_guest}/test_x.py::test": "passed"}


def test_a_link_has_its_own_name_and_runs_once() -> None:
    _write(Path("real"), {"test_x.py": "def test(): pass\n"})
    Path("link").symlink_to("real")
    assert _run("link", "real", "./real/", "link") == {"link/test_x.py::test": "passed"}


def test_a_pytest_ini_of_the_users_does_not_replace_ours() -> None:
    _write(Path("mine"), {"pytest.ini": "[pytest]\naddopts = --nonsense\n"})
    _write(Path("mine"), {"test_x.py": "def test(ours): pass\n"})
    assert _run("mine") == {"mine/test_x.py::test": "passed"}


def test_a_built_in_suite_given_twice_runs_once() -> None:
    arguments, _ = _laid_out("zero_copy", "zero_copy")
    assert arguments.count("zero_copy") == 1


def test_without_own_suites_nothing_is_added() -> None:
    arguments, _ = _laid_out("zero_copy")
    assert not any("own" in word for word in arguments)


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("nowhere", "neither a suite (zero_copy) nor a path that exists"),
        ("other/zero_copy", "the name zero_copy is taken by a built-in suite"),
        ("notes.txt", "neither a folder nor a file of tests"),
        ("other/conftest.py", "neither a folder nor a file of tests"),
        ("/", "not a folder of tests"),
        ("empty", "not a folder of tests"),
        ("pages.py::test", "has no test test"),
    ],
)
def test_refused(suite: str, said: str) -> None:
    _write(Path("other"), {"zero_copy/test_x.py": "", "conftest.py": ""})
    Path("notes.txt").touch()
    Path("empty").mkdir()
    with pytest.raises(InputError) as refusal:
        _laid_out(suite)
    assert said in str(refusal.value)


def test_the_archive_holds_each_file_once(tmp_path: Path) -> None:
    _write(Path("a/tests"), _OWN, "a")
    _write(Path("b/tests"), _OWN, "b")
    write_payload(Selection(("a/tests", "b/tests")), tmp_path / "payload.tar")
    with tarfile.open(tmp_path / "payload.tar") as archive:
        names = archive.getnames()
    assert len(set(names)) == len(names)
    assert {"suite/tests/pages.py", "suite/tests~2/pages.py", "suite/.helpers/pages.py"} <= {*names}
    assert "suite/pages.py" not in names


def test_a_program_without_a_suite_gets_what_runs_in_guests_alone(tmp_path: Path) -> None:
    target = tmp_path / "payload.tar"
    write_programs(("algif_hash", "crypto-aes"), target)
    with tarfile.open(target) as archive:
        names = archive.getnames()
        modules = archive.extractfile("modules")
        assert modules is not None
        assert modules.read() == b"algif_hash\ncrypto-aes"
    assert "harness/guest/inside/benchmark.py" in names
    assert [name for name in names if not name.startswith("harness/")] == ["modules"]


def test_modules_are_loaded_early_for_the_built_in_suite_alone(tmp_path: Path) -> None:
    _write(Path("a/tests"), _OWN, "a")
    found = {}
    for chosen in (("a/tests",), ("a/tests", "zero_copy")):
        target = tmp_path / "payload.tar"
        write_payload(Selection(chosen), target)
        with tarfile.open(target) as archive:
            modules = archive.extractfile("modules")
            assert modules is not None
            found[len(chosen)] = modules.read().decode().split()
    assert found[1] == ["algif_hash", "algif_skcipher", "algif_aead"]
    assert "crypto-aes" in found[2]


def test_what_may_kill_a_kernel_by_want_of_memory_runs_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suites, "suite_dir", suite_dir)
    names = suites.suite_names()
    assert names[-1] == "faults"
    assert names[0] == "zero_copy"


def test_the_revision_is_of_the_suite_and_not_of_what_was_selected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (payload, suites):
        monkeypatch.setattr(module, "suite_dir", suite_dir)
    (tmp_path / "mine").mkdir()
    own = tmp_path / "mine" / "test_mine.py"
    own.write_text("def test_x(): pass\n")
    target = tmp_path / "payload.tar"
    selections = (
        Selection(),
        Selection(suites=("functional",), arguments=("-k", "sha1"), test_seconds=5),
        Selection(suites=("policy", str(own.parent)), seed=7),
    )
    revisions, own_ones = set(), []
    for selection in selections:
        write_payload(selection, target)
        revisions.add(payload.revision(target))
        own_ones.append(payload.own_revisions(target))
    assert len(revisions) == 1
    assert own_ones[:2] == [(), ()]
    (before,) = own_ones[2]
    assert before.startswith("mine=")
    own.write_text("def test_y(): pass\n")
    write_payload(selections[2], target)
    (after,) = payload.own_revisions(target)
    assert after != before
    assert {payload.revision(target)} == revisions
