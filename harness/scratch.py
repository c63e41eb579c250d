"""Temporary directories that are gone when their process is, even if it was killed.

A live one is locked, which any process can see: process ids mean nothing to processes in
other PID namespaces (containers) that share the directory for temporary files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import inuse

_PREFIX = "afalg."
#: vng makes shell commands of paths.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
#: Unix sockets lie in scratch directories, some in directories of vng's own, and their
#: paths have at most 107 bytes.
_LONGEST = 60
_ELSEWHERE = ("/var/tmp", "/tmp")


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A temporary directory of this process alone, removed at the end.

    Its path is short enough for unix sockets in it, and means itself to any shell: it lies
    where TMPDIR says, or in /var/tmp if that is no such path.
    """
    with contextlib.ExitStack() as stack:
        path = Path()
        held = False
        while not held:  # a sweep may come between
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_place()))
            held = stack.enter_context(inuse.held(path))
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        yield path


def sweep() -> None:
    """Remove what processes that were killed have left."""
    for path in leftovers():
        with contextlib.suppress(OSError):
            inuse.remove(path)


def leftovers() -> list[Path]:
    """The scratch directories of processes that are no more."""
    # A leading dot: of one that was killed while it swept.
    found = [path for dot in ("", ".") for path in _place().glob(f"{dot}{_PREFIX}*")]
    return [path for path in found if _is_ours(path) and not inuse.is_used(path)]


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid() and path.is_dir() and not path.is_symlink()
    except OSError:
        return False


def _place() -> Path:
    """Where scratch directories lie."""
    wanted = tempfile.gettempdir()
    if _PLAIN.fullmatch(wanted) and len(wanted) <= _LONGEST:
        return Path(wanted)
    usable = (place for place in _ELSEWHERE if os.access(place, os.W_OK | os.X_OK))
    return Path(next(usable, wanted))
