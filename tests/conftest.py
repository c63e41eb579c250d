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


@pytest.fixture(scope="session", autouse=True)
def _store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No run of a test goes into the store of whoever runs the tests."""
    os.environ["AFALG_STORE"] = str(tmp_path_factory.getbasetemp() / "runs.sqlite")
