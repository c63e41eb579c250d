"""Debian's archive: what it lists, and how it is fetched."""
