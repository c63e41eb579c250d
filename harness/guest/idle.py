"""Whether a guest is idle: whether QEMU computes, by what the host's kernel counts of it.

A guest that is kept from computing is not idle, however busy the host is: what QEMU's threads
wait for a CPU counts as if they had it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

#: Of a CPU. An idle guest of ours takes 0.01 to 0.06 of one under TCG (timers, and the agent
#: once a second), a guest in which one process computes takes or awaits all of one.
_LITTLE = 0.25
#: Seconds; what was not looked at for longer is not known.
_GAP = 2.0
#: State of a thread (proc_pid_stat(5)) that waits for something to do. In any other it wants a
#: CPU (R), waits for a disk (D), or is kept from going on (T, t).
_ASLEEP = "S"


class _Look(NamedTuple):
    """QEMU at one moment."""

    seconds: float
    used: dict[str, int]  # thread -> nanoseconds on a CPU, or waiting for one
    is_asleep: bool  # all of it


class IdleWatch:
    """Looks at one QEMU again and again."""

    def __init__(self, process: int, proc: Path = Path("/proc")) -> None:
        self._threads = proc / str(process) / "task"
        self._last: _Look | None = None
        self._since = 0.0

    def idle_seconds(self, now: float) -> float:
        """For how long it has been idle; ``now`` in seconds, by any clock that goes on."""
        last, self._last = self._last, self._look(now)
        if last is None or not self._was_idle(last, self._last):
            self._since = now
        return now - self._since

    def _was_idle(self, last: _Look, look: _Look) -> bool:
        passed = look.seconds - last.seconds
        used = sum(value - last.used.get(thread, 0) for thread, value in look.used.items())
        return look.is_asleep and 0 < passed <= _GAP and used < _LITTLE * passed * 1e9

    def _look(self, now: float) -> _Look:
        used: dict[str, int] = {}
        is_asleep = True
        for thread in self._threads.glob("[0-9]*"):
            try:
                on_cpu, waited = (thread / "schedstat").read_text().split()[:2]
                state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
            except FileNotFoundError:
                if thread.exists():  # this kernel counts nothing
                    is_asleep = False
                continue
            except (OSError, ValueError, IndexError):
                continue  # it has just ended
            used[thread.name] = int(on_cpu) + int(waited)
            is_asleep = is_asleep and state == _ASLEEP
        # A kernel that was not told to count says 0 of every thread.
        return _Look(now, used, is_asleep and any(used.values()))
