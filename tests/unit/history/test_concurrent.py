"""Many processes write into one store at once: nothing is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from harness.history import queries
from harness.history.engine import engine_of
from harness.history.importing import Import, import_run
from harness.history.store import VERSION_TABLE, Store, store_url
from harness.history.tables import METADATA
from harness.model import RunResult
from tests.postgresql import postgresql
from tests.unit import samples
from tests.unit.history.conftest import WriteRun

_PROCESSES = 20
_RUNS = 10
_EACH = 4  # runs that each process imports; so each run is imported by eight


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server."""
    with postgresql() as url:
        yield url


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store of which nothing is there yet."""
    if request.param == "SQLite":
        return store_url(str(tmp_path / "runs.sqlite"))
    found = store_url(request.getfixturevalue("server"))
    engine = create_engine(found)
    with engine.begin() as connection:
        for table in (*METADATA.tables, VERSION_TABLE):
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{table}" CASCADE')
    engine.dispose()
    return found


_START: Barrier | None = None


def _import(url: str, places: Sequence[Path]) -> list[Import]:
    assert _START is not None
    _START.wait()
    store = Store(url)
    return [import_run(store, place).what for place in places]


def _run(number: int) -> RunResult:
    """A run with messages of its own, on a kernel that two runs share."""
    bad = samples.failed(samples.SHA256_TEST, f"wrong in run {number}")
    kernel = samples.with_test(samples.kernel(f"6.12.{number // 2}+deb13-amd64"), bad)
    return replace(samples.run(samples.old(), kernel), started=f"2026-11-23T10:15:{number:02}")


def test_twenty_processes(url: str, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(f"{__name__}._START", context.Barrier(_PROCESSES), raising=True)
    places = [write_run(f"run{number}", _run(number)) for number in range(_RUNS)]
    asked = [
        [places[(first + step * 3) % _RUNS] for step in range(_EACH)] for first in range(_PROCESSES)
    ]
    with ProcessPoolExecutor(_PROCESSES, mp_context=context) as pool:
        told = list(pool.map(_import, [url] * _PROCESSES, asked))
    count = Counter(what for each in told for what in each)
    assert count == {Import.NEW: _RUNS, Import.KNOWN: _PROCESSES * _EACH - _RUNS}
    store = Store(url)
    assert sorted(run.id for run in queries.runs(store)) == sorted(place.name for place in places)
    assert len(queries.results(store)) == 2 * _RUNS
    assert store.rows("SELECT count(*) FROM outcomes") == [(2 * _RUNS * len(samples.PLAN),)]
    for table, column in (("kernels", "release"), ("names", "name"), ("messages", "text")):
        ((rows, kinds),) = store.rows(f"SELECT count(*), count(DISTINCT {column}) FROM {table}")
        assert rows == kinds > 1
    said = {one.message for one in queries.line(store, samples.SHA256_TEST) if one.message}
    assert said == {f"wrong in run {number}" for number in range(_RUNS)}
    for place in places:
        assert queries.run_result(store, place.name).id == place.name


def test_the_tables_are_those_of_the_code(url: str, write_run: WriteRun) -> None:
    import_run(Store(url), write_run("one"))
    with engine_of(url, 10).connect() as connection:
        options = {"version_table": VERSION_TABLE}
        found = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(found, METADATA) == []


def test_every_question_is_understood(url: str, write_run: WriteRun) -> None:
    """What is asked in SQL is asked in words that both databases know."""
    store = Store(url)
    import_run(store, write_run("one"))
    import_run(store, write_run("two", started="2026-11-24T10:15:00"))
    assert [run.id for run in queries.runs(store)] == ["two", "one"]
    assert queries.run_named(store, "on").id == "one"
    assert [one.run for one in queries.results(store, release=samples.NEW)] == ["two", "one"]
    assert [one.release for one in queries.latest_results(store)] == [samples.OLD, samples.NEW]
    good = queries.last_good(store, "7.3 amd64")
    assert good is not None and good.run == "two"
    assert [one.run for one in queries.last_good_results(store)] == ["two"]
    paths = queries.facts(store, "zero_copy.skcipher.*")
    assert {fact.name for fact in paths} == {
        f"zero_copy.{path}" for path in samples.PATHS if path.startswith("skcipher.")
    }
    assert queries.is_known(store, samples.SHA256_TEST)
    assert queries.releases(store) == [samples.OLD, samples.NEW]
    assert queries.unsteady(store, samples.NEW) == ()
    assert len(queries.line(store, samples.SHA256_TEST, release=samples.NEW)) == 2
    assert queries.sizes(store, "one") == {}
