"""The pytest plugin in the guest: streams plan, outcomes and facts to the host as they arise.

Tests get four fixtures from it, ``record_fact``, ``record_transcripts``, ``provoked`` and
``known_answers``. A test that exceeds
its time limit is interrupted and reported as ``timeout``; the suite goes on. A skip whose
exception has a ``reason_data`` is reported with that reason as data.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Protocol

import pytest

from harness.guest.inside import records
from harness.guest.inside.expiry import Expiry
from harness.guest.inside.words import Control, Defect, Outcome, Reason, State, Waited, Witness

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
#: What is said of a test that was ended before its limit. The same of all that are alike.
_STANDS_STILL = {
    Waited.HUNG: "hung: asleep in {where}, and nothing else in the guest was awake",
    Waited.NOT_WAITED_FOR: "not waited for: asleep in {where}, where several tests before it hung",
}
_SOON = 0.05  # seconds
_MESSAGE_LIMIT = 2000  # characters
_DETAILS_LIMIT = 20000


class TestTimeout(BaseException):
    """Raised in a test at its time limit; not an Exception, so that no test catches it."""

    __test__ = False


class Writer(Protocol):
    """Where records go."""

    def send(self, record: records.Record) -> None:
        """Take one."""


class Recorder:
    """Turns pytest's hooks into records."""

    def __init__(
        self,
        writer: Writer,
        test_seconds: float,
        only: Collection[str] = (),
        expiry: Expiry | None = None,
        left: Collection[str] = (),
        planned: Sequence[str] = (),
    ) -> None:
        """``only`` has the ids of the tests to run; () if all that are collected are.

        ``expiry`` says why a test is ended before its time limit. Tests of the files in
        ``left`` are planned, and another guest runs them. ``planned`` is the whole plan where
        tests run before all are collected (``stages.py``).
        """
        self._writer = writer
        self._expiry = expiry if expiry is not None else Expiry()
        self._begun = 0  # tests
        self._only = only
        self._left = left
        self._planned = tuple(planned)
        self._has_plan = False  # the host
        self._limit = test_seconds
        self._reports: list[pytest.TestReport] = []
        self._was_called = False
        self._reason: Reason | None = None
        self._defect: Defect | None = None
        self._timed_out = ""  # the message, if it was ended
        self._waited = Waited.LIMIT
        self._reporting = False  # pytest makes a report of what it has run
        self._taint = records.read_taint()
        self._started = 0.0

    @pytest.fixture
    def record_fact(self, request: pytest.FixtureRequest) -> Callable[..., None]:
        """Record what a probe saw: ``record_fact(name, state=…, control=…, evidence=…)``.

        ``reason`` says as data why it is unreachable, fails or is unknown; ``witness`` what
        the witness inside the kernel said; ``value`` what was found, in a word, where the
        state alone does not say it; ``shapes`` in how many shapes it was told.
        """

        def record(
            name: str,
            *,
            state: str,
            control: str = Control.NOT_RUN,
            evidence: str = "",
            reason: Reason | None = None,
            witness: str = Witness.NONE,
            value: str = "",
            shapes: int = 1,
        ) -> None:
            self._writer.send(
                records.Probed(
                    name=name,
                    state=State(state),
                    control=Control(control),
                    evidence=evidence,
                    test=request.node.nodeid,
                    reason=reason,
                    witness=Witness(witness),
                    value=value,
                    shapes=shapes,
                )
            )

        return record

    @pytest.fixture
    def record_transcripts(self) -> Callable[[Mapping[str, str]], None]:
        """Record what the kernel answered to sequences of calls: text of each -> answers."""

        def record(transcripts: Mapping[str, str]) -> None:
            self._writer.send(records.Transcripts(dict(transcripts)))

        return record

    @pytest.fixture
    def provoked(self) -> Callable[[], None]:
        """Record that what the test's defect needs came about: call it when that is seen."""

        def record() -> None:
            assert self._defect is not None, "only a test marked as a regression can provoke"
            self._defect = replace(self._defect, provoked=True)

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
            text = report.longreprtext[-_DETAILS_LIMIT:]
            self._writer.send(records.CollectionError(report.nodeid, text))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out what this boot is not for."""
        if self._only:
            left_out = [item for item in items if item.nodeid not in self._only]
            items[:] = [item for item in items if item.nodeid in self._only]
            config.hook.pytest_deselected(items=left_out)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The plan: what will run, in order."""
        if not self._has_plan:
            plan = self._planned or tuple(item.nodeid for item in session.items)
            self._writer.send(records.Plan(plan))
            self._has_plan = True
        if self._left:
            session.items[:] = [
                item for item in session.items if item.nodeid.partition("::")[0] not in self._left
            ]
        gc.freeze()  # forked children and later collections leave alone what stays to the end
        gc.enable()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Announce the test, in the kernel log first: the host looks there for what it hears of."""
        self._reports.clear()
        self._was_called = False
        self._reason = None
        self._timed_out, self._waited = "", Waited.LIMIT
        self._begun += 1
        self._expiry.begin(self._begun)
        records.log_to_console(records.start_marker(nodeid))
        self._writer.send(records.Start(nodeid))
        self._started = time.monotonic()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        """Arm the test's time limit, and see what defect it looks for."""
        marker = item.get_closest_marker("regression")
        self._defect = None
        if marker is not None:
            cve, fix = (str(marker.kwargs.get(key, "")) for key in ("cve", "fix"))
            self._defect = Defect(cve, fix, provoked=False)
        signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._limit)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _expire(self, _signal: int, _frame: FrameType | None) -> None:
        ended = self._expiry.ended()
        is_over = signal.getitimer(signal.ITIMER_REAL)[0] == 0
        if self._timed_out or (ended is None and not is_over):
            return  # ended once, or meant for a test that has ended by itself meanwhile
        if self._reporting:  # pytest itself would fail
            signal.setitimer(signal.ITIMER_REAL, _SOON)
            return
        self._timed_out = f"no end within {self._limit:g} s"
        if ended is not None:
            self._waited, where = ended
            self._timed_out = _STANDS_STILL[self._waited].format(where=where or "a place not known")
        raise TestTimeout(self._timed_out)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, None, None]:
        """Keep the reason of a skip, which the report has only as text."""
        self._reporting = True
        yield
        self._reporting = False
        data = getattr(call.excinfo.value, "reason_data", None) if call.excinfo else None
        if isinstance(data, Reason):
            self._reason = data

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the phases of a test until its end, all but those that passed."""
        if report.passed:
            self.phase_passed(report.when or "")
        else:
            self._reports.append(report)

    def phase_passed(self, when: str) -> None:
        """A phase of the test passed: of that no report needs to be made (``running.py``)."""
        self._was_called |= when == "call"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """One record per test, from its setup, call and teardown together."""
        self._expiry.begin(0)
        outcome, message, details = self._summarize()
        self._writer.send(
            records.Finish(
                id=nodeid,
                outcome=outcome,
                seconds=round(time.monotonic() - self._started, 4),
                message=message[:_MESSAGE_LIMIT],
                details=details[-_DETAILS_LIMIT:],
                reason=self._reason if outcome is Outcome.SKIPPED else None,
                defect=self._defect,
                waited=self._waited,
            )
        )
        taint = records.read_taint()
        if taint != self._taint:
            self._writer.send(records.TaintChange(self._taint, taint, nodeid))
            self._taint = taint

    def _summarize(self) -> tuple[Outcome, str, str]:
        bad = [report for report in self._reports if report.failed]
        if self._timed_out:
            text = bad[0].longreprtext if bad else ""
            return Outcome.TIMEOUT, self._timed_out, text
        if bad:
            first = bad[0]
            outcome = Outcome.FAILED if first.when == "call" else Outcome.ERROR
            return outcome, _crash_message(first), first.longreprtext
        for report in self._reports:
            if report.skipped:
                return Outcome.SKIPPED, _skip_reason(report), ""
        if self._was_called:
            return Outcome.PASSED, "", ""
        return Outcome.ERROR, "pytest reported no call phase", ""


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
