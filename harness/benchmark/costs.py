"""What guests counted -> what a message costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from harness.benchmark.values import Row
from harness.errors import InfrastructureError
from harness.guest.inside.counting import CYCLES, INSTRUCTIONS, NANOSECONDS

#: A turn of a loop of two instructions takes no CPU less than this.
_LEAST_A_TURN = {CYCLES: 0.25, NANOSECONDS: 0.05}


def counting(calibration: Mapping[str, Sequence[int]], unit: str = INSTRUCTIONS) -> float:
    """What counting adds to a call, in ``unit``: a function that does nothing takes so much.

    Raises InfrastructureError if loops of known lengths were counted otherwise; of cycles and
    nanoseconds, if longer ones did not take longer.
    """
    alone = median(calibration["nothing"])
    if unit != INSTRUCTIONS:
        turns = max(int(name) for name in calibration if name != "nothing")
        seen = median(calibration[str(turns)]) - alone
        if seen < _LEAST_A_TURN[unit] * turns:
            raise InfrastructureError(
                f"a loop of {turns} turns was counted as {seen:.0f} {unit}: nothing is counted"
            )
        return float(alone)
    for name, ticks in calibration.items():
        if name == "nothing":
            continue
        # dec, jne for each turn; what returns is in the function that does nothing, too.
        known, seen = 2 * int(name), median(ticks) - alone
        if abs(seen - known) > 1e-3 * known + 2:
            raise InfrastructureError(
                f"a loop of {known} instructions was counted as {seen:.0f}: QEMU does not count"
            )
    return float(alone)


def rows(
    told: Sequence[Mapping[str, Any]], alone: float, unit: str = INSTRUCTIONS
) -> Iterator[Row]:
    """The rows of what one guest told; ``alone`` is what counting adds to a call.

    Where that differs from time to time a row says itself what it was.
    """
    take = min if unit == INSTRUCTIONS else _middle
    for one in told:
        head = (one["algorithm"], one["way"], one["size"])
        if "missing" in one:
            yield Row(*head, missing=one["missing"])
            continue
        nothing = median(one["nothing"]) if "nothing" in one else alone
        calls = [[ticks - nothing for ticks in call] for call in one["ticks"]]
        messages = [sum(message) for message in zip(*calls, strict=True)]
        yield Row(
            *head,
            messages=len(messages),
            cost=take(messages),
            usual=median(messages),
            calls=tuple(one["calls"]),
            shares=tuple(take(call) for call in calls),
        )


def _middle(values: Sequence[float]) -> float:
    """Their median. What is less than nothing took less than the counter differs by."""
    return max(1.0, median(values))


def of_rounds(rounds: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """The rows of several guests of one kernel: what is missing in one of them is missing."""
    for same in zip(*rounds, strict=True):
        missing = next((row for row in same if row.missing), None)
        if missing is not None:
            yield missing
            continue
        costs = tuple(row.cost for row in same)
        yield replace(
            same[0],
            messages=sum(row.messages for row in same),
            cost=median(costs),
            usual=median(row.usual for row in same),
            shares=tuple(map(median, zip(*(row.shares for row in same), strict=True))),
            rounds=costs,
        )
