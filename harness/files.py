"""Files that are written whole or not at all, and what goes wrong with those of the cache."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import InfrastructureError


def write_whole(path: Path, text: str | Iterable[str]) -> None:
    """Write ``text`` to ``path``: a reader sees the old file or the new one, never a part.

    ``text`` may come in pieces, so that it need not exist as a whole.

    That holds across a loss of power as well. Raises OSError, whose file name is ``path``.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines((text,) if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def keep_newest(folder: Path, pattern: str, count: int) -> None:
    """Delete what matches ``pattern`` in ``folder``, but for the ``count`` used or written last.

    Raises OSError.
    """
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    for old in found[:-count]:
        old.unlink()


@contextlib.contextmanager
def full_disk_named(place: Path | str, remedy: str) -> Iterator[None]:
    """Turn the error of a full disk into one line that names ``place`` and what else to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InfrastructureError(
                f"no space left in {place}; free some, or {remedy}"
            ) from error
        raise


@contextlib.contextmanager
def cache_errors_named(cache: Path) -> Iterator[None]:
    """Turn errors of a full or unwritable cache into one line that names its directory."""
    try:
        with full_disk_named(f"the cache {cache}", "choose another with --cache"):
            yield
    except OSError as error:
        if isinstance(error.filename, str) and _related(Path(error.filename), cache):
            raise InfrastructureError(
                f"the cache {cache} cannot be used ({error.strerror}: {error.filename})"
            ) from error
        raise


def _related(path: Path, cache: Path) -> bool:
    return path.is_relative_to(cache) or cache.is_relative_to(path)
