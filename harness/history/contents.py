"""Bulk of the store: compressed, and there once however many runs have it."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from harness.history.tables import CONTENTS, FILES, RUNS

#: Consoles and records compress to a tenth with it, at 50 MB a second.
_PRESET = 1
_AT_ONCE = 500  # of what SQL is asked for; SQLite takes 32,766 parameters


@dataclass(frozen=True)
class Content:
    """Something packed."""

    sha256: str  # of what it is once unpacked
    size: int  # bytes, once unpacked
    data: bytes


def packed(raw: bytes) -> Content:
    """``raw``, compressed."""
    return Content(hashlib.sha256(raw).hexdigest(), len(raw), lzma.compress(raw, preset=_PRESET))


def unpacked(data: bytes) -> bytes:
    """What was packed. Raises lzma.LZMAError if it is damaged."""
    return lzma.decompress(data)


def add(connection: Connection, contents: Iterable[Content]) -> None:
    """Store those that are not there yet."""
    wanted = {content.sha256: content for content in contents}
    known: set[str] = set()
    for some in batches(list(wanted)):
        asked = select(CONTENTS.c.sha256).where(CONTENTS.c.sha256.in_(some))
        known |= set(connection.scalars(asked))
    for sha256, content in wanted.items():
        if sha256 not in known:
            connection.execute(
                insert(CONTENTS), {"sha256": sha256, "size": content.size, "data": content.data}
            )


def forget_unused(connection: Connection) -> None:
    """Delete what no run has any more."""
    used = select(FILES.c.content).union(select(RUNS.c.results))
    connection.execute(delete(CONTENTS).where(CONTENTS.c.sha256.not_in(used)))


def batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """``items`` in parts of which each fits into a question."""
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
