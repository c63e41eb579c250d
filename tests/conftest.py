"""What all of the harness's own tests rely on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests import passed

#: By these rich would take the terminal that pytest was started on for that of a test.
_TERMINAL = ("COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE")

#: Files begin in this order, those that take longest first, so that none is waited for alone in
#: the end: ci/test.sh gives whole files to processes, at first two to each, of these the first
#: and the third to one. What looks at a run that an earlier file makes comes well after it.
_FIRST = (
    *("vm/test_known_truth.py", "vm/test_endings.py", "vm/test_generations.py"),
    *("vm/test_boots.py", "vm/test_bisect.py", "vm/test_host_faults.py", "vm/test_install.py"),
    *("vm/test_isolation.py", "vm/test_packages.py", "vm/test_shell.py", "vm/test_fetch.py"),
    *("vm/test_run.py", "unit/test_html_browser.py", "unit/commands/test_refusals.py"),
    *("unit/kernels/test_robustness.py", "unit/kernels/source/test_revision.py"),
    *("unit/report/test_hostile_text.py", "unit/bisect/test_command.py"),
    "unit/docs/test_commands.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files in the order above; within each, and among all others, it stays."""
    order = {Path(__file__).parent / name: number for number, name in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


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
