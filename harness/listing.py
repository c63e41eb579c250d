"""The suites' tests, each with its purpose and tags, without booting anything.

Pytest itself collects them, from files laid out as a guest has them, in a process of its
own: so what is listed is what would be planned.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.guest.inside.recording import PYTEST_ARGUMENTS
from harness.guest.payload import Selection, lay_out_suites
from harness.processes import finish
from harness.scratch import scratch_directory

#: Markers that say how pytest makes or runs a test, and nothing of what it is about.
_UNTOLD = frozenset({"parametrize", "usefixtures", "skip", "skipif", "filterwarnings"})


class NothingSelected(InputError):
    """The selection is right as such, and holds no test."""


@dataclass(frozen=True)
class ListedTest:
    """A test of a suite."""

    id: str
    purpose: str  # first line of its docstring, "" without one
    tags: tuple[str, ...]  # names of its markers; CVE, fix and affected range of a regression


def list_tests(selection: Selection) -> tuple[ListedTest, ...]:
    """The tests of ``selection`` in the order in which they run.

    Raises InputError for a suite or test that does not exist and for a module that cannot be
    imported, NothingSelected if the selection selects nothing.
    """
    with scratch_directory() as scratch:
        arguments = lay_out_suites(selection, scratch)
        finished = finish(
            [sys.executable, "-m", "harness.listing", *arguments],
            directory=scratch,
            environment={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    if finished.returncode != 0:
        said = finished.stderr.strip().splitlines()
        problem = next((line for line in said if line.startswith("ERROR: ")), "".join(said[-1:]))
        said_shortly = problem.removeprefix("ERROR: ").replace(f"{scratch}/", "")
        asked = " ".join((*selection.suites, *selection.arguments)) or "all suites"
        if said_shortly.startswith("not found: "):  # in pytest's words, without parameters
            raise InputError(f"{asked}: there is no such test")
        raise InputError(f"the tests cannot be listed ({asked}): {said_shortly}")
    tests = [json.loads(line) for line in finished.stdout.splitlines()]
    if not tests:
        raise NothingSelected("the selection holds no test")
    return tuple(ListedTest(test["id"], test["purpose"], tuple(test["tags"])) for test in tests)


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
