"""Locks among processes: waited for as long as nobody interrupts, or had only if free."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from harness.processes import check_interrupted, is_interrupted


def wait_for(lock: FileLock) -> None:
    """Acquire ``lock``, whoever holds it now. Raises Interrupted."""
    try:
        lock.acquire(cancel_check=is_interrupted)
    except Timeout:
        check_interrupted()
        raise


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock whose file is ``path`` if nobody else does; whether that is so."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
