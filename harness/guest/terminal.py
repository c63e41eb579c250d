"""Starts a program on a pseudo-terminal of its own, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pexpect

from harness.processes import heed_hangup

#: One thread at a time: filelock 4.3 refuses a second fork on Python 3.12 and later.
_FORKING = threading.Lock()


def on_terminal(
    argv: Sequence[str],
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    dimensions: tuple[int, int] | None = None,
    echo: bool = True,
) -> pexpect.spawn[str]:
    """The program ``argv``, running in ``directory``; it ends with its terminal.

    ``dimensions`` are the terminal's lines and columns. Whoever asks for what it prints says how
    long that may take. Raises ExceptionPexpect or OSError if it cannot be started.
    """
    with _FORKING:
        return pexpect.spawn(
            argv[0],
            list(argv[1:]),
            timeout=None,
            cwd=str(directory),
            env=environment,
            dimensions=dimensions,
            encoding="utf-8",
            codec_errors="replace",
            echo=echo,
            preexec_fn=heed_hangup,
        )
