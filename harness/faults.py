"""What becomes of an error: an exit code and one line for people.

An error that nobody foresaw is a fault of ours. It says nothing of a kernel, so it is
infrastructure, and its traceback goes into a file that the line names.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ExitCode, HarnessError

FILE_NAME = "harness-error.log"

_WORDS = 300  # characters of an error's own words
_FULL = (errno.ENOSPC, errno.EDQUOT)
_writing = threading.Lock()


@dataclass(frozen=True)
class Told:
    """An error in words: ``line`` says what, which input, what to do."""

    code: ExitCode
    line: str


def tell(error: BaseException, directory: Path | None = None) -> Told:
    """What to say of ``error``, and the exit code that it leads to. Raises nothing.

    Details of a fault of ours are added to a file in ``directory`` (None: a new one among the
    temporary files).
    """
    if isinstance(error, HarnessError):
        return Told(ExitCode(error.exit_code), str(error))
    if isinstance(error, KeyboardInterrupt):
        return Told(ExitCode.INTERRUPTED, "interrupted")
    if isinstance(error, OSError) and error.errno in _FULL:
        return Told(ExitCode.INFRASTRUCTURE, f"no space left: {error.filename or error}")
    words = " ".join(f"{type(error).__name__}: {error}".split())[:_WORDS].removesuffix(":")
    where = _keep("".join(traceback.format_exception(error)), directory)
    details = f"the details are in {where}" if where else "its details could not be written"
    line = f"the harness failed: {words}; a fault of ours, {details}"
    return Told(ExitCode.INFRASTRUCTURE, line)


def _keep(text: str, directory: Path | None) -> Path | None:
    """Write ``text`` where it can be found; returns the file, None if no place takes it."""
    if directory is not None:
        with contextlib.suppress(OSError), _writing:
            path = directory / FILE_NAME
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(f"{text}\n")
            return path
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix="afalg-harness-error-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return Path(name)
    return None
