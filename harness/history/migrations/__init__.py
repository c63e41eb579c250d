"""How the tables of the store came to be, version by version (Alembic)."""
