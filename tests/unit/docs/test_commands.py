"""Every command that README.md and docs/ show is run: here, elsewhere, or by hand as is said.

tests/documented.py says which where.
"""

from __future__ import annotations

import lzma
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest

from harness import cli
from harness.benchmark import file as benchmark_file
from harness.history.importing import import_run
from harness.history.store import Store, store_url
from harness.report import results_file
from tests import documented
from tests.stored_runs import FLAVOURS, stored_directory

_BIN = Path(sys.executable).parent
_PATIENCE = 600  # seconds, on a busy machine
_ELSEWHERE = [(file, one) for file, those in documented.ELSEWHERE.items() for one in those]
_LIKE = [(file, one) for file, those in documented.LIKE.items() for one in those]
_NEEDS = [one for those in documented.NEEDS.values() for one in those]
_SHOWN = {one.text: one for one in documented.commands() if one.output}
_TESTED = ("6.12.96+deb13-amd64", "7.3.4+deb13-amd64")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where all is that the commands name."""
    place = tmp_path_factory.mktemp("documented")
    run = results_file.load(stored_directory(FLAVOURS, place / "runs/matrix"))
    kernels = {kernel.release: kernel for kernel in run.kernels}
    two = tuple(kernels[release] for release in _TESTED)
    (place / "runs/test").mkdir()
    results_file.save(
        replace(run, kernels=two, comparisons=()), place / "runs/test" / results_file.FILE_NAME
    )
    (place / "runs/costs").mkdir()
    costs = lzma.decompress((documented.TOP / "tests/data/benchmark/costs.json.xz").read_bytes())
    (place / "runs/costs" / benchmark_file.FILE_NAME).write_bytes(costs)
    (place / "results").mkdir()
    documented.write_files(place)
    import_run(Store(_store(place)), place / "runs/test")
    return place


def _store(place: Path) -> str:
    return store_url(str(place / "store.sqlite"))


def _environment(place: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "HOME": str(place),
        "AFALG_CACHE": str(place / "cache"),
        "AFALG_STORE": _store(place),
        "AFALG_MIRROR": "http://127.0.0.1:9/debian",  # nothing may be fetched
        "RESULTS_DIR": str(place / "results"),
        "TERM": "dumb",
    }


def _shell(command: str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=_environment(place),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )


def test_each_command_is_run_somewhere() -> None:
    """What a page shows is declared, once, and what is declared is shown."""
    told = [*documented.HERE, *(one for _, one in (*_ELSEWHERE, *_LIKE)), *_NEEDS]
    assert len(told) == len(set(told))
    shown = {command.text for command in documented.commands()}
    assert shown - set(told) == set(), "tests/documented.py does not say what runs these"
    assert set(told) - shown == set(), "no page shows these any more"


@pytest.mark.parametrize("command", [one for one in documented.HERE if one not in _SHOWN])
def test_it_runs(command: str, place: Path) -> None:
    done = _shell(command, place)
    assert done.returncode in documented.HERE[command], done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if command.startswith(documented.PROGRAM) and not re.search(r">|--output [^-]", command):
        assert done.stdout


@pytest.mark.parametrize("command", [one for one in documented.HERE if one in _SHOWN])
def test_it_prints_what_is_shown(command: str, place: Path) -> None:
    printed, code = pexpect.run(
        command,
        withexitstatus=True,
        cwd=str(place),
        env=_environment(place),
        dimensions=(60, 80),
        timeout=_PATIENCE,
        encoding="utf-8",
    )
    assert code in documented.HERE[command]
    assert printed.replace("\r\n", "\n").strip() == _SHOWN[command].output.strip()


@pytest.mark.parametrize(("file", "command"), _ELSEWHERE)
def test_another_file_runs_it(file: str, command: str) -> None:
    source = (documented.TOP / file).read_text()
    if file.endswith(".sh"):
        options = re.search(r"--.*", command)
        assert (options[0] if options else command) in source
    else:
        asked = re.findall(r'arguments\(\s*"([^"]+)"\s*\)', source)
        assert documented.arguments(command) in [documented.arguments(text) for text in asked]


@pytest.mark.parametrize(("file", "command"), _LIKE)
def test_another_file_runs_the_like(file: str, command: str) -> None:
    words = documented.arguments_of(command) or [Path(command.split(maxsplit=1)[0]).name]
    assert f'{words[0]}"' in (documented.TOP / file).read_text()


@pytest.mark.parametrize(
    "command",
    [
        one
        for one in (*(one for _, one in (*_ELSEWHERE, *_LIKE)), *_NEEDS)
        if documented.arguments_of(one)
    ],
)
def test_it_parses(command: str) -> None:
    """Options that it names are there; a file or kernel need not be."""
    words = documented.arguments_of(command)
    assert vars(cli.build_parser(words).parse_args(words))
