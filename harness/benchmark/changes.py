"""Two kernels' costs -> what became dearer or cheaper, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.benchmark.fits import line
from harness.benchmark.plan import exceptions_for
from harness.benchmark.values import Count, Estimate, Row

#: What the instructions of two boots of one kernel may differ by (docs/benchmark.md shows ten).
NOISE = 0.005
#: The same of cycles and nanoseconds, of which the rounds tell more.
TIMED_NOISE = 0.02


@dataclass(frozen=True)
class Change:
    """One row of two kernels."""

    before: Row
    after: Row
    #: Of cycles and nanoseconds, in each round that both have; of kernels that were not measured
    #: in turn, in any round of one against any of the other.
    rounds: tuple[float, ...] = ()
    #: Rounds in which it may have gone the other way; below 0: there are too few to tell.
    exceptions: int = 0

    @property
    def share(self) -> float:
        """By how much it became dearer, as a part of what it cost; below 0: cheaper."""
        return median(self.rounds) if self.rounds else self.after.cost / self.before.cost - 1

    @property
    def noise(self) -> float:
        """What it may differ by without having changed."""
        return TIMED_NOISE if self.before.rounds else NOISE

    @property
    def has_few_rounds(self) -> bool:
        """Whether chance alone may have made it dearer, or cheaper, in all of them."""
        return bool(self.before.rounds) and self.exceptions < 0

    @property
    def is_apart(self) -> bool:
        """Whether the two differ at all.

        Of instructions the cheapest message of one is not among the cheaper half of the other's.
        Of cycles and nanoseconds it became dearer in so many rounds, or cheaper in so many, that
        chance does not explain it.
        """
        before, after = self.before, self.after
        if before.rounds:
            dearer = sum(share > 0 for share in self.rounds)
            cheaper = sum(share < 0 for share in self.rounds)
            return max(dearer, cheaper) >= len(self.rounds) - self.exceptions
        return after.cost > before.usual or after.usual < before.cost

    @property
    def is_beyond(self) -> bool:
        """Whether it changed by more than noise."""
        return self.is_apart and abs(self.share) > self.noise

    def is_undecided(self, most: float) -> bool:
        """Whether it may have become dearer by more than ``most``, and noise hides that."""
        return self.share > max(most, self.noise) and not self.is_apart


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


def changes(before: Count, after: Count, *, in_turn: bool = True) -> tuple[WayChange, ...]:
    """What changed of each way that either has, in the order of the first.

    ``in_turn``: both were measured in one run, so that a round of one belongs to one of the other.
    """
    ways = dict.fromkeys(row.key[:2] for row in (*before.rows, *after.rows))
    held = _Held(before, after, in_turn)
    return tuple(_way(algorithm, way, held) for algorithm, way in ways)


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


@dataclass(frozen=True)
class _Held:
    """Two counts that are held against each other."""

    before: Count
    after: Count
    in_turn: bool  # measured in one run

    def change(self, before: Row, after: Row) -> Change:
        """Of a row that has a cost in both."""
        rounds = tuple(self._rounds(before, after))
        counts = (before.rounds, after.rounds, *([rounds] if self.in_turn else []))
        exceptions = exceptions_for(min(map(len, counts)), len(self.before.rows))
        # Of different runs every pair has to be on one side.
        return Change(before, after, rounds, exceptions if self.in_turn else min(0, exceptions))

    def _rounds(self, before: Row, after: Row) -> Iterator[float]:
        """By how much it became dearer in each round, or in each pair of rounds."""
        theirs = dict(zip(self.after.rounds, after.rounds, strict=True))
        for number, then in zip(self.before.rounds, before.rounds, strict=True):
            for other, now in theirs.items():
                if other == number or not self.in_turn:
                    yield now / then - 1


def _way(algorithm: str, way: str, held: _Held) -> WayChange:
    old, new = (
        {row.size: row for row in count.rows if row.key[:2] == (algorithm, way)}
        for count in (held.before, held.after)
    )
    both = [
        held.change(old[size], new[size])
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


def few_rounds(found: Sequence[WayChange]) -> str:
    """What is to be said where there are too few rounds to tell a change from noise; else ""."""
    if any(one.has_few_rounds for way in found for one in way.rows):
        return "too few rounds to tell a change from noise"
    return ""


def worst(found: Sequence[WayChange]) -> Change | None:
    """The row that became dearer by most, beyond noise; None if none did."""
    dearer = [change for way in found for change in way.beyond if change.share > 0]
    return max(dearer, key=lambda change: change.share, default=None)
