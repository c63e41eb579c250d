"""Marks of use on directories of the cache, so that none is deleted under another process.

A process that uses a directory holds a shared lock (flock(2)) on the directory itself until
it ends, in whatever way it ends. Who wants to delete it needs the exclusive one. When it
was used last is the modification time of a file in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

_STAMP = "last-used"
_held: dict[Path, int] = {}
_guard = threading.Lock()


def hold(directory: Path) -> bool:
    """Mark ``directory`` as used by this process until it ends; False if it is not there.

    Needs no permission to write: a cache on a read-only file system has no stamps, that is
    all.
    """
    with _guard:
        known = _held.get(directory)
        if known is not None:
            if _is_at(known, directory):
                _stamp(directory)
                return True
            os.close(_held.pop(directory))
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        # Whoever holds the exclusive lock is about to move the directory away.
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_at(descriptor, directory):
            os.close(descriptor)
            return False
        _held[directory] = descriptor
        _stamp(directory)
        return True


@contextlib.contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Mark ``directory`` as used within this block, without a stamp; False if it is gone."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield _is_at(descriptor, directory)
    finally:
        os.close(descriptor)


def last_used(directory: Path) -> float | None:
    """When ``directory`` was marked last (Unix time); None if it never was."""
    try:
        return (directory / _STAMP).stat().st_mtime
    except OSError:
        return None


def is_used(directory: Path) -> bool:
    """Whether any process uses ``directory`` now."""
    with alone(directory) as unused:
        return not unused and directory.exists()


def remove(directory: Path) -> bool:
    """Delete ``directory`` unless a process uses it; whether it was deleted.

    It vanishes at once, under a name that begins with a dot, so that what is killed halfway
    leaves a leftover and no half directory. Raises OSError.
    """
    with alone(directory) as unused:
        if not unused:
            return False
        doomed = directory.with_name(f".{directory.name.lstrip('.')}.{secrets.token_hex(4)}")
        directory.rename(doomed)
    shutil.rmtree(doomed)
    return True


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[bool]:
    """Whether no process has ``directory`` marked as used; within, none can mark it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield _is_at(descriptor, directory)
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, directory: Path) -> bool:
    """Whether the open directory is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), directory.stat())
    except OSError:
        return False


def _stamp(directory: Path) -> None:
    with contextlib.suppress(OSError):
        (directory / _STAMP).touch()
