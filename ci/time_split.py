"""Where the time of a kernel's first boot went, by the records in its run directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    suites: Mapping[str, float]

    @property
    def whole(self) -> float:
        """From the start of vng to the end of QEMU."""
        return self.boot + self.plan + self.tests + self.between + self.power_off


def split_of(directory: Path) -> Split:
    """The split of the first boot whose files are in ``directory``, a kernel's.

    ``suites`` are those of all its boots. Raises ValueError if that boot did not come to its end.
    """
    journal, *others = read_journal(directory)
    began: dict[str, float] = {}
    ran: list[tuple[float, float]] = []
    suites: defaultdict[str, float] = defaultdict(float)
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
    for other in others:
        for _, said in other.records:
            if not isinstance(said, Refused) and isinstance(said.record, records.Finish):
                suites[said.record.id.partition("/")[0]] += said.record.seconds
    try:
        hello, plan, end = (times[kind] for kind in (records.Hello, records.Plan, records.End))
    except KeyError as error:
        raise ValueError(f"{directory}: its first boot did not come to its end") from error
    if journal.closed is None:
        raise ValueError(f"{directory}: its first boot was not closed")
    tests = covered(ran)
    return Split(
        boot=hello,
        plan=plan - hello,
        tests=tests,
        between=end - plan - tests,
        power_off=journal.closed.wall_seconds - end,
        suites=dict(suites),
    )


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """How much of the time line ``spans`` cover; some may overlap."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
