"""Creates the tables of a store, and brings those of earlier versions up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x41464147  # among PostgreSQL's advisory locks; any number that others do not use


def config_of(connection: Connection | None = None) -> Config:
    """Alembic's configuration: our scripts, over ``connection``."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def newest() -> str | None:
    """The newest migration that there is a script for."""
    return ScriptDirectory.from_config(config_of()).get_current_head()


def migrate(connection: Connection, found: str | None, to: str = "head") -> bool:
    """Migrate from the version ``found``, None for a store without tables, in a transaction.

    False if that version is none of ours: nothing is done then.
    """
    config = config_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        return False
    if connection.dialect.name == "postgresql":
        # Without tables there is no row yet on which to wait for others that create them.
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    command.upgrade(config, to)
    return True
