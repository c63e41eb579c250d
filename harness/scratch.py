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
import threading
from collections.abc import Iterator
from pathlib import Path

from harness import inuse
from harness.errors import HarnessError
from harness.processes import finish, interruptible

_PREFIX = "afalg."
#: vng makes shell commands of paths.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
#: Unix sockets lie in scratch directories, some in directories of vng's own, and their
#: paths have at most 107 bytes.
_LONGEST = 60
_ELSEWHERE = ("/var/tmp", "/tmp")


@contextlib.contextmanager
def scratch_directory(*, passable: bool = False) -> Iterator[Path]:
    """A temporary directory of this process alone, removed at the end.

    Its path is short enough for unix sockets in it, and means itself to any shell: it lies
    where TMPDIR says, or in /var/tmp if that is no such path. A ``passable`` one lies in
    /var/tmp whatever TMPDIR says, which may be in a home, and other users may enter it.
    """
    with contextlib.ExitStack() as stack:
        path = Path()
        held = False
        while not held:  # a sweep may come between
            place = _elsewhere(scratch_place()) if passable else scratch_place()
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
            held = stack.enter_context(inuse.held(path))
        stack.callback(_remove, path)
        if passable:
            path.chmod(0o711)
        yield path


def sweep() -> None:
    """Remove what processes that were killed have left."""
    for path in leftovers():
        with contextlib.suppress(OSError):
            try:
                inuse.remove(path)
            except PermissionError:
                for renamed in path.parent.glob(f".{path.name.lstrip('.')}.*"):
                    _remove(renamed)


def leftovers() -> list[Path]:
    """The scratch directories of processes that are no more."""
    places = dict.fromkeys((scratch_place(), _elsewhere(scratch_place())))
    # A leading dot: of one that was killed while it swept.
    found = [
        path for place in places for dot in ("", ".") for path in place.glob(f"{dot}{_PREFIX}*")
    ]
    return [path for path in found if _is_ours(path) and not inuse.is_used(path)]


def _remove(path: Path) -> None:
    """Remove the directory and what is in it, be it of the user's subordinate ids."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists() and os.geteuid() != 0:
        argv: list[str | Path] = ["unshare", "--map-root-user", "--map-auto", "rm", "-rf", path]
        # Also amid an interruption.
        with contextlib.suppress(HarnessError), interruptible(threading.Event()):
            finish(argv)


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid() and path.is_dir() and not path.is_symlink()
    except OSError:
        return False


def scratch_place() -> Path:
    """Where scratch directories lie."""
    wanted = tempfile.gettempdir()
    if _PLAIN.fullmatch(wanted) and len(wanted) <= _LONGEST:
        return Path(wanted)
    return _elsewhere(Path(wanted))


def _elsewhere(otherwise: Path) -> Path:
    usable = (place for place in _ELSEWHERE if os.access(place, os.W_OK | os.X_OK))
    return Path(next(usable, otherwise))
