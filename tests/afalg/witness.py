"""A second look at where data went, from inside the kernel: kprobes set through tracefs.

lib/ is built without ftrace (lib/Makefile), so ``extract_iter_to_sg``,
``iov_iter_extract_pages`` and the ``_copy_from_iter`` behind ``memcpy_from_msg`` cannot be
probed by name ("Failed to register probe event"). What they imply can:

- ``alloc_page`` called by ``af_alg_sendmsg``: it makes a page to copy input into. While
  pages go in by reference it calls it not once.
- ``pin_user_pages_fast`` (6.1: ``get_user_pages_fast``): user memory is pinned.
- ``crypto_ahash_digest``: which page the scatterlist of a hash refers to.

Each call is told with its caller, so that nothing else that allocates is mistaken for it.
The witness is set up once, records only inside ``watch()``, and is undone by ``close()``.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import af_alg
import libc
from pages import PAGE
from tracing import Call, Heard, Tracer

from harness.guest.inside.words import Witness as Agreement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracing import Code

_GROUP = "afalg"
_CALLER = "caller=$stack0:symbol"
#: struct ahash_request: nbytes at 48, src at 56; struct scatterlist: page_link, offset, length.
_DIGEST = (
    "nbytes=+48(%di):u32 link=+0(+56(%di)):x64 offset=+8(+56(%di)):u32 length=+12(+56(%di)):u32"
)

#: Event, the functions that may be behind it (the first that exists counts), its arguments.
_EVENTS = (
    ("send", ("af_alg_sendmsg",), _CALLER),
    ("alloc", ("alloc_pages_noprof", "alloc_pages", "__alloc_pages"), _CALLER),
    ("pin", ("pin_user_pages_fast",), _CALLER),
    ("get", ("get_user_pages_fast",), _CALLER),
    ("digest", ("crypto_ahash_digest",), _DIGEST),
)
_TOLD = frozenset({"present", "absent"})


@dataclass(frozen=True)
class Testimony:
    """What the witness says: ``state`` present or absent, "" if it cannot tell, and why."""

    state: str
    words: str

    def __str__(self) -> str:
        return f"witness: {self.words}" if self.state else f"no witness: {self.words}"

    def on(self, probe: str) -> Agreement:
        """What it makes of the state that a probe found; nothing of one that found none."""
        if not self.state:
            return Agreement.SILENT
        if probe == self.state:
            return Agreement.AGREED
        return Agreement.DISAGREED if probe in _TOLD else Agreement.NONE


def agreed(probe: str, testimony: Testimony) -> str:
    """The state that a probe found, unless the witness says the opposite: then ``unknown``."""
    return "unknown" if testimony.on(probe) is Agreement.DISAGREED else probe


class Watched(Heard):
    """What was called while it was watched."""

    def count(self, *events: str, caller: str = "", thread: int | None = None) -> int:
        """Calls of these events by a thread (this one, unless told), made by ``caller``."""
        return len(self.of(*events, caller=caller, thread=thread))

    def of(self, *events: str, caller: str = "", thread: int | None = None) -> list[Call]:
        """As ``count``: the calls themselves."""
        number = str(threading.get_native_id() if thread is None else thread)
        return [
            call
            for call in self.calls
            if call.event in events
            and call.thread == number
            and (not caller or call.caller == caller)
        ]


class Witness:
    """Kprobes on what copying and sharing imply; ``why_not`` says which could not be set."""

    def __init__(self, tracer: Tracer | OSError) -> None:
        """``tracer``, or why there is none."""
        #: Event -> why there is no witness of it.
        self.why_not: dict[str, str] = {}
        self._set: list[str] = []
        self._tracer: Tracer | None = None
        if isinstance(tracer, Tracer):
            self._tracer = tracer
            self._set_up(tracer)
        else:
            reason = f"tracefs: {tracer.strerror}"
            self.why_not = {event: reason for event, _, _ in _EVENTS}

    def _set_up(self, tracer: Tracer) -> None:
        for event, functions, arguments in _EVENTS:
            for function in functions:
                try:
                    tracer.add(_GROUP, event, function, arguments)
                except OSError as error:
                    self.why_not.setdefault(event, f"no kprobe on {function}: {error.strerror}")
                else:
                    self.why_not.pop(event, None)
                    self._set.append(event)
                    break
        if self._set:
            tracer.enable(_GROUP)

    def only_of(self, code: Code) -> None:
        """Record allocations by ``code`` (af_alg_sendmsg) alone, which spares the buffer."""
        if self._tracer is not None and "alloc" in self._set:
            end = code.address + code.size
            condition = f"caller >= {code.address:#x} && caller < {end:#x}"
            with suppress(OSError):
                self._tracer.only(_GROUP, condition, "alloc")

    def try_controls(self) -> None:
        """Try what it must be able to see; what it misses it will say nothing of."""
        if "alloc" not in self.why_not:
            failure = self._try_allocations()
            if failure:
                self.why_not["alloc"] = failure
        if not self._missing("pin", "get"):
            failure = self._try_pins()
            if failure:
                self.why_not["pin"] = failure

    def _try_allocations(self) -> str:
        """Every kernel makes a page to copy into when one is sent by sendmsg()."""
        try:
            transform = af_alg.Transform("skcipher", "cbc(aes)")
        except af_alg.NotOffered as refusal:
            return f"its control could not run: {refusal}"
        with transform:
            transform.set_key(bytes(16))
            request = transform.request()
            with self.watch() as watched:
                request.send(bytes(PAGE), op=af_alg.ENCRYPT, iv=bytes(16), more=True)
        made = watched.count("alloc", caller="af_alg_sendmsg")
        return "" if made == 1 else f"saw {made} allocations where one page was sent by copy"

    def _try_pins(self) -> str:
        """Direct I/O pins the memory that it reads into."""
        address = libc.map_memory(PAGE)
        try:
            file = os.open(sys.executable, os.O_RDONLY | os.O_DIRECT)
            try:
                with self.watch() as watched:
                    os.preadv(file, [libc.memory_at(address, PAGE)], 0)
            finally:
                os.close(file)
        except OSError as error:
            return f"its control could not run: read with O_DIRECT: {error.strerror}"
        finally:
            libc.unmap_memory(address, PAGE)
        seen = _pins(watched, threading.get_native_id())
        return "" if seen else "saw no pin where O_DIRECT read into memory"

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """Record the calls made inside; they are known at the end."""
        watched = Watched()
        if self._tracer is None:
            yield watched
            return
        with self._tracer.hearing() as heard:
            yield watched
        watched.add(heard)

    def of_input(self, watched: Watched, pages: int) -> Testimony:
        """Whether ``pages`` pages that were fed to af_alg_sendmsg() were copied by it."""
        missing = self._missing("send", "alloc")
        entered = watched.count("send")
        if missing or watched.lost or not entered:
            why = missing or ("events lost" if watched.lost else "af_alg_sendmsg was not called")
            return Testimony("", why)
        made = watched.count("alloc", caller="af_alg_sendmsg")
        words = f"af_alg_sendmsg allocated {made} of the {pages} pages that a copy takes"
        if made and made < pages:
            return Testimony("", f"{words}: copied in part")
        return Testimony("absent" if made else "present", words)

    def of_pins(self, watched: Watched, thread: int) -> Testimony:
        """Whether a thread's memory was pinned."""
        missing = self._missing("pin", "get")
        if missing or watched.lost:
            return Testimony("", missing or "events lost")
        callers = sorted({call.caller for call in _pins(watched, thread)})
        if callers:
            return Testimony("present", f"user pages pinned by {', '.join(callers)}")
        return Testimony("absent", "no user page pinned")

    def _missing(self, *events: str) -> str:
        return next((self.why_not[event] for event in events if event in self.why_not), "")

    def close(self) -> None:
        """Take the probes out again: it says nothing more."""
        if self._tracer is not None and self._set:
            self._tracer.remove(_GROUP, self._set)
            self.why_not.update(dict.fromkeys(self._set, "it was closed"))
            self._set = []


def _pins(watched: Watched, thread: int) -> list[Call]:
    # A thread that waits for a lock of the interpreter looks up the lock's page.
    calls = watched.of("pin", "get", thread=thread)
    return [call for call in calls if call.caller != "get_futex_key"]
