"""What one boot's console and records amount to.

Nothing that a guest sends raises here. What cannot be believed is refused, counted in
``records_lost`` and named in a note: a guest that lies or breaks must not come out ``ok``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.guest.console import ConsoleScanner, find_marker
from harness.guest.console_file import LeftOut
from harness.guest.inside import records
from harness.guest.journal import BootRecord
from harness.guest.messages import ConsoleLine
from harness.guest.parsing import Refused, Sent
from harness.merge import together
from harness.model import (
    ConsoleEvent,
    ConsoleWatch,
    Fact,
    GuestIdentity,
    Outcome,
    TestResult,
)

_UNKNOWN_ARGUMENTS = re.compile(r'Unknown kernel command line parameters "([^"]*)')
_POWER_OFF = re.compile(r"\] reboot: (?:Power down|System halted)")
_STAMP = re.compile(r"\[ *(\d+\.\d+)\]")
_NAMED = 10  # refusals that get a note of their own
#: Reports of the kernel that are kept of one boot; beyond it only the first of a kind.
_MOST_EVENTS = 500
_MOST_MARKS = 20_000  # on the console; a suite of ours has some 1,000 tests
#: What a guest that died wrote into the kernel log this shortly before, in seconds, may not
#: have reached the console.
_UNDER_WAY = 2.0
_HOST_WORDS = (Outcome.CRASHED, Outcome.MISSING)  # no guest can say these of a test


class _Disbelieved(Exception):
    """A record that contradicts what is known."""


class _Events:
    """Reports of the kernel: all of a sane number of them."""

    def __init__(self) -> None:
        self.kept: list[ConsoleEvent] = []
        self.dropped = 0
        self._kinds: set[str] = set()

    def add(self, events: Iterable[ConsoleEvent]) -> None:
        for event in events:
            if len(self.kept) < _MOST_EVENTS or event.kind not in self._kinds:
                self.kept.append(event)
                self._kinds.add(event.kind)
            else:
                self.dropped += 1


class Heard:
    """One boot, as far as it has been heard."""

    def __init__(self, boot: BootRecord) -> None:
        """``boot`` says what was started: a guest that is something else is disowned."""
        self._boot = boot
        self._console = ConsoleScanner()
        self._log = ConsoleScanner()
        self._console_events = _Events()
        self._log_events = _Events()
        self._left_out = LeftOut()
        self._log_read = self._log_gap = False
        self._written: dict[str, float] = {}  # markers, and when the host knew of them
        self._seen: set[str] = set()
        self._unknown_arguments: set[str] = set()
        self._refusals: list[str] = []  # the first of them
        self.records_lost = 0  # missing, unreadable, or not to be believed
        self._taint_notes: list[str] = []
        self._next_number = 0
        self._hello: records.Hello | None = None
        self._uptime_offset = 0.0
        self.last_line = ""
        self.powered_off = False
        self.disowned = ""  # why the guest is not the one that was started
        self.last_seconds = 0.0  # when anything was heard
        self.boot_seconds: float | None = None
        self.last_record: float | None = None
        self.last_sign: float | None = None  # when anything believable came from the guest
        self.process: records.Alive | None = None  # what the suite's does since that record
        self.answers = 0  # to what the host asked
        self.plan: tuple[str, ...] | None = None
        self.own = 0  # tests of it that this guest runs
        self.running = ""
        self.begun = 0  # tests
        self.began = 0.0  # when the last one did
        self.taint: int | None = None
        self.tests: dict[str, TestResult] = {}
        self.facts: dict[str, Fact] = {}
        self.transcripts: dict[str, str] = {}
        self.collection_errors: list[str] = []
        self.end: records.End | None = None

    def console_line(self, line: ConsoleLine) -> None:
        """Take a line of the console."""
        self.last_seconds = max(self.last_seconds, line.seconds)
        text = line.text.strip()
        self.last_line = text or self.last_line
        self.powered_off = self.powered_off or bool(_POWER_OFF.search(text))
        if len(self._seen) < _MOST_MARKS:
            self._seen.add(find_marker(line.text))
        self._note_arguments(line.text)
        self._console_events.add(self._console.feed(line.seconds, line.text))

    def left_out(self, left_out: LeftOut) -> None:
        """Know what was cut out of the console: reports among it are lost."""
        self._left_out = left_out
        if left_out.reports:
            self._refuse(f"{left_out.reports} lines of reports on the console", left_out.reports)

    def record(self, seconds: float, said: Sent | Refused) -> None:
        """Take what the guest sent, heard ``seconds`` after the start of vng."""
        self.last_seconds = max(self.last_seconds, seconds)
        if self.disowned:
            return
        try:
            if said.seq is not None:
                self._count(said.seq)
            if isinstance(said, Refused):
                raise _Disbelieved(said.problem)
            self._believe(seconds, said)
        except _Disbelieved as error:
            self._refuse(str(error), said.times if isinstance(said, Refused) else 1)

    def _count(self, number: int) -> None:
        last, self._next_number = self._next_number - 1, max(self._next_number, number + 1)
        if number <= last:
            raise _Disbelieved(f"a record comes again, or late: number {number} after {last}")
        if number != last + 1:
            self._refuse(f"records lost: number {number} after {last}")

    def _refuse(self, why: str, times: int = 1) -> None:
        self.records_lost += times
        if len(self._refusals) < _NAMED:
            self._refusals.append(why)

    def _believe(self, seconds: float, said: Sent) -> None:
        record = said.record
        if isinstance(record, records.Hello):
            self._take_hello(seconds, record, said.uptime)
        elif self._hello is None:
            raise _Disbelieved(f"a {type(record).__name__} record before the guest's first")
        elif self.end is not None:
            raise _Disbelieved(f"a {type(record).__name__} record after the guest's last")
        else:
            self._take(seconds, record)
        self.last_sign = seconds
        if isinstance(record, records.Alive):
            self.process = record
        elif not isinstance(record, records.KernelLog):  # both say nothing of the suite's progress
            self.last_record, self.process = seconds, None

    def _take_hello(self, seconds: float, hello: records.Hello, uptime: float) -> None:
        if self._hello is not None:
            raise _Disbelieved("a second hello")
        expected = self._boot
        self._hello = hello
        self.boot_seconds = seconds
        self._uptime_offset = seconds - uptime
        if expected.release and hello.release != expected.release:
            self.disowned = f"the guest ran {hello.release}, not {expected.release}"
        elif expected.nonce and hello.nonce != expected.nonce:
            self.disowned = "the guest's report is not of this run (its nonce differs)"
        self.taint = hello.taint
        self._written[records.hello_marker(hello.nonce)] = seconds

    def _take(self, seconds: float, record: records.Record) -> None:
        match record:
            case records.Plan(tests):
                if self.plan is not None:
                    raise _Disbelieved("a second plan")
                self.plan = tests
                left = frozenset(self._boot.left)
                self.own = sum(test.partition("::")[0] not in left for test in tests)
            case records.Start(test):
                self._know(test)
                if test in self.tests or test == self.running:
                    raise _Disbelieved(f"a test that has begun begins again: {test:.200}")
                self.running = test
                self.begun, self.began = self.begun + 1, seconds
                self._written[records.start_marker(test).rstrip()] = seconds
            case records.Finish():
                self._take_outcome(record)
            case records.Probed():
                self._know(record.test)
                seen = Fact(
                    state=record.state,
                    control=record.control,
                    evidence=record.evidence,
                    test=record.test,
                    reason=record.reason,
                    witness=record.witness,
                    value=record.value,
                    shapes=record.shapes,
                )
                self.facts[record.name] = together(self.facts.get(record.name), seen)
            case records.Transcripts(transcripts):
                self.transcripts.update(transcripts)
            case records.CollectionError(module, message):
                if self.plan is not None:
                    raise _Disbelieved(f"collection fails after the plan: {module:.200}")
                self.collection_errors.append(f"{module}: {message}")
            case records.TaintChange(before, after, test):
                self._know(test)
                self.taint = after
                if len(self._taint_notes) < _NAMED:
                    self._taint_notes.append(f"taint went from {before} to {after} in {test}")
                if test in self.tests:
                    self.tests[test] = replace(self.tests[test], taint=after & ~before)
            case records.KernelLog():
                self._take_log(record)
            case records.Alive():
                self.answers += record.asked
            case records.End():
                self.end = record
                self.taint = record.taint
                self._written[records.END_MARKER] = seconds

    def _know(self, test: str) -> None:
        if test not in (self.plan or ()):
            raise _Disbelieved(f"a record names a test that was not planned: {test:.200}")

    def _take_outcome(self, record: records.Finish) -> None:
        self._know(record.id)
        if record.id in self.tests:
            raise _Disbelieved(f"a second outcome of {record.id:.200}")
        if record.outcome in _HOST_WORDS:
            raise _Disbelieved(f"the guest calls {record.id:.200} {record.outcome}")
        self.tests[record.id] = TestResult(
            id=record.id,
            outcome=record.outcome,
            seconds=record.seconds,
            message=record.message,
            details=record.details,
            reason=record.reason,
            defect=record.defect,
            waited=record.waited,
        )
        if self.running == record.id:
            self.running = ""

    def _take_log(self, record: records.KernelLog) -> None:
        self._log_read = True
        self._log_gap = self._log_gap or record.lost > 0
        for line in record.lines:
            stamp = _STAMP.match(line)
            uptime = float(stamp.group(1)) if stamp else 0.0
            self._note_arguments(line)
            self._log_events.add(self._log.feed(uptime + self._uptime_offset, line))

    def _note_arguments(self, line: str) -> None:
        match = _UNKNOWN_ARGUMENTS.search(line)
        if match:
            given = {word for text in self._boot.arguments for word in text.split()}
            self._unknown_arguments.update(given.intersection(match.group(1).split()))

    def finish(self) -> None:
        """Nothing more will be heard."""
        self._console_events.add(self._console.finish())
        self._log_events.add(self._log.finish())

    @property
    def identity(self) -> GuestIdentity | None:
        """Who the guest said it is."""
        if self._hello is None:
            return None
        names = GuestIdentity.__dataclass_fields__
        return GuestIdentity(**{name: getattr(self._hello, name) for name in names})

    @property
    def build_id(self) -> str:
        """The kernel's GNU build id, as its guest said it."""
        return self._hello.build_id if self._hello is not None else ""

    @property
    def compiler(self) -> str:
        """What the kernel was compiled by, as its guest said it."""
        return self._hello.compiler if self._hello is not None else ""

    @property
    def af_alg_restrict(self) -> int | None:
        """The sysctl as booted."""
        if self._hello is None or self.disowned:
            return None
        return self._hello.af_alg_restrict

    @property
    def taint_before(self) -> int | None:
        """The kernel's taint when the guest reported."""
        return self._hello.taint if self._hello is not None else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of this boot."""
        more = self.records_lost - len(self._refusals)
        notes = [*self._refusals, *([f"{more} more records lost"] if more else [])]
        notes += self._taint_notes
        if self._left_out.lines:
            cut = f"{self._left_out.lines} lines ({self._left_out.bytes} bytes)"
            notes.append(f"the console was cut in its middle: {cut} left out")
        if dropped := max(self._console_events.dropped, self._log_events.dropped):
            notes.append(f"{dropped} more reports of the kernel's")
        if self._hello is not None and self._hello.af_alg_error:
            notes.append(f"socket(AF_ALG): {self._hello.af_alg_error}")
        if self._hello is not None and not self._boot.nonce:
            notes.append("nothing says which boot the guest's report is of")
        return tuple(notes)

    @property
    def ignored_arguments(self) -> tuple[str, ...]:
        """Kernel arguments given to this boot that the kernel called unknown."""
        given = dict.fromkeys(word for text in self._boot.arguments for word in text.split())
        return tuple(word for word in given if word in self._unknown_arguments)

    def console_events(self) -> tuple[ConsoleEvent, ...]:
        """Reports of the kernel, from the console and, where that did not show them, its log."""
        events = list(_merge(self._console_events.kept, self._log_events.kept))
        tests = {_charged(test): test for test in self.plan or ()}
        known = [replace(event, test=tests.get(event.test, "")) for event in events]
        return tuple(sorted(known, key=lambda event: event.seconds))

    def console_watch(self, end: float | None) -> ConsoleWatch | None:
        """Whether reports could have been seen; ``end`` is when the guest died, None if it
        did not, in seconds since the start of vng."""
        if self._hello is None:
            return None
        due = [
            marker
            for marker, seconds in self._written.items()
            if end is None or seconds < end - _UNDER_WAY
        ]
        return ConsoleWatch(
            written=len(due),
            seen=len(self._seen.intersection(due)),
            kernel_log=self._log_read and not self._log_gap,
        )


def _charged(test: str) -> str:
    """How an event names ``test``: long ids are cut in the kernel log."""
    return records.start_marker(test).removeprefix(records.start_marker("")).rstrip()


def _merge(console: list[ConsoleEvent], log: list[ConsoleEvent]) -> Iterator[ConsoleEvent]:
    """The console's events and those that only the log has.

    An event of both is the console's, charged as in the log, which drops no marker.
    """
    waiting: defaultdict[tuple[str, str], list[ConsoleEvent]] = defaultdict(list)
    for event in log:
        waiting[event.kind, event.title].append(event)
    for event in console:
        twins = waiting[event.kind, event.title]
        yield replace(event, test=twins.pop(0).test) if twins else event
    for rest in waiting.values():
        yield from rest
