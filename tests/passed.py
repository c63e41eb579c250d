"""Tests that have passed before need not run again: .ci/run goes through some on two machines.

Only what is known to have passed is left out. What was skipped, failed or never ran elsewhere
runs here.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def add_options(parser: pytest.Parser) -> None:
    """``--write-passed`` and ``--except-passed``."""
    group = parser.getgroup("passed")
    group.addoption(
        "--write-passed", type=Path, metavar="FILE", help="write the ids of tests that passed"
    )
    group.addoption(
        "--except-passed", type=Path, metavar="FILE", help="leave out the tests of that FILE"
    )


def register(config: pytest.Config) -> None:
    """Do what the options say."""
    target = config.getoption("--write-passed")
    # Of several processes (pytest-xdist) the one that hears of all tests writes.
    if target is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(target))
    source = config.getoption("--except-passed")
    if source is not None:
        config.pluginmanager.register(_Leaver(config, source))


_PHASES = {"setup", "call", "teardown"}


class _Writer:
    """Writes the file when all is over; a run that is killed leaves none."""

    def __init__(self, target: Path) -> None:
        self._target = target.absolute()
        self._target.unlink(missing_ok=True)
        self._passed: dict[str, set[str]] = {}  # phases, by the test's id

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Set-up, test and tear-down must all have run and passed."""
        phases = self._passed.setdefault(report.nodeid, set())
        if report.passed and report.when:
            phases.add(report.when)

    def pytest_sessionfinish(self) -> None:
        """Write it, an id a line."""
        ids = [test for test, phases in self._passed.items() if phases == _PHASES]
        self._target.write_text("".join(f"{test}\n" for test in ids), encoding="utf-8")


class _Leaver:
    """Deselects what the file names, which pytest counts and prints."""

    def __init__(self, config: pytest.Config, source: Path) -> None:
        try:
            self._ids = frozenset(source.read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise pytest.UsageError(f"--except-passed: {error}") from error
        self._config = config

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave them out."""
        left_out = [item for item in items if item.nodeid in self._ids]
        items[:] = [item for item in items if item.nodeid not in self._ids]
        if left_out:
            self._config.hook.pytest_deselected(items=left_out)
