"""What a benchmark found: values that benchmark.json holds as they are here."""

from __future__ import annotations

from dataclasses import dataclass

#: Of benchmark.json; raised when readers of an earlier number would misread the file.
SCHEMA = 2
#: Earlier ones that are read, too: what they lack has a default.
READ = (1, SCHEMA)
#: ``-cpu`` of QEMU's for the two counts of instructions. Without ``erms`` and ``fsrm`` a kernel
#: copies by moves of eight bytes, with them by ``rep movsb``, of which QEMU counts each byte.
CPUS = {"moves": "max,-erms,-fsrm", "strings": "max"}
#: Of them, the one by which kernels are compared.
MAIN = "moves"
SECOND = "strings"
#: Accelerator -> ``-cpu`` where time is counted, and the name of that count. "host" has a PMU where
#: KVM gives it one.
TIMED_CPUS = {"kvm": {"host": "host,pmu=on"}, "tcg": {"emulated": "max"}}


@dataclass(frozen=True)
class Estimate:
    """A number and the interval in which it lies with a confidence of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """What one message costs, of one algorithm, way and size."""

    algorithm: str
    way: str
    size: int  # bytes of text
    messages: int = 0  # that were counted
    #: Instructions of the cheapest message: what interrupts one (the timer, another process)
    #: only ever adds to it. Of cycles and nanoseconds the median of the rounds.
    cost: float = 0.0
    usual: float = 0.0  # half of the messages cost no more than this
    calls: tuple[str, ...] = ()  # that a message takes, in order
    shares: tuple[float, ...] = ()  # of each of them in the cost
    missing: str = ""  # why there is no cost: the call and what the kernel said
    #: Of cycles and nanoseconds the median message of each round of the count.
    rounds: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        """By what rows of two kernels are held against each other."""
        return self.algorithm, self.way, self.size


@dataclass(frozen=True)
class Fit:
    """The line through the costs of one way: so much a message, and so much a byte more."""

    algorithm: str
    way: str
    message: Estimate
    byte: Estimate
    off: float  # the largest distance of a row from the line, as a share of its cost


@dataclass(frozen=True)
class Count:
    """All rows of one kernel on one model of a CPU."""

    name: str  # of CPUS or TIMED_CPUS
    cpu: str  # as QEMU was told
    counting: float  # what counting itself adds to each call; taken off already
    rows: tuple[Row, ...]
    fits: tuple[Fit, ...]
    seconds: float  # from the start of vng to the last row, of all rounds
    #: Of cycles and nanoseconds the rounds that were measured, from 1 on: in each of them each
    #: kernel was booted once, one after the other.
    rounds: tuple[int, ...] = ()


@dataclass(frozen=True)
class KernelCosts:
    """One kernel."""

    spec: str
    release: str
    version: str  # uname -v
    build_id: str
    compiler: str
    cmdline: str
    openssl: str  # the guest's
    drivers: tuple[str, ...]  # algorithm=the kernel's implementation
    packages: tuple[str, ...]  # name=version
    commit: str
    counts: tuple[Count, ...]  # the first is the one by which it is compared

    @property
    def main(self) -> Count:
        """The count by which it is compared."""
        return self.counts[0]


@dataclass(frozen=True)
class Failure:
    """A guest that did not measure what it was to."""

    spec: str  # of its kernel
    part: str  # of what it was to measure: the name of a count; "" for all of it
    reason: str
    interrupted: bool = False  # somebody ended it: nothing is wrong with it


@dataclass(frozen=True)
class Benchmark:
    """One run of ``afalg-harness benchmark``."""

    schema: int
    command: str
    started: str  # UTC, ISO 8601
    unit: str  # of UNITS of harness/guest/inside/counting.py
    harness: str  # its version
    qemu: str
    kernels: tuple[KernelCosts, ...]  # that could be measured, in the order of the command
    #: What could not be measured. Schema 1 has none, for such a run came to nothing.
    failures: tuple[Failure, ...] = ()
    baseline: str = ""  # spec of the kernel that others are compared with; "": of the first
    accel: str = "tcg"  # "kvm" or "tcg"
    host_cpu: str = ""  # what the host's CPU calls itself

    @property
    def first(self) -> KernelCosts | None:
        """The kernel that others are compared with; None if it could not be measured."""
        named = (one for one in self.kernels if self.baseline in ("", one.spec))
        return next(named, None)

    @property
    def others(self) -> tuple[KernelCosts, ...]:
        """The kernels that are compared with it."""
        return tuple(one for one in self.kernels if one is not self.first)
