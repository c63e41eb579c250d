"""The values that cross from one stage to the next, and the words used for them.

Everything here is immutable and hashable, and knows nothing of how it was made: judging,
comparing and rendering work on these values alone, on a fresh run or on a stored one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from immutabledict import immutabledict

from harness.guest.inside.words import (
    Cause,
    Control,
    Defect,
    Outcome,
    Reason,
    State,
    Waited,
    Witness,
)

__all__ = [
    "Cause",
    "Control",
    "Defect",
    "Outcome",
    "Reason",
    "State",
    "Waited",
    "Witness",
]  # of words.py, too

SCHEMA = 2

#: Outcomes of a test that did not do what it is for.
FAILURES = frozenset({Outcome.FAILED, Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT})
#: Those of them that may have taken the kernel along.
FATAL = frozenset({Outcome.CRASHED, Outcome.TIMEOUT})
#: Kinds of reports after which a kernel is dead, or as good as dead.
DEADLY = frozenset({"panic", "oops"})


class Role(StrEnum):
    """What a kernel is in a run."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


class Status(StrEnum):
    """How the run of one kernel ended."""

    COMPLETED = "completed"  # the suite ran to its end
    CRASHED = "crashed"  # the kernel died after the suite had begun
    HUNG = "hung"  # nothing was heard within a deadline after the suite had begun
    BOOT_FAILED = "boot_failed"  # the guest never reported, or was not the kernel asked for
    UNAVAILABLE = "unavailable"  # the kernel could not be resolved, fetched or prepared
    INTERRUPTED = "interrupted"  # the user or a signal stopped it


class Purpose(StrEnum):
    """What a boot is for."""

    PLAN = "plan"  # all that was selected
    BESIDE = "beside"  # a part of the plan, in a guest beside the first one
    REST = "rest"  # what an earlier boot died before
    ALONE = "alone"  # the test in which one died, once more with nothing around it
    CONFIRM = "confirm"  # what differs from the baseline, once more


class Hang(StrEnum):
    """What stood still when a boot was ended at a deadline."""

    BOOT = "boot"  # the guest never reported
    COLLECTION = "collection"  # of the tests
    TEST = "test"  # its process runs, or sleeps such that a signal could wake it
    BLOCKED_TEST = "blocked_test"  # its process is in uninterruptible sleep in the kernel
    SUITE = "suite"  # each test ended in time, all of them did not
    KERNEL = "kernel"  # no sign of life from the guest
    POWER_OFF = "power_off"
    EMULATOR = "emulator"  # QEMU does not answer
    PAUSED = "paused"  # QEMU does not run the guest


class ChangeClass(StrEnum):
    """What a difference between baseline and candidate amounts to."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    INTENDED = "intended"  # explained by a named kernel change whose signature was observed
    NEWLY_UNAVAILABLE = "newly_unavailable"
    VANISHED = "vanished"  # planned on the baseline, not on the candidate
    NEW = "new"
    FLAKY = "flaky"


class CodeWord(StrEnum):
    """What the code of a kernel says of a way into or out of its request sockets."""

    CAN = "can refer to pages"
    CANNOT = "cannot"
    SILENT = "silent"  # it could not be read


def _freeze_tables(value: object, *names: str) -> None:
    """Make tables of a frozen value immutable, whatever kind of mapping they came as."""
    for name in names:
        object.__setattr__(value, name, immutabledict(getattr(value, name)))


@dataclass(frozen=True)
class PackageFile:
    """One package a kernel was unpacked from."""

    name: str
    version: str
    sha256: str
    #: "signed index": the hash stood in an index whose signature was verified;
    #: "outside the signed index": fetched from the pool without one; "local": given by the user.
    trust: str


@dataclass(frozen=True)
class BootableKernel:
    """A kernel ready for vng.

    ``image`` is a bzImage below a directory that also holds ``lib/modules/<release>``
    with the uncompressed modules which the initramfs must load; ``modules_image`` is a
    read-only ext4 image of the whole ``lib/modules/<release>`` for the guest, and
    ``modules_tree`` the same as a directory. Both are None if the kernel has no modules.
    """

    spec: str
    release: str
    image: Path
    modules_image: Path | None
    modules_tree: Path | None
    config: Path | None
    packages: tuple[PackageFile, ...] = ()
    notes: tuple[str, ...] = ()
    #: Directory with vmlinux and decode_stacktrace.sh of this kernel, if it has debug info.
    symbols: Path | None = None
    #: A spec that goes on naming this very kernel; "" if ``spec`` does.
    exact: str = ""
    commit: str = ""  # of the git tree that it was built from
    key: str = ""  # a digest of all its files, under which the cache keeps it


@dataclass(frozen=True)
class CodeFinding:
    """What the code of a kernel says of one way, and why (harness/static)."""

    way: str  # "skcipher.input"
    word: CodeWord
    #: CAN: the calls from the socket's operation to what takes pages. CANNOT: the operations
    #: from which nothing such is reached; none if the sockets have no such operation.
    evidence: tuple[str, ...] = ()
    reason: str = ""  # why it is silent

    def in_words(self) -> str:
        """The word and its evidence, in one line."""
        match self.word:
            case CodeWord.CAN:
                return f"{self.word}: {' -> '.join(self.evidence)}"
            case CodeWord.CANNOT:
                if not self.evidence:
                    return f"{self.word}: no such operation"
                return f"{self.word}: nothing below {', '.join(self.evidence)} takes them"
            case CodeWord.SILENT:
                return f"{self.word}: {self.reason}"


@dataclass(frozen=True)
class Fact:
    """What was seen, for instance of a zero-copy path, by one probe or several."""

    state: State
    control: Control
    evidence: str = ""
    test: str = ""  # id of the test that recorded it
    reason: Reason | None = None  # why it is unreachable, fails or is unknown
    witness: Witness = Witness.NONE
    value: str = ""  # what was found, in a word, where the state alone does not say it
    shapes: int = 1  # in how many shapes it was tried and told
    others: tuple[str, ...] = ()  # ids of further tests that recorded it
    #: What the kernel's code says of it; None where it was not asked, or knows no such thing.
    code: CodeFinding | None = None


#: Facts that have a place of their own: what the names of zero-copy paths begin with, and
#: CVE-2026-31431.
_PATH, _PAGE_CACHE_WRITE = "zero_copy.", "page_cache_write"


@dataclass(frozen=True)
class Facts:
    """What was learnt of one kernel beside test outcomes."""

    af_alg_restrict: int | None = None  # the sysctl as booted; None if the kernel lacks it
    zero_copy: Mapping[str, Fact] = field(default_factory=immutabledict)  # path -> state
    page_cache_write: Fact | None = None  # CVE-2026-31431
    other: Mapping[str, Fact] = field(default_factory=immutabledict)

    def __post_init__(self) -> None:
        _freeze_tables(self, "zero_copy", "other")

    @classmethod
    def of(cls, named: Mapping[str, Fact], af_alg_restrict: int | None = None) -> Self:
        """Facts given by their full names."""
        paths = {name for name in named if name.startswith(_PATH)}
        return cls(
            af_alg_restrict=af_alg_restrict,
            zero_copy={name.removeprefix(_PATH): named[name] for name in named if name in paths},
            page_cache_write=named.get(_PAGE_CACHE_WRITE),
            other={
                name: fact
                for name, fact in named.items()
                if name not in paths and name != _PAGE_CACHE_WRITE
            },
        )

    def named(self) -> dict[str, Fact]:
        """All probe facts by their full name (``zero_copy.skcipher.splice_file``)."""
        facts = {f"{_PATH}{path}": fact for path, fact in self.zero_copy.items()}
        if self.page_cache_write is not None:
            facts[_PAGE_CACHE_WRITE] = self.page_cache_write
        return {**facts, **self.other}


@dataclass(frozen=True)
class Attempt:
    """What a test came to in one boot of several."""

    boot: int  # its number, from 1
    outcome: Outcome
    message: str = ""
    purpose: Purpose = Purpose.PLAN


@dataclass(frozen=True)
class TestResult:
    """Outcome of one planned test."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    id: str
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""  # one line: why skipped, what was expected and seen
    details: str = ""  # the traceback or console excerpt, whole
    reason: Reason | None = None  # why it was skipped, as data
    defect: Defect | None = None  # what it looked for, if that is a known one
    taint: int = 0  # bits of the kernel's taint that came with it
    #: Why it failed though it passed: what the kernel reported, or was tainted by, meanwhile.
    charged: str = ""
    waited: Waited = Waited.LIMIT  # how long, if it timed out
    #: What it came to in each boot that ran it, if there were several.
    attempts: tuple[Attempt, ...] = ()

    @property
    def is_flaky(self) -> bool:
        """Whether it came to different things in different boots."""
        return len({attempt.outcome for attempt in self.attempts}) > 1


@dataclass(frozen=True)
class EarlierRecord:
    """What stored runs say of a test on one kernel, where all else was the same."""

    boots: int  # in which it passed or failed
    passes: int  # of those


@dataclass(frozen=True)
class ConsoleEvent:
    """A report by the kernel on its console: panic, oops, warning, sanitizer splat."""

    kind: str
    title: str
    seconds: float  # host time since the guest was started
    test: str = ""  # id of the test that was running, "" if none
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestIdentity:
    """Who the guest said it is, in its first record."""

    release: str  # uname -r
    version: str  # uname -v
    machine: str
    cmdline: str
    nonce: str
    cpu: str = ""  # model of the CPU that it sees


@dataclass(frozen=True)
class ConsoleWatch:
    """Whether reports of the kernel could have been seen.

    What we write into the kernel log must come back on the console, else its silence
    proves nothing (``quiet``, ``loglevel=0``, a console that is not the one we read).
    """

    written: int  # lines that we wrote into the kernel log
    seen: int  # those of them that came back on the console
    kernel_log: bool  # /dev/kmsg was read in the guest as well, without a gap


@dataclass(frozen=True)
class KernelIdentity:
    """Which kernel it is, whatever it was called by. Empty where it is not known."""

    build_id: str = ""  # GNU build id of vmlinux, hexadecimal (/sys/kernel/notes)
    packages: tuple[str, ...] = ()  # SHA-256 of each, in their order
    commit: str = ""  # of the git tree that it was built from
    architecture: str = ""  # as uname -m says it
    compiler: str = ""  # as /proc/version says it
    key: str = ""  # a digest of all its files, under which the cache keeps it


@dataclass(frozen=True)
class Reused:
    """Which stored run a result was taken from."""

    run: str  # id
    started: str  # of that run: UTC, ISO 8601


@dataclass(frozen=True)
class Boot:
    """One start of a guest with one kernel: what it was for and what was heard of it."""

    status: Status
    status_reason: str = ""
    accel: str = ""  # "tcg" or "kvm"
    identity: GuestIdentity | None = None
    number: int = 1
    purpose: Purpose = Purpose.PLAN
    round: int = 1  # in which repetition of the plan
    #: Ids of the tests that it was to run, or files of such; (): all selected.
    asked: tuple[str, ...] = ()
    #: Files whose tests it left to the guest beside it.
    left: tuple[str, ...] = ()
    killed: bool = False  # from outside, or by a fault of ours: says nothing of the kernel
    stopped: bool = False  # by whoever stopped the run
    fatal_test: str = ""  # in which the kernel died or fell silent
    started: str = ""  # UTC, ISO 8601
    boot_seconds: float | None = None  # start of vng to the guest's first record
    suite_seconds: float | None = None  # first record to last
    wall_seconds: float | None = None  # start of vng to the end of its process group
    taint_before: int | None = None
    taint: int | None = None
    console_events: tuple[ConsoleEvent, ...] = ()
    console_watch: ConsoleWatch | None = None
    hang: Hang | None = None  # what stood still, if a deadline ended it
    planned: int = 0  # tests that the guest said it would run
    outcomes: Mapping[str, Outcome] = field(default_factory=immutabledict)  # id -> outcome

    def __post_init__(self) -> None:
        _freeze_tables(self, "outcomes")

    @property
    def died(self) -> bool:
        """Whether the kernel died or fell silent after the guest had reported."""
        return self.status in {Status.CRASHED, Status.HUNG}

    @property
    def deadly_report(self) -> ConsoleEvent | None:
        """The first panic or oops."""
        return next((event for event in self.console_events if event.kind in DEADLY), None)


@dataclass(frozen=True)
class ExpectationCheck:
    """One expectation, held against what was observed."""

    #: Full name of a fact, test id, "differential/" and what differs, or "status", "plan",
    #: "console.KIND.FINGERPRINT", "taint.LETTER".
    id: str
    expected: str
    seen: str
    met: bool
    explanation: str = ""  # the reason given with the expectation, or how it came to be met
    explicit: bool = False  # asked for by --expect or an expectations file


@dataclass(frozen=True)
class Ground:
    """One reason of a verdict as data: what it is about, so that those alike can be grouped."""

    sentence: str  # as in ``Verdict.reasons``
    #: Test ids, full names of facts, or ids of checks.
    ids: tuple[str, ...] = ()
    unknown: bool = False  # a want of knowledge, by a fault that is not the kernel's


@dataclass(frozen=True)
class Verdict:
    """What follows for one kernel from its observations."""

    ok: bool
    reasons: tuple[str, ...] = ()  # why not ok, one sentence each
    notes: tuple[str, ...] = ()  # what a reader must know of an ok one, too
    checks: tuple[ExpectationCheck, ...] = ()
    #: Not ok only for want of knowledge: a fault of ours or of the host, not of the kernel.
    unknown: bool = False
    #: The reasons as data, in their order; () in runs of earlier versions that cannot be judged
    #: anew.
    grounds: tuple[Ground, ...] = ()


@dataclass(frozen=True)
class KernelResult:
    """Everything observed of one kernel in one run, and its verdict."""

    spec: str
    release: str  # "" while unknown
    role: Role
    status: Status
    status_reason: str = ""  # why not completed, in one line
    #: Exit code of the error that made it unavailable, or that interrupted it (QEMU was killed).
    status_exit: int | None = None
    fatal_test: str = ""  # id of the test in which the kernel died or fell silent
    boot_seconds: float | None = None  # start of vng to the guest's first record
    suite_seconds: float | None = None  # first record to last
    wall_seconds: float | None = None  # start of vng to the end of its process group
    taint_before: int | None = None  # /proc/sys/kernel/tainted when the guest reported
    taint: int | None = None  # the same after the suite; None if never read
    identity: GuestIdentity | None = None
    console_events: tuple[ConsoleEvent, ...] = ()
    console_watch: ConsoleWatch | None = None  # None: not recorded (runs of earlier versions)
    #: Kernel arguments that the kernel itself called unknown: they had no effect.
    ignored_arguments: tuple[str, ...] = ()
    #: Every boot in order. What else is here is seen in them all (harness/guest/boots.py).
    boots: tuple[Boot, ...] = ()
    kernel: KernelIdentity | None = None  # which it is, apart from its spec and release
    exact: str = ""  # a spec that goes on naming this very kernel
    facts: Facts = field(default_factory=Facts)
    #: What its code says of each way (harness/static); () if it was not asked.
    code: tuple[CodeFinding, ...] = ()
    #: Sequences of calls -> what the kernel answered (tests/afalg/sequences.py).
    transcripts: Mapping[str, str] = field(default_factory=immutabledict)
    plan: tuple[str, ...] = ()
    collection_errors: tuple[str, ...] = ()
    tests: tuple[TestResult, ...] = ()
    records_lost: int = 0  # gaps and unreadable records: what they held is not known
    packages: tuple[PackageFile, ...] = ()
    notes: tuple[str, ...] = ()
    append: tuple[str, ...] = ()  # kernel arguments added by --append
    directory: str = ""  # of this kernel's files, relative to the run directory
    reproduce: str = ""  # command that runs this kernel's suite again
    settings: str = ""  # its options that bear on what is observed
    reused: Reused | None = None  # set if it was not booted in this run
    #: Options of the kernel's config that say what AF_ALG offers ("y", "m" or "n").
    config: Mapping[str, str] = field(default_factory=immutabledict)
    #: Test id -> its record in the store, of tests that failed or differ (history/keeping.py).
    earlier: Mapping[str, EarlierRecord] = field(default_factory=immutabledict)
    verdict: Verdict = field(default_factory=lambda: Verdict(False, ("not judged",)))

    def __post_init__(self) -> None:
        _freeze_tables(self, "transcripts", "config", "earlier")


@dataclass(frozen=True)
class HostInfo:
    """The machine that ran the guests."""

    accel: str  # "tcg" or "kvm"
    accel_reason: str
    qemu: str
    vng: str
    cpus: int


@dataclass(frozen=True)
class Reproducer:
    """The shortest sequence of calls that two kernels answer differently."""

    sequence: str  # "skcipher cbc(aes) key16: send 24 more; recv 24"
    baseline: tuple[str, ...]  # what each call was answered
    candidate: tuple[str, ...]
    others: tuple[str, ...] = ()  # more sequences of the same sort
    others_left_out: int = 0


@dataclass(frozen=True)
class Change:
    """One difference between baseline and candidate."""

    id: str  # test id, the full name of a fact, or "differential/" and what differs
    cls: ChangeClass  # "class" in results.json
    baseline: str
    candidate: str
    explanation: str = ""
    reproducer: Reproducer | None = None


@dataclass(frozen=True)
class Comparison:
    """All differences between two kernels."""

    baseline: str  # release
    candidate: str
    changes: tuple[Change, ...] = ()
    baseline_spec: str = ""  # two kernels may have the same release
    candidate_spec: str = ""
    baseline_append: tuple[str, ...] = ()  # and the same spec
    candidate_append: tuple[str, ...] = ()
    fault: str = ""  # of ours: why there are no changes, though there may be some
    #: Tests that only one of them had selected: nothing was lost or gained by them.
    only_baseline: tuple[str, ...] = ()
    only_candidate: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExpectationEntry:
    """An expectation that a person gave, as ``results.json`` holds it."""

    name: str  # pattern of facts or tests
    value: str
    reason: str = ""
    kernels: str = ""  # range of upstream versions: ">=6.12,<6.12.96"
    source: str = ""  # "--expect" or the file's name


@dataclass(frozen=True)
class ImageContents:
    """What a guest image is made of."""

    suite: str  # of Debian, by its codename
    sha256: str  # of the image
    packages: tuple[str, ...]  # NAME=VERSION of each that is installed, sorted


@dataclass(frozen=True)
class Revisions:
    """What the kernels were put to, so that unlike runs are told apart. "" where not known."""

    harness: str = ""  # its version
    suite: str = ""  # SHA-256 over the built-in suite and what runs it, whatever was selected
    image: str = ""  # key of the guest image
    own_suites: tuple[str, ...] = ()  # NAME=SHA-256 of each suite of the user's
    #: What the guest image is made of; None of another root (``--root``).
    image_contents: ImageContents | None = None


@dataclass(frozen=True)
class Shard:
    """Which part of a larger run this one is (harness/shard.py)."""

    number: int  # from 1
    count: int
    #: Of all kernels of the whole run, in the order in which they were asked for, the baseline
    #: first if there is one.
    specs: tuple[str, ...]


@dataclass(frozen=True)
class RunResult:
    """One run: what ``results.json`` holds."""

    schema: int
    exit_code: int
    started: str  # UTC, ISO 8601
    command: str
    seed: int  # of the known answers and random inputs
    host: HostInfo
    kernels: tuple[KernelResult, ...]
    id: str = ""  # of this run, unlike that of any other
    #: Release of a kernel that booted on this host when one of the run's did not; "" if none.
    control: str = ""
    ended: str = ""  # UTC, ISO 8601; "" while it runs, and if it never came to its end
    revisions: Revisions | None = None
    shard: Shard | None = None  # None: it is the whole
    comparisons: tuple[Comparison, ...] = ()
    #: What was expected, so that the run can be judged again (harness/judge/expectations.py).
    expectations: tuple[ExpectationEntry, ...] = ()
