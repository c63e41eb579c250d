"""Two kernels' costs -> what became dearer or cheaper, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.benchmark.fits import line
from harness.benchmark.values import Count, Estimate, Row

#: What two boots of one kernel may differ by (docs/benchmark.md shows ten).
NOISE = 0.005


@dataclass(frozen=True)
class Change:
    """One row of two kernels."""

    before: Row
    after: Row

    @property
    def share(self) -> float:
        """By how much it became dearer, as a part of what it cost; below 0: cheaper."""
        return self.after.cost / self.before.cost - 1

    @property
    def is_beyond(self) -> bool:
        """Whether that is more than noise.

        The cheapest message of one is not among the cheaper half of the other's, and the two
        differ by more than NOISE.
        """
        before, after = self.before, self.after
        apart = after.cost > before.usual or after.usual < before.cost
        return apart and abs(self.share) > NOISE


@dataclass(frozen=True)
class WayChange:
    """All rows of one way of one algorithm, of two kernels."""

    algorithm: str
    way: str
    rows: tuple[Change, ...]
    #: Of the differences; None where there are too few rows for a line.
    message: Estimate | None
    byte: Estimate | None
    before_missing: str = ""  # why the first, or the second, has none
    after_missing: str = ""

    @property
    def beyond(self) -> tuple[Change, ...]:
        """The rows that changed by more than noise."""
        return tuple(change for change in self.rows if change.is_beyond)

    @property
    def call(self) -> str:
        """The call that most of the change, beyond noise, is charged to; "" if there is none."""
        by_call: dict[str, float] = {}
        for change in self.beyond:
            if change.before.calls != change.after.calls:
                continue
            shares = zip(
                change.before.calls, change.before.shares, change.after.shares, strict=True
            )
            for name, before, after in shares:
                part = (after - before) / change.before.cost
                by_call[name] = by_call.get(name, 0.0) + part
        return max(by_call, key=lambda name: abs(by_call[name])) if by_call else ""


def changes(before: Count, after: Count) -> tuple[WayChange, ...]:
    """What changed of each way that either has, in the order of the first."""
    ways = dict.fromkeys(row.key[:2] for row in (*before.rows, *after.rows))
    return tuple(_way(algorithm, way, before, after) for algorithm, way in ways)


def not_compared(before: Count, after: Count) -> tuple[Row, ...]:
    """What the first has a cost of and the second has none: the row as the second has it, if it
    says why, else the first's. Any other row if the first has no cost at all.
    """
    theirs = {row.key: row for row in after.rows}
    ours = [row for row in before.rows if not row.missing]
    if not ours:
        return before.rows
    found = (theirs.get(row.key, row) for row in ours)
    return tuple(row for row in found if row.missing or row.key not in theirs)


def _way(algorithm: str, way: str, before: Count, after: Count) -> WayChange:
    old, new = (
        {row.size: row for row in count.rows if row.key[:2] == (algorithm, way)}
        for count in (before, after)
    )
    both = [
        Change(old[size], new[size])
        for size in old
        if size in new and not old[size].missing and not new[size].missing
    ]
    message, byte = _line(both)
    return WayChange(algorithm, way, tuple(both), message, byte, _missing(old), _missing(new))


def _missing(rows: dict[int, Row]) -> str:
    return next((row.missing for row in rows.values() if row.missing), "")


def _line(both: Sequence[Change]) -> tuple[Estimate | None, Estimate | None]:
    """What a message, and a byte, became dearer by: what bends both lines is in neither."""
    if len(both) < 3:
        return None, None
    return line(
        [change.before.size for change in both],
        [change.after.cost - change.before.cost for change in both],
        [change.before.cost for change in both],
    )


def worst(found: Sequence[WayChange]) -> Change | None:
    """The row that became dearer by most, beyond noise; None if none did."""
    dearer = [change for way in found for change in way.beyond if change.share > 0]
    return max(dearer, key=lambda change: change.share, default=None)
