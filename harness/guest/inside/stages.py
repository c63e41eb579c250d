"""Pytest plugin of the agent's: runs the tests that come first before it collects the others.

Under emulation it takes seconds to import all modules of the suite. Where an earlier guest has
told the whole plan, the host need not wait for them to know what is to come.

Standard library and pytest 7.2 only: this travels into the guest.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Generator, Sequence
from pathlib import Path

import pytest

_PLANNED = pytest.StashKey[tuple[str, ...]]()


class OtherTests(Exception):
    """The suite does not have the tests that an earlier guest planned."""


def planned_ids(session: pytest.Session) -> Sequence[str]:
    """The ids of all tests that run in this session, those that are yet to be collected too."""
    collected = tuple(item.nodeid for item in session.items)
    return session.config.stash.get(_PLANNED, collected)


class Stages:
    """Collects the files ``first`` and runs their tests, and then does the same with the rest."""

    def __init__(
        self, planned: Sequence[str], first: Collection[str], left: Collection[str] = ()
    ) -> None:
        """``planned`` is the whole plan, which begins with the tests of the files ``first``.

        Tests of the files in ``left`` are run by another guest.
        """
        self._planned, self._first = tuple(planned), frozenset(first)
        self._own = tuple(test for test in planned if test.partition("::")[0] not in left)
        self._is_first = True
        self._collected: tuple[str, ...] = ()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Let others know what is to come."""
        config.stash[_PLANNED] = self._own

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """Collect each file in its turn; whether pytest is to pass it over."""
        if collection_path.suffix != ".py":
            return None
        is_first = str(collection_path.relative_to(config.rootpath)) in self._first
        return True if is_first is not self._is_first else None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Look at the tests once the suite has put them into their order. Raises OtherTests."""
        yield
        self._collected += tuple(item.nodeid for item in items)
        expected = self._planned[: len(self._collected)] if self._is_first else self._planned
        if self._collected != expected:
            unknown = sorted({*self._collected} ^ {*expected})
            what = unknown[0] if unknown else "their order"
            raise OtherTests(f"tests are not those that an earlier guest planned: {what:.200}")

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run what was collected, and then the rest."""
        if session.testsfailed:
            return None  # pytest's own says that modules could not be collected
        self._run(session, session)  # what lasts for the whole session is left as it is
        self._is_first = False
        gc.disable()  # as in the first collection; the recorder enables it
        session.perform_collect()
        self._run(session, None)
        return True

    def _run(self, session: pytest.Session, last: pytest.Session | None) -> None:
        """``last`` is what follows after the last test, to pytest: what stays set up for it."""
        for item, following in zip(session.items, [*session.items[1:], last], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
