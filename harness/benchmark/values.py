"""What a benchmark found: values that benchmark.json holds as they are here."""

from __future__ import annotations

from dataclasses import dataclass

#: Of benchmark.json; raised when readers of an earlier number would misread the file.
SCHEMA = 2
#: Earlier ones that are read, too: what they lack has a default.
READ = (1, SCHEMA)
#: ``-cpu`` of QEMU's for the two counts. Without ``erms`` and ``fsrm`` a kernel copies by moves of
#: eight bytes, with them by ``rep movsb``, of which QEMU counts each byte as an instruction.
CPUS = {"moves": "max,-erms,-fsrm", "strings": "max"}
#: The count by which kernels are compared.
MAIN = "moves"


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
    #: only ever adds to it.
    cost: float = 0.0
    usual: float = 0.0  # half of the messages cost no more than this
    calls: tuple[str, ...] = ()  # that a message takes, in order
    shares: tuple[float, ...] = ()  # instructions of each of them, the cheapest ones
    missing: str = ""  # why there is no cost: the call and what the kernel said

    @property
    def key(self) -> tuple[str, str, int]:
        """By what rows of two kernels are held against each other."""
        return self.algorithm, self.way, self.size


@dataclass(frozen=True)
class Fit:
    """The line through the costs of one way: so much a message, and so much a byte more."""

    algorithm: str
    way: str
    message: Estimate  # instructions
    byte: Estimate  # instructions
    off: float  # the largest distance of a row from the line, as a share of its cost


@dataclass(frozen=True)
class Count:
    """All rows of one kernel on one model of a CPU."""

    name: str  # of CPUS
    cpu: str  # as QEMU was told
    counting: float  # instructions that counting itself adds to each call; taken off already
    rows: tuple[Row, ...]
    fits: tuple[Fit, ...]
    seconds: float  # from the start of vng to the last row


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
    counts: tuple[Count, ...]

    def count(self, name: str = MAIN) -> Count:
        """One of its counts. Raises KeyError."""
        for count in self.counts:
            if count.name == name:
                return count
        raise KeyError(name)


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
    unit: str  # "instructions"
    harness: str  # its version
    qemu: str
    kernels: tuple[KernelCosts, ...]  # that could be measured, in the order of the command
    #: What could not be measured. Schema 1 has none, for such a run came to nothing.
    failures: tuple[Failure, ...] = ()
    baseline: str = ""  # spec of the kernel that others are compared with; "": of the first

    @property
    def first(self) -> KernelCosts | None:
        """The kernel that others are compared with; None if it could not be measured."""
        named = (one for one in self.kernels if self.baseline in ("", one.spec))
        return next(named, None)

    @property
    def others(self) -> tuple[KernelCosts, ...]:
        """The kernels that are compared with it."""
        return tuple(one for one in self.kernels if one is not self.first)
