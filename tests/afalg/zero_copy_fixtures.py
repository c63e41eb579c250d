"""What the probes of zero copy share: transforms, the witness, the controls of held calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import af_alg
import pytest
import userfault
from handovers import Handovers, NoWitness
from sharing import Sharing
from tracing import Tracer
from witness import Witness

from harness.guest.inside.stages import planned_ids

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

_witnesses: list[Witness] = []
#: The test that says what the whole session handed over, and so runs last.
_LAST = "test_handovers.py"


class Session:
    """What listens inside the kernel for the length of a session."""

    def __init__(self) -> None:
        self.tracer: Tracer | OSError
        self.handovers: Handovers | NoWitness | None = None
        try:
            self.tracer = Tracer()
        except OSError as error:
            self.tracer = error

    def listen_to_all(self) -> None:
        """Listen to what every test hands over, if that can be done."""
        try:
            if isinstance(self.tracer, OSError):
                raise NoWitness(f"tracefs: {self.tracer.strerror}")
            self.handovers = Handovers(self.tracer)
        except NoWitness as none:
            self.handovers = none

    def close(self) -> None:
        """Leave the kernel as it was."""
        if isinstance(self.handovers, Handovers):
            self.handovers.close()
        if isinstance(self.tracer, Tracer):
            self.tracer.close()


_sessions: list[Session] = []
_last_to_ask: list[str] = []  # its id; one or none


def _session() -> Session:
    if not _sessions:
        _sessions.append(Session())
    return _sessions[0]


def is_last(test: str) -> bool:
    """Whether a test, by its id, must run after all others."""
    return test.partition("::")[0].endswith(f"/{_LAST}")


def asks_witness(test: str) -> bool:
    """Whether a test, by its id, may ask what the witness inside the kernel says."""
    return test.startswith("zero_copy/") and not is_last(test)


def pytest_runtestloop(session: pytest.Session) -> None:
    """Begin to listen, if somebody is to say what was heard."""
    # Found once: looked for at each test it would take as long as the tests (seconds).
    planned = planned_ids(session)
    _last_to_ask[:] = filter(None, [last_to_ask(planned)])
    if any(map(is_last, planned)):
        _session().listen_to_all()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """Account for what a test handed over."""
    yield
    if _sessions and isinstance(_sessions[0].handovers, Handovers):
        _sessions[0].handovers.close_test(item.nodeid)


def pytest_sessionfinish() -> None:
    """Take everything out of the kernel again."""
    while _sessions:
        _sessions.pop().close()


class Keyed(Protocol):
    """Type of the ``keyed`` fixture."""

    def __call__(self, kind: str, name: str, key: bytes = b"") -> af_alg.Transform: ...


@pytest.fixture(scope="module")
def keyed() -> Iterator[Keyed]:
    """Transforms with a key, each made once; raises NotOffered each time if it is not."""
    made: dict[str, af_alg.Transform] = {}
    refused: dict[str, af_alg.NotOffered] = {}

    def get(kind: str, name: str, key: bytes = b"") -> af_alg.Transform:
        if name in refused:
            raise refused[name].with_traceback(None)
        if name not in made:
            try:
                transform = af_alg.Transform(kind, name)
            except af_alg.NotOffered as refusal:
                refused[name] = refusal
                raise
            try:
                if key:
                    transform.set_key(key)
            except BaseException:
                transform.close()
                raise
            made[name] = transform
        return made[name]

    yield get
    for transform in made.values():
        transform.close()


@pytest.fixture(scope="session")
def sharing() -> Sharing:
    """Which sources hand over copies here by themselves: asked where a control did not fire."""
    return Sharing()


@pytest.fixture(scope="session")
def witness() -> Witness:
    """The witness inside the kernel; what it was not shown to see it says nothing of."""
    one = Witness(_session().tracer)
    _witnesses.append(one)
    handovers = _session().handovers
    if isinstance(handovers, Handovers):
        one.only_of(handovers.code)
    one.try_controls()
    return one


@pytest.fixture
def handovers() -> Handovers | NoWitness:
    """What the session has handed over up to here."""
    return _session().handovers or NoWitness("nobody listened")


def last_to_ask(planned: Sequence[str]) -> str | None:
    """The last one that may ask the witness, wherever the order of a run's suites has put it."""
    return next(filter(asks_witness, reversed(planned)), None)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Take the probes out of the kernel when nobody is left to ask: each hit takes time."""
    if nextitem is None or item.nodeid in _last_to_ask:
        while _witnesses:
            _witnesses.pop().close()


@pytest.fixture(scope="session")
def held_input() -> userfault.Control:
    """Whether pinned and copied input are told apart in this guest."""
    return userfault.input_control()


@pytest.fixture(scope="session")
def held_output() -> userfault.Control:
    """Whether pinned and copied output are told apart in this guest."""
    return userfault.output_control()
