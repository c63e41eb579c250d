"""``afalg-harness runs``: what is listed, shown, written and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.history import queries
from harness.history.importing import import_run
from harness.history.store import Store
from tests.unit import samples
from tests.unit.history.conftest import WriteRun

Runs = Callable[..., list[str]]


@pytest.fixture
def command(store: Store, write_run: WriteRun, capsys: pytest.CaptureFixture[str]) -> Runs:
    """``runs`` on a store of four runs, the newest last; returns what it printed."""
    for day in range(1, 5):
        kernel = samples.kernel("6.12.96+deb13-amd64" if day == 1 else samples.NEW)
        bad = samples.with_test(kernel, samples.failed(samples.SHA256_TEST, "wrong"))
        run = samples.run(samples.old(), bad if day == 4 else kernel)
        place = write_run(f"{day}abc", run, started=f"2020-01-0{day}T10:00:00+00:00")
        (place / "kernels/x").mkdir(parents=True)
        (place / "kernels/x/console.log").write_text(f"console {day % 2}\n" * 1000)
        import_run(store, place)

    def run_it(*words: str, code: int = 0) -> list[str]:
        assert main(["runs", *words, "--store", store.name]) == code
        said = capsys.readouterr()
        return (said.err if code else said.out).splitlines()

    return run_it


def _ids(store: Store) -> list[str]:
    return [run.id for run in queries.runs(store)]


def test_list(command: Runs) -> None:
    head, *rows, last = command("list")
    assert head.split() == ["RUN", "STARTED", "(UTC)", "EXIT", "KERNELS"]
    assert [row.split()[0] for row in rows] == ["4abc", "3abc", "2abc", "1abc"]
    assert last.endswith("runs: 4")
    assert len(command("list", "--last", "1")) == 3
    found = json.loads("\n".join(command("list", "--json", "--kernel", "6.12.96*")))
    assert [run["id"] for run in found] == ["1abc"]


def test_show(command: Runs) -> None:
    lines = command("show", "1a")
    assert lines[0] == "run 1abc"
    assert any("6.12.96+deb13-amd64" in line and line.startswith("OK") for line in lines)
    (line,) = command("show", "nothing", code=2)
    assert "no such run in the store" in line


def test_export(command: Runs, tmp_path: Path) -> None:
    (line,) = command("export", "1abc", "--out", str(tmp_path / "out"))
    place = Path(line)
    before = tmp_path / "runs/1abc"
    assert json.loads((place / "results.json").read_text()) == json.loads(
        (before / "results.json").read_text()
    )
    assert (place / "kernels/x/console.log").read_text() == "console 1\n" * 1000
    (line,) = command("export", "1abc", "--out", str(tmp_path / "out"), code=2)
    assert "there is something already" in line


def test_prune_what_is_named(command: Runs, store: Store) -> None:
    assert command("prune", "3a", "--dry-run", "-q")[-1].endswith("would delete 1 runs")
    assert len(_ids(store)) == 4
    assert command("prune", "3a", "-q")[-1].endswith("deleted 1 runs")
    assert _ids(store) == ["4abc", "2abc", "1abc"]
    assert store.rows("SELECT count(*) FROM outcomes") == [(3 * 2 * len(samples.PLAN),)]
    # The console of run 1 is the same, and stays.
    assert store.rows("SELECT count(*) FROM contents") == [(3 + 2,)]


def test_prune_keeps_the_last_good(command: Runs, store: Store) -> None:
    command("prune", "--older-than", "1")
    assert _ids(store) == ["3abc", "1abc"]
    assert queries.releases(store) == [samples.OLD, "6.12.96+deb13-amd64", samples.NEW]


def test_prune_but_for_some(command: Runs, store: Store) -> None:
    command("prune", "--keep", "1")
    assert _ids(store) == ["4abc", "3abc", "1abc"]


def test_prune_files_alone(command: Runs, store: Store) -> None:
    command("prune", "2abc", "--files")
    assert len(_ids(store)) == 4
    assert queries.sizes(store, "2abc") == {}
    assert queries.sizes(store, "4abc") != {}


def test_prune_needs_to_be_told_what(command: Runs) -> None:
    (line,) = command("prune", code=2)
    assert "name runs" in line
    (line,) = command("prune", "1abc", "--keep", "3", code=2)
    assert "not both" in line


def test_import(command: Runs, write_run: WriteRun, tmp_path: Path) -> None:
    run = replace(samples.main_job(), started="2020-01-09T10:00:00+00:00")
    place = write_run("new", run)
    first, last = command("import", str(place), str(tmp_path / "runs/1abc"))
    assert first == f"{place}: imported as new"
    assert last.endswith("1 imported, 1 there already")
    (line,) = command("import", str(tmp_path / "none"), str(place), code=2)
    assert "No such file" in line
