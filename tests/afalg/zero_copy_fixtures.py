"""What the probes of zero copy share: transforms, the witness, the controls of held calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import af_alg
import pytest
import userfault
from sharing import Sharing
from witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator

_witnesses: list[Witness] = []


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
                made[name] = af_alg.Transform(kind, name)
            except af_alg.NotOffered as refusal:
                refused[name] = refusal
                raise
            if key:
                made[name].set_key(key)
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
    one = Witness()
    _witnesses.append(one)
    one.try_controls()
    return one


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Take the probes out of the kernel when no test of zero copy is left to run."""
    if nextitem is None or nextitem.path.parent.name != "zero_copy":
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
