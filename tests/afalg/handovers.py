"""Every splice, sendfile and vmsplice of the suite into an skcipher or AEAD: were they copied?

The kernel sends what is spliced into a socket by splice_to_socket() (fs/splice.c, since 6.5;
generic_splice_sendpage() before), which returns the bytes that the socket took. Of these,
af_alg_sendmsg() copies what it copies by _copy_from_iter(), whose calls are found in its
code and get a kprobe each. Bytes that were taken and not copied went in by reference. So
all tests are witnesses, whatever they are about. x86 only: elsewhere there is no witness.

It must tell a spliced page that is shared from one that is copied as overwriting the page
does (``_control``): a kernel that copies by other means is not taken for one that shares.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import af_alg
import pages
from pages import PAGE
from unavailable import RESTRICT

if TYPE_CHECKING:
    from tracing import Call, Code, Heard, Tracer

_GROUP = "afalg_suite"
_SPLICED_BY = ("splice_to_socket", "generic_splice_sendpage")
_SENDS = tuple(
    (kind, f"{kind}_sendmsg{end}") for kind in ("skcipher", "aead") for end in ("", "_nokey")
)
_COPY = "_copy_from_iter"
#: struct msghdr: msg_iter at 16; struct iov_iter: iter_type at 0.
_SEND_ARGUMENTS, _COPY_ARGUMENTS = "sort=+16(%si):u8", "bytes=%si:u64 sort=+0(%dx):u8"
_CALL, _CALL_LENGTH = 0xE8, 5
_KERNEL_TEXT = 0xFFFFFFFF80000000


class NoWitness(Exception):
    """The suite's handovers cannot be witnessed here; says why."""


@dataclass
class Tally:
    """What was handed to one kind of socket."""

    splices: int = 0
    taken: int = 0  # bytes
    tests: set[str] = field(default_factory=set)
    shared: int = 0  # splices
    first_shared: str = ""

    def describe(self) -> str:
        """One line for people."""
        words = f"{self.splices} splices of {self.taken} bytes in {len(self.tests)} tests"
        if not self.shared:
            return f"{words}: all bytes copied by af_alg_sendmsg()"
        return f"{words}: {self.shared} not copied by af_alg_sendmsg(), first {self.first_shared}"


@dataclass
class _Splice:
    """A splice under way in one thread."""

    kind: str = ""
    copied: int = 0


class Ledger:
    """Keeps account of the calls of one session; needs no kernel."""

    def __init__(self) -> None:
        self.tallies = {"skcipher": Tally(), "aead": Tally()}
        #: Tests of which calls were lost: of these nothing is said.
        self.lost: list[str] = []
        self._under_way: dict[str, _Splice] = {}  # by thread
        self._heard: list[Call] = []
        self._lost = False

    def hear(self, heard: Heard) -> None:
        """Take calls of the test that runs."""
        self._heard += heard.calls
        self._lost |= heard.lost

    def miss(self) -> None:
        """Calls of the test that runs could not be heard."""
        self._lost = True

    def close_test(self, test: str) -> None:
        """Account for what was heard since the last test."""
        calls, lost = self._heard, self._lost
        self._heard, self._lost = [], False
        if lost:
            self.lost.append(test)
            self._under_way.clear()
            return
        for call in calls:
            self._account(call, test)

    def _account(self, call: Call, test: str) -> None:
        event = call.event.partition("_")[0]
        if event == "begin":
            self._under_way[call.thread] = _Splice()
            return
        splice = self._under_way.get(call.thread)
        if splice is None:
            return
        if event in self.tallies:
            splice.kind = event
        elif event == "copy":
            splice.copied += int(call.arguments["bytes"])
        elif event == "end":
            del self._under_way[call.thread]
            taken = int(call.arguments["taken"])
            if splice.kind and taken > 0:
                self._add(self.tallies[splice.kind], splice, taken, test)

    def _add(self, tally: Tally, splice: _Splice, taken: int, test: str) -> None:
        tally.splices += 1
        tally.taken += taken
        tally.tests.add(test)
        if splice.copied < taken:
            tally.shared += 1
            if not tally.first_shared:
                tally.first_shared = f"in {test} ({taken} bytes, of which {splice.copied} copied)"


class Handovers:
    """Listens to a whole session. Raises NoWitness."""

    def __init__(self, tracer: Tracer) -> None:
        self.ledger = Ledger()
        self._tracer = tracer
        self._events: list[str] = []
        booted = RESTRICT.read_text() if RESTRICT.exists() else ""
        try:
            if booted:
                RESTRICT.write_text("0")
            self.code = self._set_up()
        except Exception as error:
            # Whatever it is, it is no reason to run no tests.
            self.close()
            raise NoWitness(str(error) or type(error).__name__) from error
        finally:
            if booted:
                RESTRICT.write_text(booted)
        tracer.listen(self.ledger.hear)

    def _set_up(self) -> Code:
        if os.uname().machine != "x86_64":
            raise NoWitness(f"not known how to read the code of {os.uname().machine}")
        with af_alg.Transform("skcipher", "cbc(aes)") as transform:
            transform.set_key(bytes(16))
            code = self._tracer.find("af_alg_sendmsg", lambda: _send(transform))
            calls = _calls(code.read(), code.address)
            targets = sorted(set(calls.values()))
            names = self._tracer.name(targets, "af_alg_sendmsg", lambda: _send(transform))
            named = dict(zip(targets, names, strict=True))
            copies = [
                at for at, target in calls.items() if named[target].startswith(f"{_COPY}+0x0/")
            ]
            self._probe(code, copies)
            self._control(transform)
        return code

    def _probe(self, code: Code, copies: list[int]) -> None:
        if not copies:
            raise NoWitness(f"{code.name} calls no {_COPY}()")
        for number, offset in enumerate(copies):
            self._add(f"copy_{number}", code.at(offset), _COPY_ARGUMENTS)
        for kind, function in _SENDS:
            module = f"algif_{kind}:" if code.module else ""
            with suppress(OSError):  # one of each kind may be part of the other
                self._add(
                    function.replace("sendmsg", "send"), f"{module}{function}", _SEND_ARGUMENTS
                )
        for function in _SPLICED_BY:
            with suppress(OSError):
                self._add("begin", function, "")
                self._add("end", function, "taken=$retval:s64", "r64")
                break
        if "end" not in self._events:
            raise NoWitness(f"no kprobe on {' or '.join(_SPLICED_BY)}")
        self._tracer.enable(_GROUP)

    def _add(self, event: str, place: str, arguments: str, kind: str = "p") -> None:
        self._tracer.add(_GROUP, event, place, arguments, kind)
        self._events.append(event)

    def _control(self, transform: af_alg.Transform) -> None:
        """Overwrite a spliced page: the result must be of what was copied, by its account."""
        old, new = bytes(PAGE), bytes([255]) * PAGE
        with pages.source("memfd", old) as source, pages.pipe() as (read_end, write_end):
            assert source.put(write_end, 0, PAGE) == PAGE
            with transform.request() as request:
                with self._tracer.hearing() as sent:
                    request.send(op=af_alg.ENCRYPT, iv=bytes(16), more=True)
                with self._tracer.hearing() as spliced:
                    assert os.splice(read_end, request.fileno(), PAGE) == PAGE
                source.overwrite(0, new)
                result = request.recv(PAGE)
            with transform.request() as request, self._tracer.hearing() as copied:
                request.send(old, op=af_alg.ENCRYPT, iv=bytes(16))
                of_old = request.recv(PAGE)
        account = Ledger()
        account.hear(spliced)
        account.close_test("control")
        tally = account.tallies["skcipher"]
        seen = sum(
            int(call.arguments["bytes"]) for call in copied.calls if "bytes" in call.arguments
        )
        if tally.splices != 1 or seen != PAGE:
            raise NoWitness(
                f"its control saw {tally.splices} of 1 splices, {seen} of {PAGE} bytes copied"
            )
        if (tally.shared == 0) is not (result == of_old):
            raise NoWitness("its control: overwriting the page tells otherwise")
        self._leave_out(sent, spliced)

    def _leave_out(self, sent: Heard, spliced: Heard) -> None:
        """Record no more what is sent by other calls: of that there is much."""
        sorts = {call.arguments.get("sort") for call in spliced.calls} - {None}
        others = {call.arguments.get("sort") for call in sent.calls}
        if len(sorts) == 1 and not sorts & others:
            self._tracer.only(_GROUP, f"sort == {min(map(str, sorts))}")

    def close_test(self, test: str) -> None:
        """Account for the test that ended."""
        try:
            self._tracer.drain()
        except (OSError, ValueError):
            self.ledger.miss()
        self.ledger.close_test(test)

    def close(self) -> None:
        """Take the probes out of the kernel."""
        if self._events:
            self._tracer.remove(_GROUP, self._events)
            self._events = []


def _send(transform: af_alg.Transform) -> None:
    with transform.request() as request:
        request.send(bytes(16), op=af_alg.ENCRYPT, iv=bytes(16))


def _calls(code: bytes, address: int) -> dict[int, int]:
    """Offset -> target of what may be calls into the kernel proper.

    Bytes amid an instruction may look like one: its target has no name that counts, and no
    kprobe can be set on it.
    """
    found = {}
    for at in range(len(code) - _CALL_LENGTH + 1):
        if code[at] == _CALL:
            distance = int.from_bytes(code[at + 1 : at + _CALL_LENGTH], "little", signed=True)
            target = address + at + _CALL_LENGTH + distance
            if _KERNEL_TEXT <= target < 1 << 64:
                found[at] = target
    return found
