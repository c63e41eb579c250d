"""Recognises what a kernel reports on its console: panics, oopses, warnings, sanitizer splats.

The messages are those of the kernel's own ``panic()`` (kernel/panic.c), ``die()``
(arch/x86/kernel/dumpstack.c), ``__warn()`` (kernel/panic.c), mm/kasan/report.c,
mm/kfence/report.c, kernel/kcsan/report.c, lib/ubsan.c, kernel/locking/lockdep.c,
kernel/hung_task.c, kernel/rcu/tree_stall.h and kernel/watchdog.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.guest.inside import records
from harness.model import ConsoleEvent

#: What ``records.log_to_console`` writes. Programs in the guest print on the console as
#: well, so a line may begin with what is not the kernel's; a time stamp then stands between.
_MARKER = re.compile(r"(?:^|\] )(afalg-harness: (?:hello|start|end)\b.*)$")
_START = records.start_marker("")
_OURS = "afalg-harness: "

#: Printk's prefix: time stamp, and the caller with CONFIG_PRINTK_CALLER.
PREFIX = re.compile(r"^(?:<\d>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?")

#: The same where a program was printing when the kernel spoke.
_AMID = re.compile(r"\[\s*\d+\.\d{6}\](?:\[\s*[TC]\d+\])? ")

#: First match wins, so the particular stands before the general.
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("panic", re.compile(r"Kernel panic - not syncing")),
    ("kasan", re.compile(r"BUG: KASAN:")),
    ("kfence", re.compile(r"BUG: KFENCE:")),
    ("kcsan", re.compile(r"BUG: KCSAN:")),
    ("kmsan", re.compile(r"BUG: KMSAN:")),
    ("ubsan", re.compile(r"^UBSAN:")),
    (
        "lockdep",
        re.compile(
            r"WARNING: (?:possible (?:circular|recursive|irq lock inversion)|inconsistent lock"
            r"|bad unlock balance|suspicious RCU usage|held lock freed|lock held when returning"
            r"|.*lock order.*detected)|\[ BUG: Invalid wait context \]|BUG: held lock freed"
        ),
    ),
    ("soft_lockup", re.compile(r"BUG: (?:soft lockup|workqueue lockup)|hard LOCKUP")),
    ("rcu_stall", re.compile(r"rcu.*(?:self-)?detected (?:expedited )?stalls?")),
    ("hung_task", re.compile(r"INFO: task .* blocked (?:for more than|in I/O wait)")),
    (
        "oops",
        re.compile(
            r"BUG: unable to handle|BUG: kernel NULL pointer|kernel BUG at|^Oops\b"
            r"|general protection fault|^(?:stack segment|double fault|invalid opcode):"
            r"|Unable to handle kernel"
        ),
    ),
    ("bug", re.compile(r"\bBUG: ")),
    ("warning", re.compile(r"WARNING: (?:CPU: \d+ PID: \d+ at |\S+:\d+ at )")),
    ("list_corruption", re.compile(r"list_(?:add|del) corruption")),
    ("leak", re.compile(r"kmemleak: \d+ new suspected memory leaks?")),
)
#: What each of them holds: most lines are none, and this is known ten times sooner.
_ANY = re.compile(
    r"BUG|panic|UBSAN|WARNING|LOCKUP|rcu|INFO|Oops|fault|opcode|segment|Unable|corruption|kmemleak"
)
#: Lines that close a report.
_END = re.compile(r"---\[ end (?:trace|Kernel panic)|^={20,}$")
_MAX_LINES = 150  # of one report


@dataclass
class _Report:
    kind: str
    title: str
    seconds: float
    test: str
    stamped: bool  # printk wrote times, so a line without one is not the kernel's
    lines: list[str] = field(default_factory=list)

    def event(self) -> ConsoleEvent:
        return ConsoleEvent(self.kind, self.title, self.seconds, self.test, tuple(self.lines))


def find_marker(line: str) -> str:
    """The line of ours that a line of the console holds, "" if it holds none."""
    if _OURS not in line:
        return ""
    match = _MARKER.search(PREFIX.sub("", line))
    return match.group(1).rstrip() if match else ""


class ConsoleScanner:
    """Turns console lines into events, charging each to the test that was running.

    Reports from before the first test and from after the suite are charged to "".
    """

    def __init__(self) -> None:
        self._open: _Report | None = None
        self._test = ""
        self.took = False  # the line fed last was part of a report, or a mark of ours

    def feed(self, seconds: float, line: str) -> Iterator[ConsoleEvent]:
        """Take one line, ``seconds`` after the guest's start; yields events that it ends."""
        marker = find_marker(line)
        self.took = bool(marker)
        if marker:
            yield from self.finish()
            self._test = marker.removeprefix(_START) if marker.startswith(_START) else ""
            return
        if self._open is None and not _ANY.search(line):
            return
        stamp = PREFIX.match(line) or _AMID.search(line)
        line = line[stamp.start() :] if stamp is not None else line
        text = PREFIX.sub("", line)
        if self._open is not None and self._open.stamped and stamp is None:
            return  # a program speaks meanwhile
        kind = self._classify(text)
        # An oops prints several headers ("BUG: …", "Oops: …"): they are one report.
        if kind is not None and not self._continues(kind):
            yield from self.finish()
            self._open = _Report(
                kind, text.strip(), round(seconds, 3), self._test, stamp is not None
            )
        if self._open is not None:
            self.took = True
            self._open.lines.append(line)
            length = len(self._open.lines)
            if length >= _MAX_LINES or (length > 2 and _END.search(text)):
                yield from self.finish()

    def finish(self) -> Iterator[ConsoleEvent]:
        """Yield the report that is still open, if any."""
        if self._open is not None:
            report, self._open = self._open, None
            yield report.event()

    def _continues(self, kind: str) -> bool:
        """Whether a header belongs to the report that is open."""
        first = self._open.kind if self._open is not None else ""
        return kind == "oops" and first in {"oops", "kasan", "list_corruption"}

    @staticmethod
    def _classify(text: str) -> str | None:
        for kind, pattern in _KINDS:
            if pattern.search(text):
                return kind
        return None


def scan(lines: Iterable[tuple[float, str]]) -> list[ConsoleEvent]:
    """All events of a whole console log, given as (seconds, line)."""
    scanner = ConsoleScanner()
    events = [event for seconds, line in lines for event in scanner.feed(seconds, line)]
    return [*events, *scanner.finish()]
