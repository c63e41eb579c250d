"""What is measured: algorithms, ways, sizes, and how many messages of each size."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from harness.errors import InputError
from harness.guest.inside.ways import ALGORITHMS, LARGEST, WAYS

#: Bytes of text, each four times the one before.
SIZES = tuple(16 << 2 * step for step in range(9))
assert SIZES[-1] == LARGEST
#: Up to this many bytes -> messages that are counted: more of short ones, which take no time.
_MESSAGES = ((4 << 10, 32), (64 << 10, 12), (LARGEST, 4))
#: Of the second count, which shows how the kernel copies.
_FEW_WAYS = ("sendmsg", "splice", "openssl")
_FEW_SIZES = (16, 4 << 10, 64 << 10)


@dataclass(frozen=True)
class Plan:
    """What one guest measures."""

    algorithms: tuple[str, ...] = tuple(one.name for one in ALGORITHMS)
    ways: tuple[str, ...] = tuple(one.name for one in WAYS)
    sizes: tuple[int, ...] = SIZES

    def order(self) -> dict[str, object]:
        """The same as the guest is told it."""
        sizes = [[size, messages_of(size)] for size in self.sizes]
        return {"algorithms": self.algorithms, "ways": self.ways, "sizes": sizes}

    def rows(self) -> int:
        """How many rows the guest sends."""
        return sum(
            way.least <= size <= way.most
            for algorithm in ALGORITHMS
            for way in WAYS
            for size in self.sizes
            if algorithm.name in self.algorithms
            and way.name in self.ways
            and algorithm.kind in way.kinds
        )

    def few(self) -> Plan:
        """The part that is counted a second time, on another model of a CPU."""
        ways = tuple(way for way in self.ways if way in _FEW_WAYS)
        sizes = tuple(size for size in self.sizes if size in _FEW_SIZES)
        return Plan(self.algorithms, ways or self.ways[:1], sizes or self.sizes[:1])


def messages_of(size: int) -> int:
    """How many messages of that size are counted."""
    return next(count for most, count in _MESSAGES if size <= most)


def plan_of(algorithms: Collection[str], ways: Collection[str], sizes: Collection[int]) -> Plan:
    """The plan for what was asked for; nothing of a kind means all. Raises InputError."""
    whole = Plan()
    for kind, given, known in (
        ("algorithm", algorithms, whole.algorithms),
        ("way", ways, whole.ways),
        ("size", sizes, whole.sizes),
    ):
        for one in given:
            if one not in known:
                told = ", ".join(map(str, known))
                raise InputError(f"benchmark: no {kind} {one}; there are {told}")
    plan = Plan(
        tuple(one for one in whole.algorithms if not algorithms or one in algorithms),
        tuple(one for one in whole.ways if not ways or one in ways),
        tuple(one for one in whole.sizes if not sizes or one in sizes),
    )
    if not plan.rows():
        raise InputError("benchmark: no message of that algorithm, way and size is measured")
    return plan
