"""Whatever goes wrong is one line, and never an exit with 1, which says regression."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NoReturn

import pytest

from harness import __main__ as start
from harness.cli import main
from harness.errors import InfrastructureError, InputError
from harness.report import results_file
from tests.unit import samples

Failing = Callable[[BaseException], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Have the command ``report`` raise something."""

    def fail(error: BaseException) -> None:
        def load(_: Path) -> NoReturn:
            raise error

        monkeypatch.setattr("harness.report.results_file.load", load)

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no such thing"), 2, "no such thing"),
        (InfrastructureError("the host is full"), 3, "the host is full"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "/x/y"), 3, "no space left: /x/y"),
    ],
)
def test_errors_for_people(
    failing: Failing,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    failing(error)
    assert main(["report", "x"]) == code
    assert capsys.readouterr().err == f"afalg-harness: {said}\n"


@pytest.mark.parametrize(
    "error",
    [
        TypeError("two\nlines"),
        RecursionError(),
        MemoryError(),
        PermissionError(13, "Permission denied", "/x"),
        UnicodeEncodeError("ascii", "x", 0, 1, "no"),
        SystemExit(1),
        SystemExit("a library gives up"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_faults_of_ours(
    failing: Failing, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    failing(error)
    assert main(["report", "x"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    found = re.fullmatch(
        r"afalg-harness: the harness failed: (\w+)\b.*; a fault of ours, the details are in (\S+)",
        line,
    )
    assert found is not None, line
    assert found[1] == type(error).__name__
    details = Path(found[2])
    assert "in execute" in details.read_text()
    details.unlink()


def test_git_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To git bisect run, 3 would be a bad kernel."""

    def parse(words: list[str]) -> NoReturn:
        raise InfrastructureError("no memory")

    monkeypatch.setattr("harness.cli.build_parser", lambda _: SimpleNamespace(parse_args=parse))
    assert main(["bisect-step", "--check", "page_cache_write"]) == 129
    assert main(["report", "x"]) == 3


@pytest.mark.parametrize("words", [["bisect-step", "--nonsense"], ["report", "--nonsense"]])
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == (128 if words[0] == "bisect-step" else 2)


@pytest.mark.parametrize(("command", "code"), [("bisect-step", 129), ("report", 3)])
def test_a_broken_installation(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    code: int,
) -> None:
    monkeypatch.setitem(sys.modules, "harness.cli", None)
    monkeypatch.setattr("sys.argv", ["afalg-harness", command])
    assert start.main() == code
    assert "the installation is broken" in capsys.readouterr().err


def test_interrupted_before_anything_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Amid the imports, which take a second."""

    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> NoReturn:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "harness.cli", Interrupted("harness.cli"))
    assert start.main() == 130
    assert capsys.readouterr().err == ""


GARBLED = {
    "empty": "",
    "no JSON": "{",
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep in it": '{"schema": 1, "kernels": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "another thing": "[1]",
    "huge number": '{"schema": ' + "9" * 5000 + "}",
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("text", GARBLED.values(), ids=GARBLED.keys())
def test_garbled_results(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert main(["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"afalg-harness: {path}: ")


EDITED = {
    "exit_code": 77,
    "kernels": None,
    "seed": 1e400,
    "started": 5,
    "comparisons": [{"baseline": "a"}],
    "host": {"accel": "tcg"},
}


@pytest.mark.parametrize("field", EDITED)
def test_edited_results(field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    results_file.save(samples.main_job(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: EDITED[field]}))
    assert main(["report", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("report", "{}"),
        ("report", "{}/results.json"),
        ("report", "--replay", "{}"),
        ("compare", "{}", "{}"),
        ("run", "/k", "--expectations", "{}/e.toml"),
        ("run", "/k", "--out", "{}/new", "--root", "host"),
        ("run", "/k", "--root", "{}/root"),
        ("run", "/k", "--root", "host", "--suite", "{}"),
        ("kernels", "show", "{}/bzImage"),
        ("kernels", "show", "{}/a.deb"),
        ("kernels", "show", "git:{}/tree@HEAD"),
    ],
    ids=" ".join,
)
def test_no_permission(words: tuple[str, ...], tmp_path: Path) -> None:
    """In a directory that is closed to us, one line and 2."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    argv = [sys.executable, "-m", "harness", *(word.format(closed) for word in words)]
    # Root may look into any, but for this.
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    finished = subprocess.run(
        [*(humble if os.geteuid() == 0 else []), *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=dict(os.environ) | {"AFALG_CACHE": str(tmp_path / "cache")},
    )
    assert finished.returncode == 2, finished.stderr
    (line,) = finished.stderr.splitlines()
    assert "Permission denied" in line
