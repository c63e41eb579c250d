"""What the suite's process does, as the kernel tells it in /proc.

A process in uninterruptible sleep (state D) heeds no signal, so neither its own time limit
nor a kill ends it; that it does not merely come and go there shows in its count of switches.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from harness.guest.inside.records import Alive

_SWITCHES = re.compile(r"ctxt_switches:\s*(\d+)")
_STACK_LIMIT = 24  # frames
_NAMED = 3  # of them, where a place is named
_OFFSET = re.compile(r"\+0x.*")


class SuiteProcess:
    """Looks at one process now and then."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._directory = proc / str(pid)
        self._switches: list[str] = []
        self._since: float | None = None  # seen asleep since, without a switch

    def look(self, *, asked: bool) -> Alive:
        """What it does now. ``asked``: the host wanted to know."""
        state = self._read("stat").rpartition(")")[2].split()[:1]
        where = self._read("wchan").strip()
        is_blocked = state == ["D"]
        blocked = self._blocked() if is_blocked else 0.0
        if not is_blocked:
            self._since = None
        return Alive(
            state="".join(state),
            where="" if where == "0" else where,
            blocked=round(blocked, 1),
            stack=self._stack() if blocked or (is_blocked and asked) else (),
            asked=asked,
        )

    def sleeps_in(self) -> str:
        """The functions of the kernel in which it sleeps, the innermost first; "" if it is not
        known.

        Of a process whose threads wait for each other, those of the last one that does not.
        """
        threads = (self._directory / "task").glob("[0-9]*")
        newest_first = sorted((int(path.name) for path in threads), reverse=True)
        for thread in newest_first:
            frames = [_OFFSET.sub("", frame) for frame in self._stack(f"task/{thread}/")]
            if frames and not any("futex" in frame for frame in frames):
                return " < ".join(frames[:_NAMED])
        where = self._read("wchan").strip()
        return "" if where == "0" else where

    def _blocked(self) -> float:
        switches, now = _SWITCHES.findall(self._read("status")), time.monotonic()
        if self._since is None or switches != self._switches:
            self._since, self._switches = now, switches
        return now - self._since

    def _stack(self, thread: str = "") -> tuple[str, ...]:
        """The kernel's functions it is in, the innermost first."""
        lines = self._read(f"{thread}stack").splitlines()[:_STACK_LIMIT]
        return tuple(line.partition("] ")[2] or line for line in lines)

    def _read(self, name: str) -> str:
        try:
            return (self._directory / name).read_text(errors="replace")
        except OSError:  # it has ended, or this kernel has no such file
            return ""
