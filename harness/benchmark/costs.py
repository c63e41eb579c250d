"""What a guest counted -> what a message costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from harness.benchmark.values import Row
from harness.errors import InfrastructureError


def counting(calibration: Mapping[str, Sequence[int]]) -> float:
    """Instructions that counting adds to a call: a function that does nothing takes so many.

    Raises InfrastructureError if loops of known lengths were counted otherwise.
    """
    alone = median(calibration["nothing"])
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


def rows(told: Sequence[Mapping[str, Any]], alone: float) -> Iterator[Row]:
    """The rows of what the guest told; ``alone`` is what counting adds to a call."""
    for one in told:
        head = (one["algorithm"], one["way"], one["size"])
        if "missing" in one:
            yield Row(*head, missing=one["missing"])
            continue
        calls = [[ticks - alone for ticks in call] for call in one["ticks"]]
        messages = [sum(message) for message in zip(*calls, strict=True)]
        yield Row(
            *head,
            messages=len(messages),
            cost=min(messages),
            usual=median(messages),
            calls=tuple(one["calls"]),
            shares=tuple(min(call) for call in calls),
        )
