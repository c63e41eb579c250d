"""Alembic's entry: migrates over the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from harness.history.store import VERSION_TABLE
from harness.history.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite cannot alter most of a table in place
)
with context.begin_transaction():
    context.run_migrations()
