"""Temporary directories that are gone when their process is, even if it was killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"afalg-(\d+)-")


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A temporary directory, removed at the end. Its name tells whose it is."""
    path = Path(tempfile.mkdtemp(prefix=f"afalg-{os.getpid()}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep() -> None:
    """Remove the directories of processes that no longer exist (killed before they could)."""
    for path in Path(tempfile.gettempdir()).glob("afalg-*"):
        match = _NAME.match(path.name)
        if match and not Path("/proc", match.group(1)).exists():
            with contextlib.suppress(OSError):
                if path.stat().st_uid == os.getuid():
                    shutil.rmtree(path, ignore_errors=True)
