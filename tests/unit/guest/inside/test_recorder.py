"""The plugin in the guest: what each kind of test comes to be on the results port."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.guest.inside import recording, records, running
from harness.locations import suite_dir

_RUN = """
import sys
from pathlib import Path

import pytest

import builtins
from harness.guest.inside import records, recording, running
from harness.guest.inside.expiry import Expiry

builtins.expiry = Expiry()
suite, port, log, limit, way = sys.argv[1:]
records.KERNEL_LOG = log
taints = iter([0, 0, 512])  # at the start, after the first test, from the second on
records.read_taint = lambda: next(taints, 512)
with open(port, "wb", 0) as file:
    writer = records.RecordWriter(file.fileno())
    recorder = recording.Recorder(writer, float(limit), (), builtins.expiry)
    options = [*recording.PYTEST_ARGUMENTS, f"--rootdir={suite}", suite]
    plugins = [recorder]
    if way == "quick":
        options += running.ARGUMENTS
        plugins.append(running.Runner(recorder))
    pytest.main(options, plugins)
"""

_SUITE = """
import os, signal
import pytest
from harness.guest.inside.words import Cause, Reason, Witness

class Refused(pytest.skip.Exception):
    reason_data = Reason(Cause.NOT_BOUND, type="skcipher", name="cbc(aes)", errno="ENOENT")

class Nonsense(pytest.skip.Exception):
    reason_data = "no reason"

@pytest.fixture
def broken():
    raise RuntimeError("no set-up")

@pytest.fixture
def refused():
    raise Refused("cannot be bound")

@pytest.fixture
def untidy():
    yield
    raise RuntimeError("no clean-up")

def test_passes(): pass
def test_fails(): assert 1 == 2, "on purpose"
def test_error(broken): pass
def test_untidy(untidy): pass
def test_skips(): pytest.skip("why not")
def test_refused(refused): pass
def test_nonsense(): raise Nonsense("odd")
def test_caught():
    try:
        raise Refused("not meant")
    except pytest.skip.Exception:
        pass
@pytest.mark.xfail(reason="known", strict=True)
def test_xfails(): assert False
@pytest.mark.xfail(reason="known", strict=True)
def test_xpasses(): pass
def test_overruns():
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    signal.setitimer(signal.ITIMER_REAL, 0.01)  # as when that is over
    signal.pause()
def _ended(word):
    import builtins
    expiry, place = builtins.expiry, "wait_woken < af_alg_wait_for_data"
    number = int.from_bytes(expiry._page[:8], "little")
    expiry.ask(word, number, os.getpid(), lambda: place)
    signal.pause()
@pytest.mark.parametrize("number", [1, 2, 3])
def test_hangs(number): _ended("hung")
def test_hangs_like_those(): _ended("idle")
def test_stray_signal(): os.kill(os.getpid(), signal.SIGALRM)
def test_is_ended_once():
    try:
        _ended("hung")
    finally:
        os.kill(os.getpid(), signal.SIGALRM)
        os.getpid()
def test_after(): pass
def test_fact(record_fact):
    record_fact("a.fact", state="unreachable", evidence="e", reason=Refused.reason_data,
                witness=Witness.SILENT)
    record_fact("b.fact", state="absent", control="fired")
def test_bad_fact(record_fact): record_fact("c.fact", state="gone")
def test_transcripts(record_transcripts): record_transcripts({"recv": "0"})
@pytest.mark.regression(cve="CVE-1", fix="f1", affected="all")
def test_provokes(provoked): provoked()
@pytest.mark.regression(cve="CVE-2", fix="f2", affected="all")
def test_does_not_provoke(provoked): pass
def test_provokes_nothing_known(provoked): provoked()
def test_forks(record_fact):
    if os.fork() == 0:
        record_fact("of.a.child", state="present")
        os._exit(0)
    os.wait()
"""

Records = list[dict[str, Any]]


def _run(tmp_path: Path, suite: dict[str, str], limit: float = 60.0, way: str = "quick") -> Records:
    """The records of a run of ``suite`` (name of a file -> text) on this machine.

    ``way``: "quick", as the agent runs tests (``running.py``), or "pytest", as its runner does.
    """
    folder = tmp_path / "suite"
    folder.mkdir()
    for name, text in suite.items():
        (folder / name).write_text(text)
    files = (tmp_path / "port", tmp_path / "kmsg")
    files[1].touch()
    subprocess.run(
        [sys.executable, "-c", _RUN, folder, *files, str(limit), way],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=300,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=folder,
    )
    return [json.loads(line) for line in (tmp_path / "port").read_text().splitlines()]


@pytest.fixture(scope="module", params=["quick", "pytest"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Records:
    """The records of the suite above."""
    suite = {"test_it.py": _SUITE}
    return _run(tmp_path_factory.mktemp("recorded"), suite, way=request.param)


def test_how_long_was_waited(recorded: Records) -> None:
    ended = {
        record["id"].partition("::")[2]: record["waited"]
        for record in recorded
        if record["type"] == "outcome" and record["outcome"] == "timeout"
    }
    hung = {f"test_hangs[{number}]": "hung" for number in (1, 2, 3)}
    hung["test_is_ended_once"] = "hung"
    assert ended == {**hung, "test_hangs_like_those": "not_waited_for", "test_overruns": ""}


def _outcome(recorded: Records, name: str) -> dict[str, Any]:
    (found,) = (
        record
        for record in recorded
        if record["type"] == "outcome" and record["id"] == f"test_it.py::{name}"
    )
    return found


@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("test_passes", "passed", ""),
        ("test_fails", "failed", "on purpose"),
        ("test_error", "error", "no set-up"),
        ("test_untidy", "error", "no clean-up"),
        ("test_skips", "skipped", "why not"),
        ("test_refused", "skipped", "cannot be bound"),
        ("test_caught", "passed", ""),
        ("test_xfails", "skipped", "expected failure: known"),
        ("test_xpasses", "failed", "XPASS(strict)"),
        ("test_overruns", "timeout", "no end within 60 s"),
        ("test_hangs[3]", "timeout", "hung: asleep in wait_woken < af_alg_wait_for_data"),
        ("test_hangs_like_those", "timeout", "not waited for: asleep in wait_woken < af_alg"),
        ("test_stray_signal", "passed", ""),
        ("test_is_ended_once", "timeout", "hung: asleep"),
        ("test_after", "passed", ""),
        ("test_bad_fact", "failed", "'gone' is not a valid State"),
        ("test_provokes", "passed", ""),
        ("test_provokes_nothing_known", "failed", "only a test marked as a regression"),
        ("test_forks", "passed", ""),
    ],
)
def test_outcomes(recorded: Records, name: str, outcome: str, message: str) -> None:
    found = _outcome(recorded, name)
    assert found["outcome"] == outcome
    assert message in found["message"]


def test_details_are_the_traceback(recorded: Records) -> None:
    assert "assert 1 == 2" in _outcome(recorded, "test_fails")["details"]
    assert "signal.pause()" in _outcome(recorded, "test_overruns")["details"]
    assert _outcome(recorded, "test_passes")["details"] == ""


def test_a_skip_tells_its_reason_as_data(recorded: Records) -> None:
    assert _outcome(recorded, "test_refused")["reason"] == {
        "cause": "not_bound",
        "type": "skcipher",
        "name": "cbc(aes)",
        "errno": "ENOENT",
        "restrict": None,
    }
    # Neither the skip of another test nor one that was caught tells anything.
    for name in ("test_nonsense", "test_caught", "test_skips", "test_passes"):
        assert _outcome(recorded, name)["reason"] is None


def test_facts(recorded: Records) -> None:
    facts = {record["name"]: record for record in recorded if record["type"] == "fact"}
    assert list(facts) == ["a.fact", "b.fact"], "no child and no unknown word records anything"
    told = facts["a.fact"]
    assert (told["state"], told["control"], told["witness"]) == ("unreachable", "not_run", "silent")
    assert told["reason"]["errno"] == "ENOENT"
    assert told["test"] == "test_it.py::test_fact"
    assert (facts["b.fact"]["control"], facts["b.fact"]["reason"]) == ("fired", None)


def test_the_order_of_records(recorded: Records) -> None:
    assert [record["seq"] for record in recorded] == list(range(len(recorded)))
    first = recorded[0]
    assert first["type"] == "plan"
    begun = [record["id"] for record in recorded if record["type"] == "start"]
    ended = [record["id"] for record in recorded if record["type"] == "outcome"]
    assert begun == ended == first["tests"]
    assert len(begun) == 25
    (told,) = (record for record in recorded if record["type"] == "transcripts")
    assert told["transcripts"] == {"recv": "0"}


def test_a_change_of_taint_names_the_test(recorded: Records) -> None:
    (change,) = (record for record in recorded if record["type"] == "taint")
    assert (change["before"], change["after"]) == (0, 512)
    assert change["test"] == "test_it.py::test_fails"


def test_each_test_is_announced_in_the_kernel_log(tmp_path: Path) -> None:
    recorded = _run(tmp_path, {"test_it.py": "def test_a(): pass\ndef test_b(): pass\n"})
    assert [record["type"] for record in recorded][:2] == ["plan", "start"]
    assert (tmp_path / "kmsg").read_text().splitlines() == [
        "<6>afalg-harness: start test_it.py::test_a",
        "<6>afalg-harness: start test_it.py::test_b",
    ]


def test_a_module_that_cannot_be_collected(tmp_path: Path) -> None:
    suite = {"test_bad.py": "import no_such_module\n", "test_good.py": "def test_a(): pass\n"}
    recorded = _run(tmp_path, suite)
    (error,) = (record for record in recorded if record["type"] == "collection_error")
    assert error["id"] == "test_bad.py"
    assert "no_such_module" in error["message"]


@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("test_provokes", {"cve": "CVE-1", "fix": "f1", "provoked": True}),
        ("test_does_not_provoke", {"cve": "CVE-2", "fix": "f2", "provoked": False}),
        ("test_forks", None),
    ],
)
def test_defects(recorded: Records, name: str, defect: dict[str, Any] | None) -> None:
    assert _outcome(recorded, name)["defect"] == defect


_OF_A_USER = """
import sys
import pytest

@pytest.fixture
def left(request):
    yield
    with open(request.config.rootpath / "phases", "a") as file:
        print(getattr(request.node, "phases", None), file=file)

def test_a(left): print("heard by nobody", file=sys.stderr)
def test_captured(capsys):
    print("a word")
    assert capsys.readouterr().out == "a word\\n"
"""
_WATCHES = """
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    yield
    item.phases = [*getattr(item, "phases", []), call.when]
"""

_WATCHES_LATER = f"""
import sys
{_WATCHES}
@pytest.fixture(scope="session", autouse=True)
def watching(request):
    request.config.pluginmanager.register(type("Watching", (), {{
        "pytest_runtest_makereport": staticmethod(watch)
    }}))
""".replace("def pytest_runtest_makereport", "def watch")


@pytest.mark.parametrize(
    ("conftest", "phases"),
    [("", "None"), (_WATCHES, "['setup', 'call']"), (_WATCHES_LATER, "['setup', 'call']")],
    ids=["no", "yes", "later"],
)
def test_a_conftest_of_the_users_sees_each_phase(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], conftest: str, phases: str
) -> None:
    recorded = _run(tmp_path, {"conftest.py": conftest, "test_it.py": _OF_A_USER})
    told = {record["id"]: record for record in recorded if record["type"] == "outcome"}
    assert [record["outcome"] for record in told.values()] == ["passed", "passed"], told
    assert (tmp_path / "suite/phases").read_text() == f"{phases}\n"
    assert capfd.readouterr().err == ""


def test_nothing_of_the_suite_wants_reports() -> None:
    """Else pytest would make them all, for every test of it (``running.py``)."""
    trees = [ast.parse(path.read_text()) for path in suite_dir().rglob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    assert "pytest_runtest_protocol" in functions
    assert functions.isdisjoint(running.REPORTING)


class _Port:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[records.Record] = []

    def send(self, record: records.Record) -> None:
        self.sent.append(record)


def test_what_is_left_to_another_guest_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "read_taint", lambda: 0)
    monkeypatch.setattr("gc.freeze", lambda: None)  # of this process
    port = _Port()
    ids = ["a/test_x.py::test_it[b/test_y.py]", "b/test_y.py::test_it", "b/test_yy.py::test_it"]
    session = SimpleNamespace(items=[SimpleNamespace(nodeid=name) for name in ids])
    recorder = recording.Recorder(port, 30.0, left={"b/test_y.py"})
    recorder.pytest_collection_finish(session)  # type: ignore[arg-type]
    assert port.sent == [records.Plan(tuple(ids))]
    assert [item.nodeid for item in session.items] == [ids[0], ids[2]]
