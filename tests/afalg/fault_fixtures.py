"""What the tests of failing allocations share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import fault_injection
import libc
import pytest
from fault_injection import FAIL_NTH, Faults, Injector
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def injector() -> Iterator[Injector]:
    """Failing allocations; skips on a kernel that was not built for it."""
    if not FAIL_NTH.exists():
        skip(
            "no /proc/thread-self/fail-nth: needs CONFIG_FAULT_INJECTION",
            Reason(Cause.NO_OPTION, name="CONFIG_FAULT_INJECTION"),
        )
    with fault_injection.everything_can_fail(), Injector() as one:
        fault_injection.require_working(one)
        yield one


@pytest.fixture
def faults(injector: Injector) -> Faults:
    """Lets each allocation of a call fail in turn."""
    return Faults(injector)


class Memory:
    """Memory whose pages are all there: none has to be found while a call runs."""

    def __init__(self, length: int) -> None:
        self.address = libc.map_memory(length)
        self.length = length
        self.clear()

    def clear(self) -> None:
        """Fill it with what no result is made of."""
        self.write(b"\xa5" * self.length)

    def write(self, contents: bytes) -> None:
        """Contents from its beginning on."""
        libc.memory_at(self.address, self.length)[: len(contents)] = contents

    def read(self, length: int, start: int = 0) -> bytes:
        """Contents."""
        return bytes(libc.memory_at(self.address, self.length)[start : start + length])

    def pieces(self, length: int, count: int = 1, start: int = 0) -> list[tuple[int, int]]:
        """A range as so many (address, length) pieces."""
        step = -(-(length - start) // count)
        cuts = range(start, length, step)
        return [(self.address + cut, min(step, length - cut)) for cut in cuts]


class MakeMemory(Protocol):
    """Type of the ``memory`` fixture."""

    def __call__(self, length: int, contents: bytes = b"") -> Memory: ...


@pytest.fixture
def memory() -> Iterator[MakeMemory]:
    """Memory for what is sent and received, unmapped at the end."""
    with ExitStack() as stack:

        def make(length: int, contents: bytes = b"") -> Memory:
            one = Memory(length)
            stack.callback(libc.unmap_memory, one.address, length)
            one.write(contents)
            return one

        yield make
