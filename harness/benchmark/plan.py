"""What is measured: algorithms, ways, sizes, and how many messages of each size."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from harness.errors import InputError
from harness.guest.inside.counting import INSTRUCTIONS
from harness.guest.inside.ways import ALGORITHMS, COPIES, LARGEST, WAYS

#: Bytes of text, each four times the one before.
SIZES = tuple(16 << 2 * step for step in range(9))
assert SIZES[-1] == LARGEST
#: Up to this many bytes -> messages that are counted: more of short ones, which take no time.
_MESSAGES = ((4 << 10, 32), (64 << 10, 12), (LARGEST, 4))
#: The same where time is counted, of which each message takes a bit more or less; COPIES at most.
_TIMED_MESSAGES = ((4 << 10, COPIES), (64 << 10, 32), (LARGEST, 8))
#: How likely it may be that any row of an unchanged kernel looks changed.
_CHANCE = 0.05
#: Of the second count, which shows how the kernel copies.
_FEW_WAYS = ("sendmsg", "splice", "openssl")
_FEW_SIZES = (16, 4 << 10, 64 << 10)


@dataclass(frozen=True)
class Plan:
    """What one guest measures."""

    algorithms: tuple[str, ...] = tuple(one.name for one in ALGORITHMS)
    ways: tuple[str, ...] = tuple(one.name for one in WAYS)
    sizes: tuple[int, ...] = SIZES
    unit: str = INSTRUCTIONS  # in which it is measured

    def order(self) -> dict[str, object]:
        """The same as the guest is told it."""
        return {
            "unit": self.unit,
            "algorithms": self.algorithms,
            "ways": self.ways,
            "sizes": [[size, messages_of(size, self.unit)] for size in self.sizes],
        }

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
        return replace(self, ways=ways or self.ways[:1], sizes=sizes or self.sizes[:1])


def messages_of(size: int, unit: str) -> int:
    """How many messages of that size are counted."""
    table = _MESSAGES if unit == INSTRUCTIONS else _TIMED_MESSAGES
    return next(count for most, count in table if size <= most)


def rounds_for(rows: int) -> int:
    """How often each of two kernels has to be booted, at least, where time is counted.

    A row of an unchanged kernel is in one of 2**(N - 1) cases by chance dearer in all of N rounds,
    or cheaper in all.
    """
    return 1 + math.ceil(math.log2(max(1, rows) / _CHANCE))


def exceptions_for(rounds: int, rows: int) -> int:
    """In how many of ``rounds`` a row that became dearer may be the cheaper one, and the other way
    round; below 0: there are too few to tell.

    The sign test, with Bonferroni's correction for the number of rows.
    """
    exceptions, cases = -1, 0
    while exceptions < rounds // 2:
        cases += 2 * math.comb(rounds, exceptions + 1)
        if rows * cases > _CHANCE * 2**rounds:
            break
        exceptions += 1
    return exceptions


def plan_of(
    algorithms: Collection[str],
    ways: Collection[str],
    sizes: Collection[int],
    unit: str = INSTRUCTIONS,
) -> Plan:
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
        unit,
    )
    if not plan.rows():
        raise InputError("benchmark: no message of that algorithm, way and size is measured")
    return plan
