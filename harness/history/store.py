"""The database of the store: opened, created, migrated; read by many, written by one at a time.

Reading goes through the driver itself where the store is an SQLite file: importing SQLAlchemy
takes longer than any question does. So questions are SQL, with parameters as ``:name``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.errors import InfrastructureError, InputError
from harness.locations import default_store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: The newest migration (the tests hold it against Alembic's own word), and Alembic's table.
REVISION = "0002"
VERSION_TABLE = "afalg_store_version"

_SQLITE = "sqlite:///"
_SCHEME = re.compile(r"[a-z][a-z0-9+]*:")
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")
_WAIT = 300  # seconds for whoever writes: dozens may want to at once
_REVISION_OF = f"SELECT version_num FROM {VERSION_TABLE}"
_READ_ONLY = ("readonly", "read-only", "unable to open")


class StoreError(InfrastructureError):
    """The store cannot be used: damaged, of a later version, or nobody answers for it."""


def store_url(named: str | None) -> str:
    """The URL of the store: as ``named``, by $AFALG_STORE, or an SQLite file of XDG's data.

    A name without a scheme is the path of an SQLite file. Raises InputError.
    """
    text = named or os.environ.get("AFALG_STORE") or ""
    if not text:
        return f"{_SQLITE}{default_store()}"
    if not _SCHEME.match(text):
        return f"{_SQLITE}{Path(text).expanduser().absolute()}"
    scheme, _, rest = text.partition("://")
    if scheme in ("postgresql", "postgres"):  # the one of its drivers that we bring along
        return f"postgresql+psycopg://{rest}"
    if scheme.startswith("sqlite"):
        file = rest.partition("?")[0].removeprefix("/")
        if file in ("", ":memory:"):
            raise InputError(f"--store {text}: names no file")
        return f"{_SQLITE}{Path(file).absolute()}"
    return text


class Store:
    """A store that is opened when it is first asked; ``url`` as ``store_url`` gives it."""

    def __init__(self, url: str) -> None:
        self.url = url
        #: What to call it in messages: passwords are nobody else's business.
        self.name = _PASSWORD.sub(r"\1:***@", url).removeprefix(_SQLITE)
        self._file = Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
        self._engine: Engine | None = None
        self._reader: sqlite3.Connection | None = None
        self._current = False  # known to be of this version
        self._checked = False  # known not to be damaged

    def check_address(self) -> None:
        """Raise InputError for a URL that SQLAlchemy cannot make anything of.

        Nobody is connected to.
        """
        if self._file is None:
            with self._faults_named():
                self._of_engine()

    def exists(self) -> bool:
        """Whether anything was ever stored: a store is created when it is first written to."""
        if self._file is not None:
            return self._file.exists() and self._file.stat().st_size > 0
        with self._faults_named(), self._connected() as connection:
            return self._revision(connection) is not None

    def rows(self, question: str, **parameters: object) -> list[Any]:
        """The answer to a question in SQL; [] from a store that is not there yet.

        Raises StoreError.
        """
        if not self._current and not self._is_readable():
            return []
        with self._faults_named():
            if self._file is not None:
                return self._read().execute(question, parameters).fetchall()
            from sqlalchemy import text  # noqa: PLC0415  (slow)

            with self._connected() as connection:
                return [tuple(row) for row in connection.execute(text(question), parameters)]

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction in which nobody else writes, in a store that is there and up to date.

        What this block does becomes visible as a whole or not at all. Raises StoreError; one
        that is damaged, or that a later version wrote, is not touched.
        """
        from sqlalchemy import column, select, table  # noqa: PLC0415  (slow)

        self._refuse_damaged()
        with self._faults_named(), self._connected() as connection, connection.begin():
            self._migrate(connection)
            # A row that all writers want: one after the other, in any database. (SQLite, which
            # knows no such thing, has begun with that.)
            version = select(table(VERSION_TABLE, column("version_num")))
            connection.execute(version.with_for_update())
            yield connection

    def compact(self) -> None:
        """Give back to the file system what deleted rows leave free in an SQLite file."""
        if self._file is not None:
            with self._faults_named():
                self._read().execute("VACUUM")

    def close(self) -> None:
        """Give up its connections; it may be asked again."""
        if self._reader is not None:
            self._reader.close()
        if self._engine is not None:
            self._engine.dispose()
        self._reader = self._engine = None

    def _is_readable(self) -> bool:
        """Whether there is something to read, migrated first if an earlier version wrote it."""
        if not self.exists():
            return False
        with self._faults_named():
            if self._file is not None:
                found = self._read_revision()
            else:
                with self._connected() as connection:
                    found = self._revision(connection)
        if found != REVISION:
            with self.writing():
                pass
        self._current = True
        return True

    def _read(self) -> sqlite3.Connection:
        if self._reader is None:
            assert self._file is not None
            path = quote(str(self._file.absolute()))
            # Not "ro": what a writer that was killed left behind is rolled back by any reader.
            self._reader = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_WAIT)
        return self._reader

    def _read_revision(self) -> str | None:
        tables = {name for (name,) in self._read().execute("SELECT name FROM sqlite_master")}
        if VERSION_TABLE not in tables:
            if tables:
                raise StoreError(f"{self.name}: is no store of runs, but another SQLite database")
            return None
        found = self._read().execute(_REVISION_OF).fetchone()
        return str(found[0]) if found else None

    def _of_engine(self) -> Engine:
        if self._engine is None:
            from harness.history.engine import engine_of  # noqa: PLC0415  (slow)

            self._engine = engine_of(self.url, _WAIT)
        return self._engine

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._of_engine().connect() as connection:
            yield connection

    def _revision(self, connection: Connection) -> str | None:
        from sqlalchemy import inspect, text  # noqa: PLC0415  (slow)

        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(text(_REVISION_OF)).scalar()

    def _migrate(self, connection: Connection) -> None:
        """Create the tables, or make of an earlier version's what this one has."""
        if self._current:
            return
        found = self._revision(connection)
        if found != REVISION:
            from harness.history.migrate import migrate  # noqa: PLC0415  (slow)

            if not migrate(connection, found):
                raise StoreError(
                    f"{self.name}: was written by a later version of afalg-harness"
                    f" (store version {found}, and this one knows {REVISION}); use that one"
                )
        self._current = True

    def _refuse_damaged(self) -> None:
        """Raise StoreError for an SQLite file that is damaged, before anything is written."""
        if self._checked or self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self._file.parent}: {error.strerror}") from error
        if self.exists():
            with self._faults_named():
                self._read_revision()
                (said,) = self._read().execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise self._damaged(str(said))
        self._checked = True

    def _damaged(self, said: str) -> StoreError:
        words = " ".join(said.replace("***", "").split())
        return StoreError(
            f"{self.name}: the store is damaged ({words}); nothing was written to it. Move it away"
            " and import your runs again: afalg-harness runs import runs/*"
        )

    @contextlib.contextmanager
    def _faults_named(self) -> Iterator[None]:
        """Turn what the database says into one line that names the store."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from error
        except ModuleNotFoundError as error:
            raise StoreError(
                f"{self.name}: needs the Python package {error.name} (for PostgreSQL:"
                " pip install 'afalg-harness[postgresql]')"
            ) from error
        except Exception as error:
            if not type(error).__module__.startswith("sqlalchemy."):
                raise
            raise self._named(getattr(error, "orig", None) or error) from error

    def _named(self, error: BaseException) -> StoreError:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        said = _PASSWORD.sub(r"\1:***@", lines[0])
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError | sqlite3.IntegrityError | sqlite3.ProgrammingError
        ):
            return self._damaged(said)
        if "no such table" in said or "no such column" in said:
            return self._damaged(said)
        if "locked" in said:
            said = f"another process has written to it for {_WAIT} s"
        elif any(word in said for word in _READ_ONLY):
            said = f"it cannot be opened, or not be written to ({said})"
        return StoreError(f"{self.name}: the store cannot be used: {said}")
