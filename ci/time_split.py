"""Where the time of a kernel's first whole boot went, by the records in its run directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.guest.inside import records
from harness.guest.journal import read_journal
from harness.guest.parsing import Refused


@dataclass(frozen=True)
class Split:
    """Seconds of each stage, one after the other, and of each suite's tests."""

    boot: float  # start of vng to the first record
    plan: float  # from there to the plan
    tests: float  # in which a test ran
    between: float  # from the plan to the last record, in which none ran
    power_off: float  # last record to the end of QEMU
    #: Sums of the suites' tests: more than ``tests`` together where two ran at once.
    suites: Mapping[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> float:
        """From the start of vng to the end of QEMU."""
        return self.boot + self.plan + self.tests + self.between + self.power_off


def split_of(directory: Path) -> Split:
    """The split of the first boot that came to its end; ``directory`` is a kernel's of a run.

    One before it may have died of a fault of the emulator. ``suites`` are those of all boots.
    Raises ValueError if there is none.
    """
    suites: defaultdict[str, float] = defaultdict(float)
    splits: list[Split] = []
    for journal in read_journal(directory):
        began: dict[str, float] = {}
        ran: list[tuple[float, float]] = []
        times: dict[type, float] = {}
        for seconds, said in journal.records:
            if isinstance(said, Refused):
                continue
            times[type(said.record)] = seconds
            match said.record:
                case records.Start(test):
                    began[test] = seconds
                case records.Finish():
                    ran.append((began.get(said.record.id, seconds), seconds))
                    suites[said.record.id.partition("/")[0]] += said.record.seconds
        if journal.closed is None or not times.keys() >= {records.Hello, records.Plan, records.End}:
            continue
        hello, plan, end = (times[kind] for kind in (records.Hello, records.Plan, records.End))
        tests = covered(ran)
        split = Split(
            boot=hello,
            plan=plan - hello,
            tests=tests,
            between=end - plan - tests,
            power_off=journal.closed.wall_seconds - end,
        )
        splits.append(split)
    if not splits:
        raise ValueError(f"{directory}: none of its boots came to its end")
    return replace(splits[0], suites=dict(suites))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """How much of the time line ``spans`` cover; some may overlap."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
