"""Lets pytest collect the tests in the working directory, and prints them (``listing.py``).

Apart from what starts it, which so need not import pytest: that takes 0.15 s of processor time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.guest.inside.recording import PYTEST_ARGUMENTS
from harness.listing import ListedTest

#: Markers that say how pytest makes or runs a test, and nothing of what it is about.
_UNTOLD = frozenset({"parametrize", "usefixtures", "skip", "skipif", "filterwarnings"})


class _Collector:
    """Keeps what pytest collects."""

    def __init__(self) -> None:
        self.tests: list[ListedTest] = []
        self.problems: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported."""
        if report.failed:
            lines = report.longreprtext.strip().splitlines() or ["unknown error"]
            where = report.nodeid or lines[0].rstrip(".")
            self.problems.append(f"{where}: {lines[-1].removeprefix('E').strip()}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All that would run."""
        self.tests = [
            ListedTest(item.nodeid, _purpose(item), _tags(item)) for item in session.items
        ]


def _purpose(item: pytest.Item) -> str:
    function = getattr(item, "function", None)
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    return lines[0].strip() if lines else ""


def _tags(item: pytest.Item) -> tuple[str, ...]:
    tags: list[str] = []
    for marker in item.iter_markers():
        if marker.name == "regression":
            cve, fix, affected = (marker.kwargs.get(key) for key in ("cve", "fix", "affected"))
            tags += [str(cve)] if cve else []
            tags += [f"fix {fix}"] if fix else []
            tags += [f"affected {affected}"] if affected else []
        elif marker.name not in _UNTOLD:
            tags.append(marker.name)
    return tuple(dict.fromkeys(tags))


def main() -> int:
    """Collect in the working directory; one JSON object a line, problems on stderr."""
    collector = _Collector()
    arguments = [*PYTEST_ARGUMENTS, "--collect-only", "--rootdir=.", "--confcutdir=."]
    with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
        status = pytest.main([*arguments, *sys.argv[1:]], [collector])
    for problem in collector.problems:
        print(problem, file=sys.stderr)
    if collector.problems or status == pytest.ExitCode.USAGE_ERROR:
        return int(status) or 1
    for test in collector.tests:
        print(json.dumps(asdict(test)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
