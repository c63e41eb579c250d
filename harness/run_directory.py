"""What a run directory is called, and what lies where in it (docs/run-directory.md)."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Container
from pathlib import Path

from harness.errors import InputError
from harness.report import results_file

#: Folder of the kernels' own directories.
KERNELS = "kernels"
#: What every guest was given to run; vng.txt needs it.
PAYLOAD = "payload.tar"
#: Reports written beside results.json at the end of every run, by their formats.
REPORT_FORMATS = ("junit", "summary", "html")


def new_run_directory() -> Path:
    """A fresh ``runs/<UTC time>-<id>`` below the working directory (not created)."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("runs") / f"{now}-{secrets.token_hex(2)}"


def refuse_finished(out: Path) -> None:
    """Raise InputError if ``out`` holds a run, finished or not: none is ever written over."""
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out}: not a directory")
        used = [name for name in (results_file.FILE_NAME, KERNELS) if (out / name).exists()]
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror or error}") from error
    if used:
        raise InputError(f"--out {out}: holds a run already ({used[0]}); name another directory")


def kernel_directory(release: str, taken: Container[str]) -> str:
    """What a kernel's directory is called: by its release, with ``~2`` if that is ``taken``."""
    name, number = release, 1
    while name in taken:
        number += 1
        name = f"{release}~{number}"
    return name
