"""SQLAlchemy's engine for a store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from harness.errors import InputError

_CACHE = 64 << 10  # KiB that SQLite may keep of the file while it writes


def engine_of(url: str, wait: float) -> Engine:
    """An engine whose transactions exclude other writers from the start.

    ``wait`` is for how many seconds others that write are waited for. Raises InputError for
    what is no URL or names no database that SQLAlchemy knows.
    """
    is_sqlite = url.startswith("sqlite")
    arguments: dict[str, Any] = {"timeout": wait} if is_sqlite else {}
    try:
        engine = create_engine(url, connect_args=arguments, poolclass=NullPool)
    except ArgumentError as error:
        raise InputError(f"--store: {str(error).splitlines()[0]}") from error
    if is_sqlite:
        event.listen(engine, "connect", _connect)
        event.listen(engine, "begin", _begin)
    return engine


def _connect(connection: Any, _: object) -> None:
    # The driver itself would begin late, commit before DDL, and lose the race of two writers
    # that both have read.
    connection.isolation_level = None
    connection.execute(f"PRAGMA cache_size = -{_CACHE}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
