"""A store in a file of its own, and runs to be put into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.history.store import Store
from harness.model import RunResult
from harness.report import results_file
from tests.unit import samples

WriteRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_other_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFALG_STORE", str(tmp_path / "default.sqlite"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store, of which nothing is there yet."""
    return Store(f"sqlite:///{tmp_path}/runs.sqlite")


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run directory: of the run given, or of two kernels, 6.12.43 and 7.3.4."""

    def write(name: str, run: RunResult | None = None, **fields: object) -> Path:
        made = replace(run or samples.main_job(), id=name, **fields)  # type: ignore[arg-type]
        place = tmp_path / "runs" / name
        place.mkdir(parents=True, exist_ok=True)
        results_file.save(made, place / results_file.FILE_NAME)
        return place

    return write
