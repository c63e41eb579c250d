"""A run goes into the store at its end, and whatever is wrong with that changes no verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.commands.actions import run as action
from harness.history import queries
from harness.history.store import Store, store_url
from harness.model import RunResult
from harness.report import results_file
from harness.run_options import RunOptions
from tests.unit import samples

Ran = Callable[..., int]
_NEW = f"debian:{samples.NEW}"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """``run`` of which everything is real but the guests: they come to ``result``."""
    monkeypatch.setenv("AFALG_STORE", str(tmp_path / "runs.sqlite"))
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(action, "refuse_bad_guest", lambda *_: None)
    monkeypatch.setattr(action, "refuse_bad_run", lambda *_: None)
    asked: list[RunOptions] = []

    def run(*words: str, result: RunResult | None = None) -> int:
        made = result or replace(samples.main_job(), id="one", ended="2026-11-23T10:20:00+00:00")

        def of_guests(options: RunOptions, *_: Any) -> RunResult:
            asked.append(options)
            options.out.mkdir(parents=True)
            results_file.save(made, options.out / results_file.FILE_NAME)
            return made

        monkeypatch.setattr(action, "_run_interruptibly", of_guests)
        return main(["run", "-q", *words])

    run.asked = asked  # type: ignore[attr-defined]
    return run


def _stored() -> list[str]:
    return [run.id for run in queries.runs(Store(store_url(None)))]


def test_a_run_is_stored_at_its_end(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(_NEW) == 0
    assert _stored() == ["one"]
    assert capsys.readouterr().err == ""


def test_not_if_that_is_not_wanted(ran: Ran) -> None:
    assert ran(_NEW, "--no-store") == 0
    assert _stored() == []


def test_not_while_it_can_be_gone_on_with(ran: Ran) -> None:
    ran(_NEW, result=replace(samples.main_job(), id="one", ended=""))
    assert _stored() == []


@pytest.mark.parametrize("code", [0, 1])
def test_a_fault_of_the_store_changes_nothing(
    ran: Ran, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    run = samples.main_job() if not code else samples.run(samples.old(), samples.regressed())
    result = replace(run, id="one", ended="2026-11-23T10:20:00+00:00")
    assert ran(_NEW, "--store", "bad.sqlite", "--out", "out", result=result) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad.sqlite: the store is damaged" in line
    assert line.endswith("(later: afalg-harness runs import out)")


def test_what_is_no_store_is_refused_before_anything_boots(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(_NEW, "--store", "nosuchdb://x/y", "--out", "out") == 2
    assert "nosuchdb" in capsys.readouterr().err
    assert not Path("out").exists()


def test_no_last_good(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(_NEW, "--baseline", "last-good", "--out", "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no good result of 7.3 amd64 before 7.3.4+deb13-amd64" in line
    assert "nothing is stored of it" in line
    assert "run one first: afalg-harness run " in line
    assert not Path("out").exists()


def test_the_last_good_is_the_baseline(ran: Ran, tmp_path: Path) -> None:
    ended = "2026-11-23T10:20:00+00:00"
    for release in ("7.3.1+deb13-amd64", "7.3.3+deb13-amd64", "7.3.5+deb13-amd64"):
        kernel = replace(samples.kernel(release), spec="debian:sid")
        run = replace(samples.run(kernel), id=release, ended=ended, command="afalg-harness run x")
        assert ran("debian:sid", "--out", release, result=run) == 0
    assert ran(_NEW, "--baseline", "last-good") == 0
    assert ran.asked[-1].baseline == "debian:7.3.3+deb13-amd64"  # type: ignore[attr-defined]


def test_a_worse_one_is_not_good(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    bad = samples.with_test(
        samples.kernel("7.3.1+deb13-amd64"), samples.failed(samples.SHA256_TEST, "wrong")
    )
    run = replace(samples.run(bad), id="bad", ended="2026-11-23T10:20:00+00:00")
    assert ran(_NEW, result=run) == 1
    capsys.readouterr()
    assert ran(_NEW, "--baseline", "last-good") == 2
    said = capsys.readouterr().err
    assert f"of the newest, 7.3.1+deb13-amd64 in run bad, {samples.SHA256_TEST} failed" in said


def test_kernels_of_two_lineages(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(_NEW, f"debian:{samples.OLD}", "--baseline", "last-good") == 2
    assert "of one lineage at a time" in capsys.readouterr().err
