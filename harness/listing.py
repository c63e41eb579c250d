"""The suites' tests, each with its purpose and tags, without booting anything.

Pytest itself collects them, from files laid out as a guest has them, in a process of its
own (``collector.py``): so what is listed is what would be planned.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from harness.errors import InputError
from harness.guest.payload import Selection, lay_out_suites
from harness.processes import finish
from harness.scratch import scratch_directory


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
            [sys.executable, "-m", "harness.collector", *arguments],
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
