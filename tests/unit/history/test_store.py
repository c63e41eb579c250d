"""Stores that are damaged, of other versions, or none of ours: a line, and no byte changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert

from harness.cli import main
from harness.errors import InputError
from harness.history import migrate, queries
from harness.history.engine import engine_of
from harness.history.importing import import_run
from harness.history.store import REVISION, VERSION_TABLE, Store, StoreError, store_url
from harness.history.tables import METADATA
from tests.unit import samples
from tests.unit.history.conftest import WriteRun


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xa7" * 8192)


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8192])


def _pages_overwritten(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    for start in range(8192, len(raw), 8192):
        raw[start : start + 4096] = b"\xff" * 4096
    path.write_bytes(raw)


def _of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def _without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE results")


def _of_a_later_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")


_BAD: dict[Callable[[Path], None], str] = {
    _garbage: "the store is damaged (file is not a database)",
    _cut_short: "the store is damaged (database disk image is malformed)",
    _pages_overwritten: "the store is damaged (",
    _of_another_program: "is no store of runs, but another SQLite database",
    _without_a_table: "the store is damaged (no such table: results",
    _of_a_later_version: "was written by a later version of afalg-harness (store version 9999",
}


@pytest.mark.parametrize("spoil", _BAD, ids=lambda spoil: spoil.__name__.strip("_"))
def test_one_line_and_not_a_byte_is_written(
    spoil: Callable[[Path], None],
    store: Store,
    write_run: WriteRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import_run(store, write_run("one"))
    path = tmp_path / "runs.sqlite"
    spoil(path)
    before = path.read_bytes()
    other = write_run("two")
    for words in (
        ["runs", "import", str(other)],
        ["runs", "list"],
        ["history", samples.SHA256_TEST],
        ["runs", "prune", "--keep", "1"],
    ):
        capsys.readouterr()
        assert main([*words, "--store", str(path)]) == 3, words
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"afalg-harness: {path}: ")
        assert _BAD[spoil] in line
    assert path.read_bytes() == before
    assert sorted(found.name for found in tmp_path.glob("runs.sqlite*")) == ["runs.sqlite"]


def test_a_store_of_the_version_before(tmp_path: Path, write_run: WriteRun) -> None:
    """What it holds is there afterwards, in the tables of this version."""
    url = store_url(str(tmp_path / "old.sqlite"))
    before = f"{int(REVISION) - 1:04}"
    with engine_of(url, 10).connect() as connection, connection.begin():
        migrate.migrate(connection, None, to=before)
        runs, contents = METADATA.tables["runs"], METADATA.tables["contents"]
        content = {"sha256": "c" * 64, "size": 1, "data": b""}
        connection.execute(insert(contents), content)
        known = [column.name for column in runs.columns if column.name != "own_suites"]
        row = {**dict.fromkeys(known, "x"), "id": "kept", "exit_code": 0, "results": "c" * 64}
        words = ", ".join(row)
        connection.exec_driver_sql(
            f"INSERT INTO runs ({words}) VALUES ({', '.join(':' + name for name in row)})", row
        )
    store = Store(url)
    assert [run.id for run in queries.runs(store)] == ["kept"]
    assert store.rows(f"SELECT version_num FROM {VERSION_TABLE}") == [(REVISION,)]
    import_run(store, write_run("one"))
    assert {run.id for run in queries.runs(store)} == {"kept", "one"}
    assert store.rows("SELECT own_suites FROM runs WHERE id = 'kept'") == [("",)]


def test_the_newest_version_is_the_one_that_is_known_without_alembic() -> None:
    assert migrate.newest() == REVISION


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("/x/y.sqlite", "sqlite:////x/y.sqlite"),
        ("sqlite:////x/y", "sqlite:////x/y"),
        ("sqlite+pysqlite:////x/y?timeout=3", "sqlite:////x/y"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("mysql://u@h/d", "mysql://u@h/d"),
    ],
)
def test_what_names_a_store(named: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_url(named) == url
    monkeypatch.setenv("AFALG_STORE", named)
    assert store_url(None) == url


def test_where_the_store_is_if_nothing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFALG_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert store_url(None) == "sqlite:////data/afalg-harness/runs.sqlite"


@pytest.mark.parametrize("named", ["sqlite://", "sqlite:///:memory:"])
def test_no_store_that_nobody_could_find_again(named: str) -> None:
    with pytest.raises(InputError, match="names no file"):
        store_url(named)


def test_passwords_are_not_shown(tmp_path: Path) -> None:
    store = Store(store_url(f"postgresql://me:secret@/db?host={tmp_path}"))
    assert "secret" not in store.name
    with pytest.raises(StoreError, match="cannot be used") as raised:
        queries.runs(store)
    assert "secret" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_directory_that_cannot_be_written(tmp_path: Path, write_run: WriteRun) -> None:
    (tmp_path / "file").touch()
    store = Store(store_url(str(tmp_path / "file/below/runs.sqlite")))
    with pytest.raises(StoreError, match="file/below"):
        import_run(store, write_run("one"))
