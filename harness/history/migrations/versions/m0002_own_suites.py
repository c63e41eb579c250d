"""Revisions of the user's suites: their tests are flaky only where those are the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Of runs that are there, none is known."""
    op.add_column("runs", sa.Column("own_suites", sa.Text(), nullable=False, server_default=""))
