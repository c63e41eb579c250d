"""What a program costs: time, processor time of all its processes, memory; Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PR_SET_CHILD_SUBREAPER = 36
_EVERY = 0.2  # seconds between two looks at the memory


@dataclass(frozen=True)
class Spent:
    """What it cost."""

    seconds: float
    cpu: float  # user and system time of all its processes, in seconds
    status: int  # as subprocess has it
    #: The most memory that a process held, in MiB: the program's own, and of a QEMU.
    own_mib: int
    qemu_mib: int
    stdout: str
    stderr: str
    #: When each line came on stderr, in seconds from the start.
    said: tuple[tuple[float, str], ...] = ()

    def when(self, words: str) -> float | None:
        """When ``words`` first came on stderr; None if never."""
        return next((seconds for seconds, line in self.said if words in line), None)


@dataclass
class _Memory:
    """Looks now and then how much memory a program and its QEMUs hold, until told to end."""

    program: int
    over: threading.Event = field(default_factory=threading.Event)
    own: int = 0  # KiB
    qemu: int = 0

    def watch(self) -> None:
        while not self.over.wait(_EVERY):
            self.own = max(self.own, _peak(self.program))
            for process in descendants(self.program):
                if _name(process).startswith("qemu-system"):
                    self.qemu = max(self.qemu, _peak(process))


def spend(
    argv: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Spent:
    """Run ``argv`` to its end, whatever its exit status.

    Orphans of the program become ours, and are ended with it. What they used is counted if
    this process had no children before.
    """
    before = descendants(os.getpid())
    _adopt_orphans()
    said: list[tuple[float, str]] = []
    with tempfile.TemporaryFile("w+") as stdout:
        started = time.monotonic()
        process = subprocess.Popen(
            list(map(str, argv)),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            cwd=directory,
        )
        assert process.stderr is not None
        memory = _Memory(process.pid)
        threads = [
            threading.Thread(target=_note, args=(process.stderr, started, said)),
            threading.Thread(target=memory.watch),
        ]
        for thread in threads:
            thread.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu = usage.ru_utime + usage.ru_stime + _reap(before)
        finally:
            memory.over.set()
        for thread in threads:
            thread.join()
        process.stderr.close()
        stdout.seek(0)
        printed = stdout.read()
    return Spent(
        seconds=seconds,
        cpu=cpu,
        status=process.returncode,
        own_mib=memory.own >> 10,
        qemu_mib=memory.qemu >> 10,
        stdout=printed,
        stderr="".join(line for _, line in said),
        said=tuple(said),
    )


def _note(stream: IO[str], started: float, said: list[tuple[float, str]]) -> None:
    for line in stream:
        said.append((time.monotonic() - started, line))


def _adopt_orphans() -> None:
    """Become the parent of processes whose own has ended: else what they used is lost."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _reap(before: Collection[int]) -> float:
    """End what outlived the program, and was not there ``before``; processor seconds it took."""
    cpu = 0.0
    for process in set(descendants(os.getpid())).difference(before):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while not before:
            _, _, usage = os.wait4(-1, 0)
            cpu += usage.ru_utime + usage.ru_stime
    return cpu


def descendants(process: int) -> list[int]:
    """The processes below one."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
    return found


def _peak(process: int) -> int:
    """The most memory that a process has held so far, in KiB; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def _name(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text().strip()
    return ""
