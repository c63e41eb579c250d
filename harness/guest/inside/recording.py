"""The pytest plugin in the guest: streams plan, outcomes and facts to the host as they arise.

Tests get three fixtures from it, ``record_fact``, ``record_transcripts`` and
``known_answers``. A test that exceeds
its time limit is interrupted and reported as ``timeout``; the suite goes on.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import FrameType

import pytest

from harness.guest.inside import records

#: Plugins that cost start-up time or terminal output and that no suite here needs.
_UNUSED_PLUGINS = (
    "cacheprovider",
    "debugging",
    "doctest",
    "faulthandler",
    "junitxml",
    "legacypath",
    "logging",
    "nose",
    "pastebin",
    "setuponly",
    "setupplan",
    "stepwise",
    "threadexception",
    "unraisableexception",
    "warnings",
)
PYTEST_ARGUMENTS = [
    *(argument for name in _UNUSED_PLUGINS for argument in ("-p", f"no:{name}")),
    "--quiet",
    "--quiet",
    "--no-header",
    "--no-summary",
    "--color=no",
    "--tb=short",
    "--capture=sys",
    "--import-mode=importlib",
]
_MESSAGE_LIMIT = 2000  # characters
_DETAILS_LIMIT = 20000


class TestTimeout(BaseException):
    """Raised in a test at its time limit; not an Exception, so that no test catches it."""

    __test__ = False


class Recorder:
    """Turns pytest's hooks into records."""

    def __init__(self, writer: records.RecordWriter, test_seconds: float) -> None:
        self._writer = writer
        self._limit = test_seconds
        self._reports: list[pytest.TestReport] = []
        self._timed_out = False
        self._taint = records.read_taint()
        self._started = 0.0

    @pytest.fixture
    def record_fact(self, request: pytest.FixtureRequest) -> Callable[..., None]:
        """Record what a probe saw: ``record_fact(name, state=…, control=…, evidence=…)``."""

        def record(name: str, *, state: str, control: str = "not_run", evidence: str = "") -> None:
            self._writer.send(
                "fact",
                name=name,
                state=str(state),
                control=str(control),
                evidence=evidence,
                test=request.node.nodeid,
            )

        return record

    @pytest.fixture
    def record_transcripts(self) -> Callable[[Mapping[str, str]], None]:
        """Record what the kernel answered to sequences of calls: text of each -> answers."""

        def record(transcripts: Mapping[str, str]) -> None:
            self._writer.send("transcripts", transcripts=dict(transcripts))

        return record

    @pytest.fixture(scope="session")
    def known_answers(self) -> dict[str, object]:
        """What the host's oracle computed (``harness/guest/oracle.py``)."""
        answers = json.loads(Path(os.environ["AFALG_KNOWN_ANSWERS"]).read_text())
        assert isinstance(answers, dict)
        return answers

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected is reported at once: its tests have no plan."""
        if report.failed:
            self._writer.send(
                "collection_error", id=report.nodeid, message=report.longreprtext[-_DETAILS_LIMIT:]
            )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The plan: what will run, in order."""
        self._writer.send("plan", tests=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Announce the test here and in the kernel log."""
        self._reports.clear()
        self._timed_out = False
        self._writer.send("start", id=nodeid)
        records.log_to_console([f"start {nodeid}"])
        self._started = time.monotonic()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, None, None]:
        """Arm the test's time limit."""
        signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._limit)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _expire(self, _signal: int, _frame: FrameType | None) -> None:
        self._timed_out = True
        raise TestTimeout(f"no end within {self._limit:g} s")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the phases of a test until its end."""
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """One record per test, from its setup, call and teardown together."""
        outcome, message, details = self._summarize()
        self._writer.send(
            "outcome",
            id=nodeid,
            outcome=outcome,
            seconds=round(time.monotonic() - self._started, 4),
            message=message[:_MESSAGE_LIMIT],
            details=details[-_DETAILS_LIMIT:],
        )
        taint = records.read_taint()
        if taint != self._taint:
            self._writer.send("taint", before=self._taint, after=taint, test=nodeid)
            self._taint = taint

    def _summarize(self) -> tuple[str, str, str]:
        bad = [report for report in self._reports if report.failed]
        if self._timed_out:
            text = bad[0].longreprtext if bad else ""
            return "timeout", f"no end within {self._limit:g} s", text
        if bad:
            first = bad[0]
            outcome = "failed" if first.when == "call" else "error"
            return outcome, _crash_message(first), first.longreprtext
        for report in self._reports:
            if report.skipped:
                return "skipped", _skip_reason(report), ""
        if any(report.when == "call" for report in self._reports):
            return "passed", "", ""
        return "error", "pytest reported no call phase", ""


def _crash_message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = getattr(crash, "message", None) or report.longreprtext
    return str(message).strip()


def _skip_reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected failure: {report.wasxfail}"
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return report.longreprtext
