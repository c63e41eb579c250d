"""Pytest plugin of the agent's: runs tests as pytest does, without what only a terminal shows.

Under emulation pytest's own part of a test that does nothing takes longer than most tests. A
third of that goes into reports of phases that passed, into a terminal that nobody sees, and
into asking for every hook which ``conftest.py`` it concerns. What a test sees of pytest, and
what the recorder makes of it, is the same (``_pytest/runner.py`` of 7.2 to 9.2 is the model).

Where a suite of the user's looks at reports itself, pytest's own runner makes them all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import pluggy

#: With these a plugin sees each test begin, each of its phases end, or it itself end.
REPORTING = (
    "pytest_exception_interact",
    "pytest_runtest_logfinish",
    "pytest_runtest_logreport",
    "pytest_runtest_logstart",
    "pytest_runtest_makereport",
)
_KNOWN = ("_pytest.", "harness.guest.inside.")
_PHASES = ("setup", "call", "teardown")
_ENDS_ALL = (pytest.exit.Exception, KeyboardInterrupt)
#: Instead of capturing what each phase of a test prints.
ARGUMENTS = ("--capture=no",)


class Recorder(Protocol):
    """Who is told what becomes of tests (``recording.py``)."""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""

    def phase_passed(self, when: str) -> None:
        """A phase of it ("setup", "call", "teardown") passed."""

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """It has ended."""


class Runner:
    """Runs each test, and tells ``recorder``."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._hooks: dict[Path, pluggy.HookRelay] = {}
        self._phases: dict[str, pluggy.HookCaller] = {}
        self._is_watched = True

    def pytest_plugin_registered(self) -> None:
        """Whatever is known of hooks is out of date: this may be a ``conftest.py``."""
        self._hooks.clear()
        self._phases.clear()

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Ask pytest once, and not for each hook of each test, which hooks a path has."""
        ask = session.gethookproxy

        def remembered(path: Path) -> pluggy.HookRelay:
            if path not in self._hooks:
                hooks = ask(path)  # may load a conftest.py
                self._hooks[path] = hooks
            return self._hooks[path]

        vars(session)["gethookproxy"] = remembered

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Do without pytest's terminal: the recorder tells all that it would."""
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self) -> Generator[None, None, None]:
        """What modules print when they are imported is read by nobody."""
        with _unheard():
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtestloop(self) -> Generator[None, None, None]:
        """Nor is what tests print."""
        with _unheard():
            yield

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run one test; leaves it to pytest if somebody else wants reports."""
        if self._somebody_watches(item.config):
            return None
        self._recorder.pytest_runtest_logstart(item.nodeid)
        hooks = dict(self._phases)
        if item.ihook is not item.config.hook:  # some conftest.py does not concern this test
            hooks = {name: getattr(item.ihook, f"pytest_runtest_{name}") for name in _PHASES}
        if self._passes("setup", item, lambda: hooks["setup"](item=item)):
            self._passes("call", item, lambda: hooks["call"](item=item))
        self._passes("teardown", item, lambda: hooks["teardown"](item=item, nextitem=nextitem))
        _let_go(item)
        self._recorder.pytest_runtest_logfinish(item.nodeid)
        return True

    def _somebody_watches(self, config: pytest.Config) -> bool:
        """Whether reports are wanted; makes the hooks of the phases of a test, too."""
        if not self._phases:
            manager = config.pluginmanager
            # It has nothing to capture; ``capsys`` and its like go on by themselves.
            capturing = [manager.get_plugin("capturemanager")]
            for name in _PHASES:
                self._phases[name] = manager.subset_hook_caller(f"pytest_runtest_{name}", capturing)
            self._is_watched = any(
                not implementation.function.__module__.startswith(_KNOWN)
                for name in REPORTING
                for implementation in getattr(config.hook, name).get_hookimpls()
            )
        return self._is_watched

    def _passes(self, when: str, item: pytest.Item, run: Callable[[], None]) -> bool:
        """Run one phase of a test; whether it passed."""
        call = pytest.CallInfo.from_call(run, when, _ENDS_ALL)  # type: ignore[arg-type]
        # A test that is expected to fail has not passed yet if it does not raise.
        may_fail = when == "call" and item.get_closest_marker("xfail") is not None
        if call.excinfo is None and not may_fail and not self._somebody_watches(item.config):
            self._recorder.phase_passed(when)
            return True
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        item.ihook.pytest_runtest_logreport(report=report)
        return bool(report.passed)


def _let_go(item: pytest.Item) -> None:
    """Drop what a test's fixtures gave, as pytest's own ``runtestprotocol`` does."""
    if hasattr(item, "_request"):
        vars(item).update(_request=False, funcargs=None)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Python's standard streams lead nowhere; the descriptors below them stay."""
    with (
        open(os.devnull, "w") as null,  # noqa: PTH123  (a path object would be another import)
        contextlib.redirect_stdout(null),
        contextlib.redirect_stderr(null),
    ):
        yield
