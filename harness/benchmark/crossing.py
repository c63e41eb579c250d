"""From which size on one way is cheaper than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.benchmark.values import Row


@dataclass(frozen=True)
class Crossing:
    """Where the cheaper of two ways changes, as sizes grow."""

    #: Whether the first way is the cheaper one for the shortest messages.
    first: bool
    #: Bytes from which the other one is, and from which it is the first again, and so on.
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        """``never``, ``always``, ``from 3.2 KiB``, ``up to 3.2 KiB``: when the first is."""
        if not self.sizes:
            return "always" if self.first else "never"
        told, cheaper = [], self.first
        for size in self.sizes:
            told.append(f"{'up to' if cheaper else 'from'} {bytes_told(size)}")
            cheaper = not cheaper
        return ", ".join(told)


def crossing(first: Sequence[Row], second: Sequence[Row]) -> Crossing | None:
    """When ``first`` is the cheaper one; None where the two have no size in common.

    Between two sizes both costs are taken to be on straight lines.
    """
    other = {row.size: row for row in second if not row.missing}
    both = sorted(
        (row.size, row.cost - other[row.size].cost)
        for row in first
        if not row.missing and row.size in other
    )
    if not both:
        return None
    sizes = [
        round(size + (next_size - size) * more / (more - next_more))
        for (size, more), (next_size, next_more) in pairwise(both)
        if (more < 0) != (next_more < 0)
    ]
    return Crossing(both[0][1] < 0, tuple(sizes))


def bytes_told(size: int) -> str:
    """``16 B``, ``3.2 KiB``, ``1 MiB``."""
    if size < 1 << 10:
        return f"{size} B"
    amount, unit = (size / (1 << 10), "KiB") if size < 1 << 20 else (size / (1 << 20), "MiB")
    return (
        f"{amount:.0f} {unit}" if amount >= 10 or amount == int(amount) else f"{amount:.1f} {unit}"
    )
