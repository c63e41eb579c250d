"""Sends to the host what gcov counted: for ci/coverage.py, which has this suite run last.

Transcripts are the records that carry any text, so the files travel as such.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

_DEBUGFS = Path("/sys/kernel/debug")
#: CONFIG_GCOV_KERNEL: a tree of files named as the compiler would have written them.
_COUNTED = _DEBUGFS / "gcov"


@pytest.mark.may_crash  # not that it could, but those run last of all
def test_collect(record_transcripts: Callable[[Mapping[str, str]], None]) -> None:
    """Every counter of the profiled files, in gcov's own format."""
    if not _COUNTED.is_dir():
        subprocess.run(["mount", "-t", "debugfs", "none", _DEBUGFS], check=True)
    files = sorted(_COUNTED.rglob("*.gcda"))
    assert files, "nothing of this kernel is profiled"
    record_transcripts(
        {
            f"gcov /{file.relative_to(_COUNTED)}": base64.b64encode(file.read_bytes()).decode()
            for file in files
        }
    )
