"""Kprobes in the kernel that is judged, set and heard through tracefs.

One buffer serves all who listen: what one of them reads out is told to the others, too.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import libc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TRACING = Path("/sys/kernel/tracing")
#: Of what these cost, code that is patched while it runs is the worst: QEMU's TCG may go on
#: with a breakpoint that is gone ("Oops: int3"). To keep the names of tasks, the scheduler is
#: patched each time that an event is enabled or disabled; and kprobes become jumps later on.
_OPTIONS = (_TRACING / "options/record-cmd", Path("/proc/sys/debug/kprobes-optimization"))
#: Of a line: thread, event, place, arguments. All lines are looked through in one call: there
#: are thousands, and a turn of Python's for each takes longer than the kernel's to write it.
_LINES = re.compile(r"-(\d+)\s+\[\d+\] \S+\s+[\d.]+: (\w+): \((.*?)\) ?(.*)")
#: The group of kprobes that are hit once.
_ONCE = "afalg_once"
_ARGUMENT = re.compile(r"(\w+)=(\S+)")
_PLACE = re.compile(r"\w+\+0x(?P<offset>[0-9a-f]+)/0x(?P<size>[0-9a-f]+)(?: \[(?P<module>\w+)\])?")


class Call(NamedTuple):
    """One call that was seen."""

    thread: str  # its number
    event: str
    place: str = ""
    told: str = ""  # of its arguments: ``name=value`` each

    @property
    def arguments(self) -> dict[str, str]:
        """What the event's arguments were."""
        return dict(_ARGUMENT.findall(self.told))

    @property
    def caller(self) -> str:
        """The function that called."""
        return self.arguments.get("caller", "").partition("+")[0]


@dataclass
class Heard:
    """Calls in their order; ``lost``: the buffer ran over, so that there were others."""

    calls: list[Call] = field(default_factory=list)
    lost: bool = False

    def add(self, other: Heard) -> None:
        """What was heard next."""
        self.calls += other.calls
        self.lost |= other.lost


@dataclass(frozen=True)
class Code:
    """A function as it lies in the kernel's memory; ``module`` is "" where it is built in."""

    name: str
    module: str
    address: int
    size: int

    def at(self, offset: int) -> str:
        """A place in it as kprobe_events takes it; it outlives an unloading of the module."""
        name = f"{self.module}:{self.name}" if self.module else self.name
        return f"{name}+{offset:#x}"

    def read(self) -> bytes:
        """Its instructions. Raises OSError where /proc/kcore is not to be had."""
        with Path("/proc/kcore").open("rb", buffering=0) as core:
            head = core.read(64)
            offset, size, count = (
                struct.unpack_from("<Q", head, 32)[0],
                *struct.unpack_from("<HH", head, 54),
            )
            table = os.pread(core.fileno(), size * count, offset)
            for at in range(0, size * count, size):
                kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", table, at)
                inside = self.address - address
                if kind == 1 and 0 <= inside <= length - self.size:
                    return os.pread(core.fileno(), self.size, start + inside)
        raise OSError(errno.EFAULT, f"{self.name} is not in /proc/kcore")


class Tracer:
    """The kernel's trace buffer and the kprobes that fill it. Raises OSError without them."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Heard], None]] = []
        self._once: list[str] = []
        self._mounted = False
        self._pipe = -1
        self._options: dict[Path, str] = {}
        try:
            self._set_up()
        except OSError:
            self.close()
            raise

    def _set_up(self) -> None:
        if not _TRACING.is_mount():
            libc.mount("tracefs", str(_TRACING))
            self._mounted = True
        if not (_TRACING / "kprobe_events").exists():  # CONFIG_KPROBE_EVENTS=n, or lockdown
            raise OSError(errno.ENOENT, "it has no kprobe_events")
        for option in _OPTIONS:
            with suppress(OSError):
                before = option.read_text()
                option.write_text("0")
                self._options[option] = before
        self._was_on = (_TRACING / "tracing_on").read_text()
        _write("tracing_on", "0")
        # Enabling an event would make it a large one.
        if "expanded" in (_TRACING / "buffer_size_kb").read_text():
            _write("buffer_size_kb", "64")
        self._pipe = os.open(_TRACING / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, group: str, event: str, place: str, arguments: str, kind: str = "p") -> None:
        """Set a kprobe (``r``: on the return). It is heard once its group is enabled."""
        _append("kprobe_events", f"{kind}:{group}/{event} {place} {arguments}\n")

    def enable(self, group: str) -> None:
        """Have the events of a group recorded."""
        _write(f"events/{group}/enable", "1")

    def only(self, group: str, condition: str, event: str = "") -> None:
        """Record an event of a group only if the condition holds for its arguments.

        Without ``event`` it is for all in the group that have such an argument.
        """
        _write(f"events/{group}/{event}/filter" if event else f"events/{group}/filter", condition)

    def remove(self, group: str, events: list[str]) -> None:
        """Take kprobes out again."""
        with suppress(OSError):
            _write(f"events/{group}/enable", "0")
            _append("kprobe_events", "".join(f"-:{group}/{event}\n" for event in events))

    def listen(self, listener: Callable[[Heard], None]) -> None:
        """Record from now on, and tell ``listener`` whatever is read out."""
        self._listeners.append(listener)
        _write("tracing_on", "1")

    @contextmanager
    def hearing(self) -> Iterator[Heard]:
        """The calls made inside; they are known at the end."""
        self.drain()
        heard = Heard()
        self.listen(heard.add)
        try:
            yield heard
        finally:
            if len(self._listeners) == 1:
                _write("tracing_on", "0")
            self.drain()
            self._listeners.remove(heard.add)

    def drain(self) -> None:
        """Read out what has been recorded and tell it to all who listen."""
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self._pipe, 1 << 16):
                parts.append(part)
        if not parts:
            return
        text = b"".join(parts).decode()
        heard = Heard([*map(Call._make, _LINES.findall(text))], "LOST" in text)
        for listener in self._listeners:
            listener(heard)

    def see(self, place: str, arguments: str, action: Callable[[], object]) -> Call:
        """The first call at a place that ``action`` causes. Raises OSError if there is none.

        The kprobe stays until the end, disabled: taking it out, alone, takes as long as all else.
        """
        event = f"once_{len(self._once)}"
        self.add(_ONCE, event, place, arguments)
        self._once.append(event)
        try:
            _write(f"events/{_ONCE}/{event}/enable", "1")
            with self.hearing() as heard:
                action()
        finally:
            _write(f"events/{_ONCE}/{event}/enable", "0")
        call = next((call for call in heard.calls if call.event == event), None)
        if call is None:
            raise OSError(errno.ENODATA, f"{place} was not called")
        return call

    def find(self, function: str, action: Callable[[], object]) -> Code:
        """Where a function lies that ``action`` calls (x86). Raises OSError."""
        call = self.see(function, "at=%ip:x64", action)
        place = _PLACE.match(call.place)
        if place is None:
            raise OSError(errno.ENODATA, f"{function} is at {call.place!r}")
        # The breakpoint's handler sees the address after it, one byte on.
        address = int(call.arguments["at"], 16) - 1 - int(place["offset"], 16)
        return Code(function, place["module"] or "", address, int(place["size"], 16))

    def name(self, addresses: list[int], place: str, action: Callable[[], object]) -> list[str]:
        """The function that each address is in, with the offset: ``memcpy+0x0/0x20``."""
        arguments = " ".join(f"n{i}=\\{at:#x}:symbol" for i, at in enumerate(addresses))
        call = self.see(place, arguments, action)
        return [call.arguments.get(f"n{i}", "") for i in range(len(addresses))]

    def close(self) -> None:
        """Leave the kernel as it was."""
        if self._once:
            self.remove(_ONCE, self._once)
            self._once.clear()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
            _write("tracing_on", self._was_on)
        for option, before in self._options.items():
            option.write_text(before)
        self._options.clear()
        if self._mounted:
            self._mounted = False
            libc.unmount(str(_TRACING))


def _write(name: str, text: str) -> None:
    _put(name, text, os.O_WRONLY)


def _append(name: str, text: str) -> None:
    # Opened any other way, kprobe_events is cleared first.
    _put(name, text, os.O_WRONLY | os.O_APPEND)


def _put(name: str, text: str, flags: int) -> None:
    descriptor = os.open(_TRACING / name, flags | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
