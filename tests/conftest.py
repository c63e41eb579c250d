"""What all of the harness's own tests rely on."""

from __future__ import annotations

import os
import signal

import pytest

from tests import passed

#: By these rich would take the terminal that pytest was started on for that of a test.
_TERMINAL = ("COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of tests/passed.py."""
    passed.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Depend on no terminal, and heed Ctrl-C even where a shell's background job has it ignored.

    Our children inherit both.
    """
    for name in _TERMINAL:
        os.environ.pop(name, None)
    os.environ["TERM"] = "xterm"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    passed.register(config)
