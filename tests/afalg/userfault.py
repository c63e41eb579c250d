"""A system call held inside the kernel amid its own memory, by a userfaultfd(2).

A ``Region`` is a front page followed by a page that nobody has touched. A call that is
given the region gets hold of the front page, faults on the second one and waits until the
fault is resolved; meanwhile the front page is changed or replaced. What came of that tells
whether the call had taken the page itself (pinned it) or only its bytes.

The front page is that of a memfd, so that it can still be read after it was replaced.
Needs root: faults taken inside the kernel are reported to the privileged only
(vm.unprivileged_userfaultfd, mm/userfaultfd.c).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import libc
import pages
from pages import PAGE
from probing import Void
from unavailable import Unavailable

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

#: Contents of the front page before and after it is changed.
OLD = bytes(range(256)) * (PAGE // 256)
NEW = bytes(reversed(OLD))

T = TypeVar("T")

# include/uapi/linux/userfaultfd.h
_API = 0xAA
_UFFDIO_API = 0xC018AA3F
_UFFDIO_REGISTER = 0xC020AA00
_UFFDIO_COPY = 0xC028AA03
_REGISTER_MODE_MISSING = 1
_EVENT_PAGEFAULT = 0x12
_MESSAGE = struct.Struct("=B7xQQ8x")  # struct uffd_msg of a page fault: event, flags, address

#: Longer than any call takes on a slow machine; reached only if something hangs.
_SECONDS = 20.0


@dataclass(frozen=True)
class Held(Generic[T]):
    """What came of a call; ``held``: it did wait at the second page."""

    result: T
    held: bool
    thread: int


class Region:
    """Two pages: the front one, and one that holds up whoever touches it first."""

    def __init__(self, front: bytes) -> None:
        self._stack = ExitStack()
        try:
            self._set_up(front)
        except BaseException:
            self.close()
            raise

    def _set_up(self, front: bytes) -> None:
        assert len(front) == PAGE
        self._file = os.memfd_create("afalg")
        self._stack.callback(os.close, self._file)
        os.pwrite(self._file, front, 0)
        self.address = libc.map_memory(2 * PAGE)
        self._stack.callback(libc.unmap_memory, self.address, 2 * PAGE)
        libc.map_memory(PAGE, descriptor=self._file, at=self.address)
        self.front = libc.memory_at(self.address, PAGE)
        self.memory = libc.memory_at(self.address, 2 * PAGE)
        # Mapped writably now, so that the kernel's first fault is the one that is held.
        self.front[0] = front[0]
        try:
            self._faults = libc.userfaultfd()
        except OSError as error:
            raise Unavailable(
                f"userfaultfd: {error.strerror}", Reason(Cause.OTHER, name="userfaultfd")
            ) from error
        self._stack.callback(os.close, self._faults)
        fcntl.ioctl(self._faults, _UFFDIO_API, struct.pack("=QQQ", _API, 0, 0))
        held = struct.pack("=QQQQ", self.address + PAGE, PAGE, _REGISTER_MODE_MISSING, 0)
        fcntl.ioctl(self._faults, _UFFDIO_REGISTER, held)

    def replace_front(self) -> None:
        """Put a new page of zeros in the place of the front page."""
        libc.map_memory(PAGE, at=self.address)

    def first_front(self) -> bytes:
        """The page that was the front page at the beginning."""
        return os.pread(self._file, PAGE, 0)

    def run(self, call: Callable[[], T], meanwhile: Callable[[], None], back: bytes) -> Held[T]:
        """Make ``call`` in a thread; when it waits, do ``meanwhile``, then give it ``back``.

        ``back`` is what the second page holds from then on. What the call raises is raised.
        """
        results: list[T] = []
        errors: list[BaseException] = []
        ended, end = os.pipe()

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001  (raised again by the caller)
                errors.append(error)
            finally:
                os.close(end)

        thread = threading.Thread(target=work, daemon=True)
        try:
            thread.start()
            number = thread.native_id or 0
            held = self._wait(ended)
            if held:
                meanwhile()
                self._resolve(back)
            thread.join(_SECONDS)
        finally:
            os.close(ended)
        assert not thread.is_alive(), f"the call did not end within {_SECONDS:g} s"
        if errors:
            raise errors[0]
        return Held(results[0], held, number)

    def _wait(self, ended: int) -> bool:
        """Whether the second page was asked for before the call ended."""
        poll = select.poll()
        poll.register(self._faults, select.POLLIN)
        poll.register(ended, select.POLLIN | select.POLLHUP)
        ready = dict(poll.poll(_SECONDS * 1000))
        assert ready, f"the call neither ended nor waited within {_SECONDS:g} s"
        if self._faults not in ready:
            return False
        event, _, address = _MESSAGE.unpack(os.read(self._faults, _MESSAGE.size))
        assert event == _EVENT_PAGEFAULT, f"expected a page fault, saw event {event:#x}"
        expected = self.address + PAGE
        assert address & -PAGE == expected, f"expected a fault at {expected:#x}, saw {address:#x}"
        return True

    def _resolve(self, back: bytes) -> None:
        source = ctypes.create_string_buffer(back, PAGE)
        copy = struct.pack("=QQQQq", self.address + PAGE, ctypes.addressof(source), PAGE, 0, 0)
        fcntl.ioctl(self._faults, _UFFDIO_COPY, copy)

    def close(self) -> None:
        """Unmap the region; a call that still waits in it goes on."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Output:
    """Where the bytes went that a call wrote to a region whose front page was replaced.

    ``early`` is the front page while the call waited, ``old`` the same page afterwards, and
    ``new`` the page that replaced it; each from offset ``at`` on.
    """

    early: bytes
    old: bytes
    new: bytes
    at: int
    held: bool
    thread: int
    returned: int

    @classmethod
    def of(cls, call: Callable[[Region], int], at: int = 0) -> Output:
        """Make ``call`` write to a region, and replace the front page while it waits."""
        early: list[bytes] = []
        with Region(_BLANK) as region:

            def replace() -> None:
                early.append(region.first_front())
                region.replace_front()

            done = region.run(lambda: call(region), replace, _BLANK)
            return cls(
                early=b"".join(early)[at:],
                old=region.first_front()[at:],
                new=bytes(region.front)[at:],
                at=at,
                held=done.held,
                thread=done.thread,
                returned=done.result,
            )

    def state(self, expected: bytes) -> str:
        """``present``: written to the page itself; ``absent``: copied to where it was mapped.

        A copy may be seen in the old page too, but then from before the call waited: the
        output was ready when the second page was first touched. "unknown": neither.
        """
        if not self.held:
            return "unknown"
        if expected in {self.new, self.early}:
            return "absent"
        untouched = not any(self.new) and self.early == _BLANK[self.at :]
        return "present" if self.old == expected and untouched else "unknown"

    def describe(self, expected: bytes) -> str:
        """The evidence, in one line."""
        if not self.held:
            return "the call did not wait at the second page"
        parts = (("page at the hold", self.early), ("after", self.old), ("its successor", self.new))
        words = ", ".join(f"{name} {part[:8].hex()}" for name, part in parts)
        return f"expected {expected[:8].hex()}; {words}"


#: What a region holds that nobody has written to.
_BLANK = b"\x5a" * PAGE


@dataclass(frozen=True)
class Control:
    """Whether calls known to pin and to copy were told apart; ``failure`` is "" if so."""

    failure: str = ""

    def require(self) -> None:
        """Raise Void unless they were."""
        if self.failure:
            raise Void(self.failure, control=self.outcome)

    @property
    def outcome(self) -> str:
        """For record_fact: fired or failed."""
        return "failed" if self.failure else "fired"


def input_control() -> Control:
    """process_vm_readv() pins its source, write() to a pipe copies it: are they told apart?"""
    target = memoryview(bytearray(2 * PAGE))

    def held(call: Callable[[Region], int]) -> bool:
        return with_changed_front(call).held

    try:
        pinned = held(lambda region: libc.read_own_memory(region.address, target))
        with pages.pipe() as (read_end, write_end):
            copied = held(lambda region: os.write(write_end, region.memory))
            written = os.read(read_end, 2 * PAGE)
    except (Unavailable, OSError) as problem:
        return Control(str(problem))
    if not (pinned and target[:PAGE] == NEW):
        return Control("process_vm_readv was not seen to read pinned memory")
    if not (copied and written[:PAGE] == OLD):
        return Control("write to a pipe was not seen to copy")
    return Control()


def with_changed_front(call: Callable[[Region], T]) -> Held[T]:
    """Make ``call`` read a region of OLD; its front page becomes NEW while the call waits."""
    with Region(OLD) as region:

        def change() -> None:
            region.front[:] = NEW

        return region.run(lambda: call(region), change, OLD)


def output_control() -> Control:
    """process_vm_writev() pins its target, read() copies into it: are they told apart?"""
    data = memoryview(bytearray(OLD * 2))
    try:
        pinned = Output.of(lambda region: libc.write_own_memory(region.address, data))
        with pages.pipe() as (read_end, write_end):
            os.write(write_end, data)
            copied = Output.of(lambda region: os.readv(read_end, [region.memory]))
    except (Unavailable, OSError) as problem:
        return Control(str(problem))
    if pinned.state(OLD) != "present":
        return Control(f"process_vm_writev was not seen to pin: {pinned.describe(OLD)}")
    if copied.state(OLD) != "absent":
        return Control(f"read of a pipe was not seen to copy: {copied.describe(OLD)}")
    return Control()
