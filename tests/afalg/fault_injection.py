"""Lets each allocation of a call fail in turn, and sees what becomes of it.

What N is written to /proc/thread-self/fail-nth, the Nth allocation of that thread from then
on fails, or the Nth copy from or to user space, where the kernel makes those fail as well
(Documentation/fault-injection/fault-injection.rst; needs CONFIG_FAULT_INJECTION). So a call
is made with N = 1, 2, 3, ... until one is no longer reached, each time on a socket that was
prepared anew. That needs no luck: every allocation has had its turn.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
import struct
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import af_alg
import libc
import page_count
import pytest
import resources
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

Prepared = TypeVar("Prepared")
Result = TypeVar("Result")

FAIL_NTH = Path("/proc/thread-self/fail-nth")
DEBUGFS = Path("/sys/kernel/debug")
#: What must be set so that whatever can fail does: by default only allocations that may not
#: wait fail, and no single pages. What failed shows here: no stack is wanted in the log.
_SETTINGS = (
    ("failslab/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/verbose", "0"),
    ("fail_usercopy/verbose", "0"),
)
#: Copies from and to user space fail as well (CONFIG_FAULT_INJECTION_USERCOPY): EFAULT.
_COPIES = DEBUGFS / "fail_usercopy"
#: No call here allocates so often.
_MOST = 300
#: How often all of a call's allocations fail where lost pages are looked for: one page lost
#: in each turn is more than page_count.LIMIT.
TURNS = 40
_SO_MEMINFO = 55  # include/uapi/asm-generic/socket.h
_OPTMEM = 6  # SK_MEMINFO_OPTMEM in include/uapi/linux/sock_diag.h


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One call of which the ``number``-th allocation was to fail."""

    number: int
    failed: bool  # an allocation was made to fail: the call has that many
    result: Result | None
    error: OSError | None

    @property
    def value(self) -> Result:
        """What it returned. Raises the error that the call ended with."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class Injector:
    """``fail-nth`` of the thread that made it."""

    def __init__(self, path: Path = FAIL_NTH) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def fail(self, number: int, call: Callable[[], Result]) -> Call[Result]:
        """Make a call whose ``number``-th allocation fails, if it has so many.

        Python's own work around the call may take the turn of an allocation; then the call
        succeeds, as it does where the kernel has something to fall back on.
        """
        wanted = f"{number}\n".encode()
        result: Result | None = None
        failure: OSError | None = None
        os.pwrite(self._descriptor, wanted, 0)
        try:
            result = call()
        except OSError as error:
            failure = error
        finally:
            failed = self._disarm()
        return Call(number, failed, result, failure)

    def _disarm(self) -> bool:
        """Let nothing fail any more; whether something had been made to."""
        # To read what is left, and to write, are copies themselves, which can be the Nth.
        try:
            left = int(os.pread(self._descriptor, 16, 0))
        except OSError:
            return False
        with suppress(OSError):
            os.pwrite(self._descriptor, b"0\n", 0)
        return not left

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def everything_can_fail() -> Iterator[None]:
    """Have the kernel fail what it spares by default; put back at the end."""
    with ExitStack() as stack:
        if not DEBUGFS.is_mount():
            try:
                libc.mount("debugfs", str(DEBUGFS))
            except OSError as error:
                af_alg.failed("mount debugfs", error).skip()
            stack.callback(libc.unmount, str(DEBUGFS))
        for name, value in _SETTINGS:
            path = DEBUGFS / name
            if path.exists():
                stack.callback(path.write_text, path.read_text())
                path.write_text(value)
        yield


def require_working(injector: Injector) -> None:
    """The control: the first allocation of pipe(2), and others, can be made to fail."""

    def once() -> None:
        for end in os.pipe():
            os.close(end)

    calls = [injector.fail(number, once) for number in range(1, 6)]
    seen = [call.error.errno for call in calls if call.error is not None]
    if not (calls[0].failed and calls[0].error is not None and len(seen) > 1):
        skip(
            f"of the first 5 allocations of pipe(2) {len(seen)} failed: they cannot be made to",
            Reason(Cause.NO_OPTION, name="CONFIG_FAILSLAB"),
        )
    once()  # nothing is left armed


class Faults:
    """What a test needs: see the ``faults`` fixture."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector
        self._copies = {errno.EFAULT} if _COPIES.exists() else set()

    def each(
        self,
        what: str,
        *,
        prepare: Callable[[], Prepared],
        call: Callable[[Prepared], Result],
        check: Callable[[Prepared, Call[Result]], None],
        errors: frozenset[int] = frozenset({errno.ENOMEM}),
    ) -> int:
        """Let each allocation of ``call`` fail, one at a time; how many did.

        ``check`` gets what was prepared and how the call ended: with one of ``errors`` (EFAULT
        is one where copies fail), or well. The last one had nothing that failed.
        """
        allowed = errors | self._copies
        allocations = 0
        gc.disable()  # no other file may be closed while a call runs
        try:
            for number in range(1, _MOST):
                prepared = prepare()
                seen = self._injector.fail(number, lambda: call(prepared))  # noqa: B023  (at once)
                about = f"{what}, fault {number}"
                if seen.error is not None:
                    name = af_alg.errno_name(seen.error)
                    assert seen.failed, f"{about}: {name} although nothing was made to fail"
                    names = " or ".join(sorted(errno.errorcode[one] for one in allowed))
                    assert seen.error.errno in allowed, f"{about}: {name}, expected {names}"
                try:
                    check(prepared, seen)
                except OSError as error:
                    pytest.fail(f"{about}: afterwards {error} ({ended(seen)})")
                except AssertionError as error:
                    raise AssertionError(f"{about} ({ended(seen)}): {error}") from error
                if not seen.failed:
                    return allocations
                if seen.error is None or seen.error.errno not in self._copies:
                    allocations += 1
        finally:
            gc.enable()
        pytest.fail(f"{what}: {_MOST} allocations and more")

    def nothing_lost(
        self,
        what: str,
        ladder: Callable[[], int],
        *,
        of: tuple[socket.socket, ...] = (),
        turns: int = 0,
        allocates: bool = True,
    ) -> None:
        """Run ``ladder``, which lets all allocations fail and says how many, over and over.

        Nothing that the kernel counts may be left over (sockets, modules, transforms), no
        memory that it charges to the sockets ``of``, and in so many ``turns`` (0: not looked
        at) no pages. A call of which nothing failed has tested nothing: the test fails unless
        it ``allocates`` nothing.
        """
        first = ladder()  # what is allocated once and kept
        assert first or not allocates, (
            f"{what}: void, none of its allocations could be made to fail"
        )
        with resources.balanced(what):
            charged = [option_memory(sock) for sock in of]
            if turns:
                _keeps_pages(what, ladder, turns)
            else:
                for _ in range(3):
                    ladder()
            for before, sock in zip(charged, of, strict=True):
                after = option_memory(sock)
                assert after == before, f"{what}: {before} bytes charged before, {after} after"


def _keeps_pages(what: str, ladder: Callable[[], int], turns: int) -> None:
    """No page is lost in each turn; something else may take some, but not each time."""
    lost = 0
    for _ in range(3):
        before = page_count.uncounted()
        for _ in range(turns):
            ladder()
        lost = page_count.uncounted() - before
        if lost < page_count.LIMIT:
            return
    pytest.fail(f"{what}: {lost} pages lost in {turns} turns, expected none")


def ended(call: Call[Result]) -> str:
    """How a call ended, for a message."""
    how = af_alg.errno_name(call.error) if call.error is not None else f"returned {call.result!r}"
    return how if call.failed else f"{how}, nothing failed"


def option_memory(sock: socket.socket) -> int:
    """Bytes of sock_kmalloc() that are charged to a socket (SO_MEMINFO)."""
    fields = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 9 * 4)
    return int(struct.unpack("=9I", fields)[_OPTMEM])
