"""What a guest that stands still can still tell, before it is ended.

Nothing here decides how a boot ended, but for one thing: whether it is the guest that stands
still or QEMU. Every step has a limit of a few seconds, and none raises for want of an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.guest.heard import Heard
from harness.guest.messages import ConsoleLine, Ended, Expired, Message
from harness.guest.session import Session
from harness.model import Hang

#: Seconds that QEMU may take to answer; its monitor does nothing else.
_QEMU_ANSWERS = 10.0
#: Seconds that the agent may take: it looks for a request at once, and a CPU that does not
#: tell where it is holds up the others for some seconds (nmi_trigger_cpumask_backtrace()).
_AGENT_ANSWERS = 8.0
_QUIET = 1.5  # seconds without a word on the console, after which no more is awaited
_TALK = 4.0  # seconds of words on the console that are awaited
_REGISTERS = 3.0
_DUMP = 120.0  # seconds; a guest of 1 GiB takes some ten
_RUNNING = "running"
#: Blocked tasks, and what every CPU does (Documentation/admin-guide/sysrq.rst).
_SYSRQ_KEYS = "wl"
_HEAD_LINES, _HEAD_WIDTH = 60, 200  # of what goes into a test's details


@dataclass(frozen=True)
class Diagnosis:
    """What was found out."""

    hang: Hang
    reason: str
    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()  # title, lines

    def lines(self) -> Iterator[str]:
        """All of it, as text."""
        yield f"{self.hang}: {self.reason}"
        for title, lines in self.sections:
            yield from ("", f"--- {title}", *lines)

    def head(self) -> tuple[str, ...]:
        """The beginning, for the details of the test that hangs."""
        lines = [line for title, lines in self.sections for line in (f"--- {title}", *lines)]
        kept = [line[:_HEAD_WIDTH] for line in lines[:_HEAD_LINES]]
        left_out = [f"... {len(lines) - len(kept)} more lines"] if len(lines) > len(kept) else []
        return (*kept, *left_out)


class Examination:
    """One look at a guest that stands still."""

    def __init__(
        self,
        session: Session,
        heard: Heard,
        take: Callable[[Message], None],
        stop: threading.Event,
    ) -> None:
        """``take`` is given what the guest says meanwhile; ``stop`` ends the look."""
        self._session = session
        self._heard = heard
        self._take = take
        self._stop = stop
        self._said: list[str] = []  # on the console
        self._over = False  # the guest ended

    def examine(self, hang: Hang, reason: str, dump: Path | None = None) -> Diagnosis:
        """Find out what can be; ``hang`` and ``reason`` are what the deadline says.

        The guest's memory goes to ``dump``, if that is given.
        """
        status = self._session.monitor.status(_QEMU_ANSWERS)
        if not status:
            stopped = " (its process is stopped)" if self._session.qemu_is_stopped() else ""
            silent = f"QEMU does not answer its monitor within {_QEMU_ANSWERS:g} s{stopped}"
            return Diagnosis(Hang.EMULATOR, silent)
        if status != _RUNNING:
            hang = Hang.PAUSED
            reason = f"QEMU does not run the guest ({status})"
        sections: list[tuple[str, tuple[str, ...]]] = [("QEMU", (status,))]
        if hang is not Hang.PAUSED:
            sections += self._ask(hang)
        registers = self._session.monitor.human("info registers -a", _REGISTERS)
        sections.append(("registers of every CPU", tuple(registers.splitlines())))
        if dump is not None and not self._stop.is_set():
            sections.append(("memory", (self._dump(dump),)))
        return Diagnosis(hang, reason, tuple(sections))

    def _dump(self, path: Path) -> str:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            done = self._session.dump_memory(path, _DUMP)
        except OSError as error:
            return f"{path}: {error.strerror or error}"
        return str(path) if done else f"{path}: not whole: QEMU failed, or took {_DUMP:g} s"

    def _ask(self, hang: Hang) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Have the guest tell what its tasks and CPUs do, by the agent or by its keyboard."""
        answered = False
        if hang not in {Hang.BOOT, Hang.KERNEL, Hang.POWER_OFF}:
            answers = self._heard.answers
            if self._session.ask_agent():
                self._listen(_AGENT_ANSWERS, lambda: self._heard.answers > answers)
            answered = self._heard.answers > answers
        if not answered:
            for key in _SYSRQ_KEYS:
                self._session.monitor.press("alt", "sysrq", key, limit=_REGISTERS)
                self._listen(_TALK, lambda: True)
        process = self._heard.process
        if process is not None:
            where = f" in {process.where}" if process.where else ""
            yield "the suite's process", (f"state {process.state}{where}", *process.stack)
        yield "what the kernel said when it was asked", tuple(self._said)

    def _listen(self, limit: float, answered: Callable[[], bool]) -> None:
        """Take what comes until ``answered``, and then until the console is quiet."""
        session = self._session
        end = session.elapsed() + limit
        while not (self._over or self._stop.is_set()) and session.elapsed() < end:
            wait = _QUIET if answered() else limit
            message = session.next(min(end, session.elapsed() + wait))
            if isinstance(message, Expired):
                return
            self._over = isinstance(message, Ended)
            self._take(message)
            if isinstance(message, ConsoleLine) and len(self._said) < 5000:
                self._said.append(message.text)
