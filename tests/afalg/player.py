"""Plays a sequence of calls (sequences.py) to the kernel and writes down its answers.

What each call of a sequence is, and how its answer reads (any may be an errno instead):

======================  ======================================================  ================
``send N``              sendmsg(MSG_DONTWAIT) of the next N bytes               bytes taken
``splice N``            the same by splice() of a memfd, through a pipe         bytes taken
``enc`` ``iv16`` ...    control messages of the send
``more``                MSG_MORE, SPLICE_F_MORE
``recv N``              recvmsg(MSG_DONTWAIT) into N bytes (``in 3`` pieces)    ``N CRC-32``
``wait N``              recvmsg() that may sleep. Where it does the answer      ``N CRC-32``
                        begins ``waits``, and a signal ends it
``wait N fed M``        there, M bytes are sent first (``fed M``)               ``N CRC-32``
``clone``               accept() on the request; what follows is on the clone   ``ok``
``shutdown`` ``rekey``  shutdown(); ALG_SET_KEY on the parent                   ``ok``
``sndbuf`` ``rcvbuf``   SO_SNDBUF, SO_RCVBUF                                    ``ok``
======================  ======================================================  ================

Output that the kernel claimed and did not write (``hole 16-24``), or wrote and did not
claim (``beyond``), and flags set by recvmsg() (``trunc``) are added to the answer.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import struct
import threading
import time
import zlib
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import af_alg
import blocking
import libc
import sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from sequences import Call, Subject

SPLICE_F_NONBLOCK = 2
SPLICE_F_MORE = 4
#: What a receive buffer holds before a call: a hole in the output stays visible.
FILLING = b"\xa5"
_HOLE = re.compile(FILLING + rb"{6,}")  # by chance in one of 2^48
_OPS = {sequences.DECRYPT: 0, sequences.ENCRYPT: 1, sequences.NEITHER: 2}


class Player:
    """Plays sequences on one subject's transform."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._stack = ExitStack()
        try:
            self._prepare()
        except BaseException:
            self._stack.close()
            raise

    def _prepare(self) -> None:
        subject = self._subject
        self._transform = self._stack.enter_context(af_alg.Transform(subject.type, subject.name))
        if subject.key:
            self._transform.set_key(key_of(subject))
        if subject.tag:
            self._transform.set_authsize(subject.tag)
        self._source = os.memfd_create("afalg")
        self._stack.callback(os.close, self._source)
        os.pwrite(self._source, sequences.STREAM, 0)
        self._pipe = os.pipe()
        for end in self._pipe:
            self._stack.callback(os.close, end)
            os.set_blocking(end, False)
        self._buffer = bytearray(max(subject.reads) + 64)
        self._blank = FILLING * len(self._buffer)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._sent = 0
        self._sleeper = self._stack.enter_context(Sleeper())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, calls: Sequence[Call]) -> str:
        """Make the calls on a new request socket; returns the text of what came of each."""
        self._sent = 0
        if not self._subject.key and any(call.verb == "rekey" for call in calls):
            # It may succeed: the next sequence must not find the key.
            with af_alg.Transform(self._subject.type, self._subject.name) as transform:
                return self._play(calls, transform)
        return self._play(calls, self._transform)

    def _play(self, calls: Sequence[Call], transform: af_alg.Transform) -> str:
        requests = [transform.sock.accept()[0]]
        try:
            answers = [self._answer(call, requests, transform) for call in calls]
        finally:
            for request in reversed(requests):
                request.close()
        return "; ".join(answers)

    def _answer(
        self, call: Call, requests: list[socket.socket], transform: af_alg.Transform
    ) -> str:
        request = requests[-1]
        try:
            if call.verb == "send":
                return str(self._send(call, request))
            if call.verb == "splice":
                return str(self._splice(call, request))
            if call.verb == "recv":
                return self._recv(call, request)
            if call.verb == "wait":
                return self._wait(call, request)
            if call.verb == "clone":
                requests.append(request.accept()[0])
            elif call.verb == "shutdown":
                request.shutdown(socket.SHUT_WR)
            elif call.verb == "rekey":
                transform.set_key(sequences.BYTES[: self._subject.key or 16])
            else:
                option = socket.SO_SNDBUF if call.verb == "sndbuf" else socket.SO_RCVBUF
                request.setsockopt(socket.SOL_SOCKET, option, call.size)
        except OSError as error:
            return _name(error)
        return "ok"

    def _send(self, call: Call, request: socket.socket) -> int:
        messages = [(af_alg.SOL_ALG, kind, payload) for kind, payload in control_of(call)]
        flags = af_alg.MSG_DONTWAIT | (af_alg.MSG_MORE if call.more else 0)
        data = sequences.STREAM[self._sent : self._sent + call.size]
        taken = request.sendmsg([data] if data else [], messages, flags)
        self._sent += taken
        return taken

    def _splice(self, call: Call, request: socket.socket) -> int:
        read_end, write_end = self._pipe
        filled = os.splice(self._source, write_end, call.size, offset_src=self._sent)
        flags = SPLICE_F_NONBLOCK | (SPLICE_F_MORE if call.more else 0)
        taken = 0
        try:
            taken = os.splice(read_end, request.fileno(), filled, flags=flags)
        finally:
            with suppress(BlockingIOError):
                os.read(read_end, filled)
        self._sent += taken
        return taken

    def _recv(self, call: Call, request: socket.socket) -> str:
        self._buffer[:] = self._blank
        whole = memoryview(self._buffer)[: call.size]
        if self._subject.type == "rng":
            return str(request.recv_into(whole, call.size, af_alg.MSG_DONTWAIT))
        step = -(-call.size // call.pieces) or 1
        pieces = [whole[at : at + step] for at in range(0, call.size, step)]
        got, _, flags, _ = request.recvmsg_into(pieces or [whole], 0, af_alg.MSG_DONTWAIT)
        return self._received(got, truncated=bool(flags & af_alg.MSG_TRUNC))

    def _received(self, got: int, *, truncated: bool = False) -> str:
        words = [str(got)]
        if got:
            words.append(f"{zlib.crc32(memoryview(self._buffer)[:got]):08x}")
        words += [
            f"hole {hole.start()}-{hole.end()}" for hole in _HOLE.finditer(self._buffer, 0, got)
        ]
        if self._buffer[got:] != self._blank[got:]:
            words.append("beyond")
        if truncated:
            words.append("trunc")
        return " ".join(words)

    def _wait(self, call: Call, request: socket.socket) -> str:
        """A receive that may sleep, in a thread; woken by data or, at last, by a signal."""
        self._buffer[:] = self._blank
        descriptor, pieces = request.fileno(), [(self._address, call.size)]
        words = []
        self._sleeper.start(lambda: libc.recvmsg(descriptor, pieces))
        if self._sleeper.sleeps():
            words.append("waits")
            if call.fed is not None:
                words.append(f"fed {self._feed(call.fed, request)}")
                if self._sleeper.sleeps():
                    words.append("waits")
        try:
            words.append(self._received(self._sleeper.answer()))
        except OSError as error:
            words.append(_name(error))
        return ", ".join(words)

    def _feed(self, size: int, request: socket.socket) -> str:
        try:
            return str(self._send(sequences.Call("send", size), request))
        except OSError as error:
            return _name(error)


class Sleeper:
    """A thread that makes one call after another, and can be seen to sleep in one.

    Like blocking.Blocking, and many times faster: sequences wait often.
    """

    def __init__(self) -> None:
        self._call: Callable[[], int] | None = None
        self._answer: int | OSError = 0
        self._begin = threading.Semaphore(0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        # On one processor the two threads take turns without interrupts between them.
        self._processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(self._processors)})
        # Without SA_RESTART, so that the signal ends a system call.
        self._handler_before = signal.signal(blocking.WAKE, lambda *_: None)
        self._thread.start()
        task = f"/proc/self/task/{self._thread.native_id}"
        self._files = [
            os.open(f"{task}/{name}", os.O_RDONLY) for name in ("wchan", "stat", "syscall")
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._call = None
        self._begin.release()
        self._thread.join(blocking.LIMIT)
        for file in self._files:
            os.close(file)
        signal.signal(blocking.WAKE, self._handler_before)
        os.sched_setaffinity(0, self._processors)

    def _run(self) -> None:
        while True:
            self._begin.acquire()
            if self._call is None:
                return
            try:
                self._answer = self._call()
            except OSError as error:
                self._answer = error
            self._ended.set()

    def start(self, call: Callable[[], int]) -> None:
        """Let the thread make a call."""
        self._call = call
        self._ended.clear()
        self._begin.release()

    def sleeps(self) -> bool:
        """Whether the thread goes to sleep in its call (True), or ends it (False)."""
        end = time.monotonic() + blocking.LIMIT
        while time.monotonic() < end:
            if self._ended.is_set():
                return False
            if self._looks_asleep():
                return not self._ended.is_set()
            time.sleep(0)
        raise AssertionError("the thread neither sleeps in its call nor ends it")

    def _looks_asleep(self) -> bool:
        where, stat, call = self._files
        function = os.pread(where, 64, 0)
        if function.startswith((b"af_alg_", b"wait_woken")):
            return True
        if function.startswith(b"futex"):
            return False
        # Another name, a kernel without names ("0"), or a thread that does not sleep.
        if os.pread(stat, 512, 0).rpartition(b")")[2].split()[0] != b"S":
            return False
        words = os.pread(call, 512, 0).split()
        # Where it waits for Python's lock, the first argument is an address.
        return len(words) > 2 and int(words[1], 16) < 65536

    def answer(self) -> int:
        """The answer to the call, ended by a signal if it still sleeps."""
        end = time.monotonic() + blocking.LIMIT
        while not self._ended.is_set():
            assert time.monotonic() < end, "a signal does not end the call"
            if self.sleeps():
                signal.pthread_kill(self._thread.ident or 0, blocking.WAKE)
                self._ended.wait(0.05)
        if isinstance(self._answer, OSError):
            raise self._answer
        return self._answer


def _name(error: OSError) -> str:
    # Two names of one number: the kernel's sources have this one.
    return "EOPNOTSUPP" if (name := af_alg.errno_name(error)) == "ENOTSUP" else name


def key_of(subject: Subject) -> bytes:
    """The key of a subject."""
    key = sequences.BYTES[: subject.key]
    if not subject.rtattr:
        return key
    # struct rtattr of type CRYPTO_AUTHENC_KEYA_PARAM: the length of the cipher's key, 16.
    return struct.pack("=HH", 8, 1) + struct.pack(">I", 16) + key


def control_of(call: Call) -> list[af_alg.ControlMessage]:
    """The control messages of a call."""
    messages = []
    if call.op:
        messages.append(af_alg.op_message(_OPS[call.op]))
    if call.iv is not None:
        messages.append(af_alg.iv_message(sequences.BYTES[: call.iv]))
    if call.assoclen is not None:
        messages.append(af_alg.assoclen_message(call.assoclen))
    if call.cmsg is not None:
        messages.append((call.cmsg, b""))
    return messages
