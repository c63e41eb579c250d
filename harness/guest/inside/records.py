"""What the guest reports, one definition for both ends, and the guest's end of the channel.

A record travels as one JSON object a line on a virtio-serial port: ``type``, ``seq`` and
``uptime`` (seconds), then the fields of its class below. A write to the port returns only
once the host has taken the bytes (``__send_to_port`` in ``drivers/char/virtio_console.c``
waits for it), so a record that was sent before a crash is not lost in it. Records are
numbered; a gap tells the host that one is missing.

Standard library only, and little of it: this is imported before the guest's first word.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import mmap
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.guest.inside.words import Control, Defect, Outcome, Reason, State, Waited, Witness

PORT_NAME = "afalg.results"
#: What the host writes to the port to be told at once how the suite's process fares.
REQUEST = b"look\n"
#: Between two signs of life of the agent's, in seconds.
ALIVE_SECONDS = 5.0
KERNEL_LOG = "/dev/kmsg"
#: The kernel takes no line above some 1,000 bytes (PRINTKRB_RECORD_MAX, kernel/printk).
_LOG_LINE_LIMIT = 800  # bytes


@dataclass(frozen=True)
class Hello:
    """First record: what runs in the guest, in the kernel's own words."""

    nonce: str  # of this boot, from the kernel command line
    release: str
    version: str
    machine: str
    cmdline: str
    af_alg_error: str  # why no AF_ALG socket can be had, "" if one can
    af_alg_restrict: int | None
    taint: int | None
    python: str = ""
    build_id: str = ""  # GNU build id of the kernel, hexadecimal
    compiler: str = ""
    cpu: str = ""  # model of the CPU that the guest sees


@dataclass(frozen=True)
class Plan:
    """The tests that will run, in order."""

    tests: tuple[str, ...]


@dataclass(frozen=True)
class Start:
    """A test begins."""

    id: str


@dataclass(frozen=True)
class Finish:
    """A test has ended."""

    id: str
    outcome: Outcome
    seconds: float
    message: str
    details: str
    reason: Reason | None = None  # why it was skipped
    defect: Defect | None = None  # what it looked for, if that is a known one
    waited: Waited = Waited.LIMIT  # how long, if it timed out


@dataclass(frozen=True)
class Probed:
    """What a probe saw."""

    name: str
    state: State
    control: Control
    evidence: str
    test: str
    reason: Reason | None = None
    witness: Witness = Witness.NONE
    value: str = ""
    shapes: int = 1  # in how many shapes it was tried and told


@dataclass(frozen=True)
class Transcripts:
    """What the kernel answered to sequences of calls: text of each -> answers."""

    transcripts: Mapping[str, str]


@dataclass(frozen=True)
class CollectionError:
    """A module whose tests have no place in the plan."""

    id: str
    message: str


@dataclass(frozen=True)
class TaintChange:
    """A test changed the kernel's taint."""

    before: int
    after: int
    test: str


@dataclass(frozen=True)
class KernelLog:
    """Lines of the kernel log since the last such record, as a console has them."""

    lines: tuple[str, ...]
    lost: int  # messages that the kernel dropped before they could be read


@dataclass(frozen=True)
class Alive:
    """A sign of life of the agent's, and what the suite's process does meanwhile."""

    state: str  # of the process ("R", "S", "D", ...: proc_pid_stat(5)); "" if it is not known
    where: str  # the kernel's function in which it sleeps, "" if it runs or that is not known
    #: Seconds for which it has been seen in uninterruptible sleep without waking up once.
    blocked: float = 0.0
    stack: tuple[str, ...] = ()  # of that sleep, in the kernel
    asked: bool = False  # the host had asked; blocked tasks are in the kernel log by now


@dataclass(frozen=True)
class End:
    """Last record: the suite's process is gone."""

    status: int  # pytest's exit status; negative: the signal that killed the process
    seconds: float
    taint: int | None


Record = (
    Hello
    | Plan
    | Start
    | Finish
    | Probed
    | Transcripts
    | CollectionError
    | TaintChange
    | KernelLog
    | Alive
    | End
)
#: A record's ``type``, and its class.
TYPES: dict[str, type[Record]] = {
    "hello": Hello,
    "plan": Plan,
    "start": Start,
    "outcome": Finish,
    "fact": Probed,
    "transcripts": Transcripts,
    "collection_error": CollectionError,
    "taint": TaintChange,
    "kernel_log": KernelLog,
    "alive": Alive,
    "end": End,
}
_NAMES = {kind: name for name, kind in TYPES.items()}


def find_port(name: str = PORT_NAME) -> Path | None:
    """The device of the virtio-serial port called ``name``; None if there is none.

    Looked up in sysfs, since the names below ``/dev/virtio-ports`` need udev.
    """
    for entry in Path("/sys/class/virtio-ports").glob("*/name"):
        if entry.read_text().strip() == name:
            return Path("/dev") / entry.parent.name
    return None


class RecordWriter:
    """Writes numbered records to a file descriptor, each in full or with an error.

    The agent and the suite's process, forked from it, both write: a lock keeps their records
    apart, and the number lives in memory that they share. Only a process that called ``own``
    writes: a test may fork without a second copy of its outcome being reported.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._number = mmap.mmap(-1, mmap.PAGESIZE)
        # A POSIX lock belongs to its process and ends with it, whatever kills it.
        self._lock = os.memfd_create("records", os.MFD_CLOEXEC)
        self.own()

    def own(self) -> None:
        """Make the calling process one whose records count."""
        self._owner = os.getpid()

    def send(self, record: Record) -> None:
        """Send one record; does nothing in a process that is not an owner."""
        if os.getpid() != self._owner:
            return
        with self._locked():
            number = int.from_bytes(self._number[:8], "little")
            self._number[:8] = (number + 1).to_bytes(8, "little")
            head = {"type": _NAMES[type(record)], "seq": number, "uptime": _uptime()}
            data = json.dumps(head | vars(record), default=vars).encode() + b"\n"
            while data:
                data = data[os.write(self._descriptor, data) :]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


def _uptime() -> float:
    return round(time.monotonic(), 3)


@functools.cache
def _opened(path: str, flags: int) -> int:
    """A descriptor that stays open: opening a file for every test takes longer than the rest."""
    return os.open(path, flags | os.O_CLOEXEC)


def read_taint() -> int:
    """The kernel's taint bits (Documentation/admin-guide/tainted-kernels.rst)."""
    return int(os.pread(_opened("/proc/sys/kernel/tainted", os.O_RDONLY), 32, 0))


def hello_marker(nonce: str) -> str:
    """What the kernel log has when the guest reports."""
    return f"afalg-harness: hello {nonce}"


def start_marker(test: str) -> str:
    """What the kernel log has when a test starts, cut to what the kernel takes."""
    text = f"afalg-harness: start {test}"
    return text.encode(errors="replace")[:_LOG_LINE_LIMIT].decode(errors="ignore")


#: What the kernel log has when the suite is over.
END_MARKER = "afalg-harness: end"


def log_to_console(marker: str) -> None:
    """Write a line to the kernel log, so that a splat can be charged to the test before it."""
    with contextlib.suppress(OSError):
        os.write(_opened(KERNEL_LOG, os.O_WRONLY), f"<6>{marker}\n".encode(errors="replace"))
