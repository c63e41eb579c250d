"""What every test of the suite can use.

The suite runs as root inside a guest, under the kernel that is judged. Its pytest plugin
gives more fixtures: ``record_fact`` (say what a probe saw), ``provoked`` (say that a defect
would have shown) and ``known_answers`` (computed on the host with OpenSSL, see
harness/guest/oracle.py).
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Protocol

import af_alg
import pytest
from unavailable import RESTRICT
from zero_copy_fixtures import is_last

from harness.guest.inside.words import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.guest.inside.words import Reason

# As plugins and not as conftest.py files of their folders: with those, pytest has to find
# out for each hook of each test which of them apply, an eighth of a whole run.
pytest_plugins = ("fault_fixtures", "policy_fixtures", "zero_copy_fixtures")


#: What is marked with one of these runs before all others, in this order.
_TURNS = ("first_answer", "widens_first_answer")


class Bind(Protocol):
    """Type of the ``bind`` fixture."""

    def __call__(
        self, kind: str, name: str, *, feature: int = 0, mask: int = 0
    ) -> af_alg.Transform: ...


class RecordFact(Protocol):
    """Type of the ``record_fact`` fixture.

    ``state`` is present, absent, unreachable or unknown; ``control`` (the positive control
    of the probe) fired, failed or not_run. ``reason`` says as data why it is unreachable,
    unknown or fails; ``witness`` what the witness inside the kernel said, if there is one;
    ``value`` what was found, in a word, where the state alone does not say it; ``shapes`` in
    how many shapes it was tried and told.
    """

    def __call__(
        self,
        name: str,
        *,
        state: str,
        control: str = "not_run",
        evidence: str = "",
        reason: Reason | None = None,
        witness: str = Witness.NONE,
        value: str = "",
        shapes: int = 1,
    ) -> None: ...


class Provoked(Protocol):
    """Type of the ``provoked`` fixture.

    A test marked ``regression`` calls it when it has seen that what the defect needs came
    about: only then is its passing evidence against the defect. One that cannot fail on an
    affected kernel never does.
    """

    def __call__(self) -> None: ...


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of the suite."""
    config.addinivalue_line(
        "markers", "regression(cve, fix, affected): the defect that the test looks for, as data"
    )
    config.addinivalue_line("markers", "may_crash: can kill a kernel that is not fixed; runs last")
    config.addinivalue_line(
        "markers", "first_answer: says whether a path or the page cache is open; runs first"
    )
    config.addinivalue_line(
        "markers", "widens_first_answer: says it of more shapes or algorithms; runs next"
    )
    config.addinivalue_line(
        "markers", "policy_as_booted: leave af_alg_restrict alone (default: opened to 0)"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what is asked first first, and last what may kill the kernel, or speaks of all.

    Who names files or tests, and not suites, says in which order they come.
    """
    top = config.invocation_params.dir
    suites = all((top / name).is_dir() for name in config.args)

    def place(item: pytest.Item) -> tuple[bool, bool, int]:
        may_crash = item.get_closest_marker("may_crash") is not None
        turn = len(_TURNS)
        if suites:
            marked = (at for at, name in enumerate(_TURNS) if item.get_closest_marker(name))
            turn = next(marked, turn)
        return is_last(item.nodeid), may_crash, turn

    items.sort(key=place)


@pytest.fixture(scope="module", autouse=True)
def opened_policy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Open ``af_alg_restrict`` (2f204fe718f5, 7.3) for a module, and put it back.

    What the kernel can do is one question, what its policy lets through another: a module
    about the policy marks itself ``policy_as_booted``.
    """
    load_af_alg()  # the sysctl exists only from then on
    if not RESTRICT.exists():
        yield
        return
    booted = RESTRICT.read_text()
    if not request.node.get_closest_marker("policy_as_booted"):
        RESTRICT.write_text("0")
    yield
    load_af_alg()  # a test may have unloaded it
    RESTRICT.write_text(booted)


def load_af_alg() -> None:
    """Have the kernel load af_alg, if it has it, as any program would."""
    with suppress(af_alg.NotOffered):
        af_alg.open_socket().close()


@pytest.fixture(scope="module")
def refusals() -> dict[tuple[str, str], af_alg.NotOffered]:
    """What the kernel did not offer: each such bind() costs it two runs of modprobe."""
    return {}


@pytest.fixture(scope="session")
def absent() -> set[tuple[str, str]]:
    """Type and name of what no policy kept from anybody who asked, and was not there."""
    return set()


@pytest.fixture
def bind(
    refusals: dict[tuple[str, str], af_alg.NotOffered], absent: set[tuple[str, str]]
) -> Iterator[Bind]:
    """Bind algorithms; skips the test, with the errno, if the kernel does not offer one."""
    with ExitStack() as stack:

        def bind_or_skip(
            kind: str, name: str, *, feature: int = 0, mask: int = 0
        ) -> af_alg.Transform:
            if (kind, name) in refusals:
                refusals[kind, name].skip()
            try:
                transform = af_alg.Transform(kind, name, feature=feature, mask=mask)
            except af_alg.NotOffered as refusal:
                refusals[kind, name] = refusal
                if not refusal.reason.restrict and not mask:
                    absent.add((kind, name))
                refusal.skip()
            return stack.enter_context(transform)

        yield bind_or_skip
