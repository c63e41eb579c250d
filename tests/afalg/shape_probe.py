"""Hands pages to a request socket in one shape, and tells whether they were shared.

As in zero_copy/test_input.py: pages are handed over, overwritten at their source, and the
result is of the new contents (shared) or of the old ones (copied). What the result would be
for either is what the same request answers when it is sent by copy; of a forged AEAD message
that is EBADMSG, so for decryption the tag itself tells whether the overwritten page was read.
"""

from __future__ import annotations

import array
import errno
import itertools
import os
import pickle
import random
import signal
import socket
import struct
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import af_alg
import aio
import keyring
import libc
import pages
from pages import PAGE
from probing import handing_over, why_void
from unavailable import Unavailable

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from shapes import Shape

SPLICE_F_NONBLOCK, SPLICE_F_MORE = 2, 4
_MANY = 18  # pages: more than fit in one pipe, or in one scatterlist of AF_ALG (16)
_PART = 112  # bytes ahead that leave room in their page; all lengths are whole blocks
_TAIL = 48
_PIPE_ROOM = 64  # pages
#: Byte by byte in Python it would cost more than all calls of a shape, under TCG.
_INVERTED = bytes(range(255, -1, -1))
CONTENTS = random.Random(2).randbytes((2 * _MANY + 2) * PAGE)

#: What a request answered (or the name of its errno), and what a second reference showed.
_Seen = tuple["bytes | str", bytes]

_LENGTHS = {"short": 64, "page": PAGE, "pages": 3 * PAGE, "many": _MANY * PAGE}
_OFFSETS = {"start": 0, "aligned": 16, "odd": 1003}
_BEFORE = {"nothing": 0, "control": 0, "part": _PART, "page": PAGE, "spliced": PAGE}
#: Option of the socket -> its number and a value that it does not have by itself.
_OPTIONS: dict[str, tuple[int, int | bytes]] = {
    "receive_buffer": (socket.SO_RCVBUF, 1 << 20),
    "send_timeout": (socket.SO_SNDTIMEO, struct.pack("@ll", 5, 0)),  # struct timeval
    "priority": (socket.SO_PRIORITY, 5),
    "mark": (socket.SO_MARK, 7),
}
_EARLIER = {"first": 0, "second": 1, "fifth": 4}


@dataclass(frozen=True)
class Cipher:
    """An algorithm with a key, and what its messages need beside their text."""

    type: str
    name: str
    key: bytes
    iv: bytes
    aad: bytes = b""
    tag: int = 0


def authenc_key(mac: bytes, cipher: bytes) -> bytes:
    """A key of authenc: those of its two parts, and how long the second one is."""
    # struct rtattr, struct crypto_authenc_key_param (include/crypto/authenc.h)
    return struct.pack("=HH", 8, 1) + struct.pack(">I", len(cipher)) + mac + cipher


_K = bytes(range(64))
_AAD = bytes(range(100, 116))
CIPHERS = {
    cipher.name: cipher
    for cipher in (
        Cipher("skcipher", "cbc(aes)", _K[:16], bytes(16)),
        Cipher("skcipher", "ctr(aes)", _K[:16], bytes(16)),
        Cipher("skcipher", "ecb(aes)", _K[:16], b""),
        Cipher("skcipher", "xts(aes)", _K[:32], bytes(16)),
        Cipher("skcipher", "cts(cbc(aes))", _K[:16], bytes(16)),
        Cipher("skcipher", "chacha20", _K[:32], bytes(16)),
        Cipher("skcipher", "adiantum(xchacha12,aes)", _K[:32], bytes(32)),
        Cipher("aead", "gcm(aes)", _K[:16], bytes(12), _AAD, 16),
        Cipher("aead", "ccm(aes)", _K[:16], b"\3" + bytes(15), _AAD, 16),
        Cipher("aead", "rfc4106(gcm(aes))", _K[:20], bytes(8), _AAD, 16),
        Cipher(
            "aead",
            "authenc(hmac(sha256),cbc(aes))",
            authenc_key(_K[:32], _K[32:48]),
            bytes(16),
            _AAD,
            32,
        ),
        Cipher("aead", "rfc7539(chacha20,poly1305)", _K[:32], bytes(12), _AAD, 16),
    )
}


@dataclass(frozen=True)
class Told:
    """State of a shape, and why.

    present, absent, unreachable, unknown, corrupt (the result is of neither contents), or
    unshared: a second reference to the pages did not see what was written over them.
    """

    state: str
    words: str = ""
    reason: Reason | None = None


@dataclass(frozen=True)
class Message:
    """A whole message as it goes into the socket, and which part of it are the pages."""

    data: bytes
    assoclen: int | None
    ahead: int  # bytes sent before the pages
    fed: int  # bytes of the pages

    def overwritten(self, start: int = 0, end: int | None = None) -> Message:
        """The message with these bytes of the pages inverted."""
        first = self.ahead + start
        last = self.ahead + (self.fed if end is None else end)
        inverted = self.data[first:last].translate(_INVERTED)
        return replace(self, data=self.data[:first] + inverted + self.data[last:])

    @property
    def pages(self) -> bytes:
        """What is handed over by reference."""
        return self.data[self.ahead : self.ahead + self.fed]


class Probe:
    """Probes shapes one after the other in this process; keeps answers and transforms."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._answers: dict[tuple[object, ...], bytes | str] = {}
        self._seals: dict[tuple[object, ...], bytes] = {}
        self._transforms: dict[str, af_alg.Transform] = {}

    def close(self) -> None:
        """Close the transforms that were kept."""
        for transform in self._transforms.values():
            transform.close()

    def tell(self, shape: Shape) -> Told:
        """Probe one shape."""
        cipher = CIPHERS[shape.algorithm]
        try:
            return self._probe(shape, cipher)
        except af_alg.NotOffered as refusal:
            return Told("unreachable", str(refusal), refusal.reason)
        except Unavailable as lack:
            return Told("unknown", str(lack), lack.reason)
        except (OSError, MemoryError) as error:
            void = why_void(error, cipher.type, cipher.name)
            return Told("unknown", str(void), void.reason)

    def _probe(self, shape: Shape, cipher: Cipher) -> Told:
        message = self._message(shape, cipher)
        of_old = self._by_copy(shape, cipher, message)
        of_new = self._by_copy(shape, cipher, message.overwritten())
        if of_old == of_new:
            words = f"old and new contents give the same answer: {_told(of_old)}"
            return Told("unknown", words, Reason(Cause.OTHER))
        seen, shared = self._by_reference(shape, cipher, message)
        fired = shared == message.overwritten().pages
        if seen == of_old and fired:
            return Told("absent")
        # A result of overwritten pages speaks for itself; an errno may have other reasons.
        if (
            seen != of_old
            and (fired or isinstance(seen, bytes))
            and (seen == of_new or self._is_mixed(shape, cipher, message, seen))
        ):
            return Told("present")
        if not fired:
            words = "control did not fire: the pages were not shared up to the socket"
            return Told("unshared", words, Reason(Cause.OTHER))
        words = f"{_told(seen)} is of neither: {_told(of_old)}, {_told(of_new)}"
        return Told("corrupt", words, Reason(Cause.OTHER))

    def _is_mixed(self, shape: Shape, cipher: Cipher, message: Message, seen: bytes | str) -> bool:
        """Whether some pages of the message were shared and others copied."""
        offset = _OFFSETS[shape.offset]
        room = -message.ahead % PAGE  # of the page that holds what was sent before
        cuts = {0, message.fed, min(room, message.fed)}
        cuts |= set(range(-offset % PAGE, message.fed, PAGE))
        cuts |= set(_cuts(shape, message.fed))
        ordered = sorted(cuts)
        ranges = [(0, cut) for cut in ordered] + [(cut, message.fed) for cut in ordered]
        ranges += list(itertools.pairwise(ordered))
        return any(
            seen == self._by_copy(shape, cipher, message.overwritten(start, end))
            for start, end in dict.fromkeys(ranges)
            if start < end
        )

    def _message(self, shape: Shape, cipher: Cipher) -> Message:
        ahead = b"" if shape.before == "nothing" or shape.input in {"aad", "both"} else cipher.aad
        sent = len(ahead) + _BEFORE[shape.before]
        fed = _LENGTHS[shape.length]
        after = _TAIL if shape.after == "data" else 0
        if shape.after == "data" and shape.direction == "decrypt" and cipher.tag > after:
            after = cipher.tag
        total = sent + fed + after
        assoclen = {
            "skcipher": None,
            "aead": len(ahead),
            "aad": total - (cipher.tag if shape.direction == "decrypt" else 0),
            "both": sent + fed // 2,
        }[shape.input]
        data = ahead + CONTENTS[: total - len(ahead)]
        if cipher.tag and shape.direction == "decrypt":
            data = self._sealed(shape, cipher, data[: total - cipher.tag], assoclen or 0)
        return Message(data, assoclen, sent, fed)

    def _sealed(self, shape: Shape, cipher: Cipher, plain: bytes, assoclen: int) -> bytes:
        iv = _iv(shape, cipher)
        key = cipher.name, iv, assoclen, hash(plain), len(plain)
        if key not in self._seals:
            with self._transform(shape, cipher).request() as request:
                request.send(plain, op=af_alg.ENCRYPT, iv=iv, assoclen=assoclen)
                self._seals[key] = request.recv(len(plain) + cipher.tag)
        return self._seals[key]

    def _by_copy(self, shape: Shape, cipher: Cipher, message: Message) -> bytes | str:
        """What the request answers when all is sent by copy."""
        key = (
            cipher.name,
            shape.direction,
            shape.before == "nothing",
            shape.read,
            message.assoclen,
            hash(message.data),
            len(message.data),
        )
        if key not in self._answers:
            with self._transform(shape, cipher).request() as request:
                if shape.before == "nothing":
                    request.send(message.data)
                else:
                    _start(request, shape, cipher, message, message.data, more=False)
                self._answers[key] = _answer(request, shape, cipher, message)
        return self._answers[key]

    def _transform(self, shape: Shape, cipher: Cipher) -> af_alg.Transform:
        """A transform of the cipher with its key set, made once."""
        if cipher.name not in self._transforms:
            transform = af_alg.Transform(cipher.type, cipher.name)
            transform.set_key(cipher.key)
            if cipher.tag:
                transform.set_authsize(cipher.tag)
            self._transforms[cipher.name] = transform
        return self._transforms[cipher.name]

    def _by_reference(self, shape: Shape, cipher: Cipher, message: Message) -> _Seen:
        """What the request answers to overwritten pages, and what a second reference shows."""
        with ExitStack() as stack:
            request = stack.enter_context(_request(shape, cipher))
            if shape.socket == "inherited":
                return in_child(lambda: self._feed(shape, cipher, message, request))
            return self._feed(shape, cipher, message, request)

    def _feed(
        self, shape: Shape, cipher: Cipher, message: Message, request: af_alg.Request
    ) -> _Seen:
        offset = _OFFSETS[shape.offset]
        with ExitStack() as stack:
            source = stack.enter_context(self._pool.source(shape.source, offset, message.pages))
            if shape.others == "beside":
                stack.enter_context(self._beside(shape, cipher, source))
            for _ in range(_EARLIER[shape.request]):
                self._earlier(request, shape, cipher, message)
            self._ahead(request, shape, cipher, message)
            control, control_in = stack.enter_context(pages.pipe(room=_PIPE_ROOM))
            with handing_over(shape.way, cipher.type, cipher.name):
                hand_over(shape, source, offset, message.fed, request.fileno(), control_in)
            source.overwrite(offset, message.overwritten().pages)
            if shape.after == "data":
                request.send(message.data[message.ahead + message.fed :])
            elif shape.after == "end":
                request.send()
            seen = _answer(request, shape, cipher, message)
            return seen, os.read(control, message.fed)

    @contextmanager
    def _beside(self, shape: Shape, cipher: Cipher, source: pages.Source) -> Iterator[None]:
        """Another request that holds a page of the same source and waits for more."""
        with self._transform(shape, cipher).request() as other, pages.pipe() as (out, into):
            whole = replace(self._message(shape, cipher), assoclen=0 if cipher.tag else None)
            _start(other, shape, cipher, whole, b"", more=True)
            assert source.put(into, 0, 64) == 64
            assert os.splice(out, other.fileno(), 64, flags=SPLICE_F_MORE) == 64
            yield

    def _earlier(
        self, request: af_alg.Request, shape: Shape, cipher: Cipher, message: Message
    ) -> None:
        """A request of the same sort, complete, sent by copy."""
        _start(request, shape, cipher, message, message.data, more=False)
        _answer(request, shape, cipher, message)

    def _ahead(
        self, request: af_alg.Request, shape: Shape, cipher: Cipher, message: Message
    ) -> None:
        """What goes before the pages."""
        if shape.before == "nothing":
            return
        by_splice = PAGE if shape.before == "spliced" else 0
        _start(
            request, shape, cipher, message, message.data[: message.ahead - by_splice], more=True
        )
        if by_splice:
            head = message.data[message.ahead - by_splice : message.ahead]
            with pages.pipe() as (out, into), pages.scratch_memfd(head) as descriptor:
                assert os.splice(descriptor, into, PAGE, offset_src=0) == PAGE
                assert os.splice(out, request.fileno(), PAGE, flags=SPLICE_F_MORE) == PAGE


def _iv(shape: Shape, cipher: Cipher) -> bytes:
    return bytes(len(cipher.iv)) if shape.before == "nothing" else cipher.iv


def _start(
    request: af_alg.Request,
    shape: Shape,
    cipher: Cipher,
    message: Message,
    data: bytes,
    *,
    more: bool,
) -> None:
    op = af_alg.ENCRYPT if shape.direction == "encrypt" else af_alg.DECRYPT
    iv = cipher.iv or None
    request.send(data, op=op, iv=iv, assoclen=message.assoclen, more=more)


def _answer(request: af_alg.Request, shape: Shape, cipher: Cipher, message: Message) -> bytes | str:
    """The result of a complete request, or the name of its errno."""
    sign = 1 if shape.direction == "encrypt" else -1
    length = len(message.data) + sign * cipher.tag
    try:
        if shape.read == "parts":
            return request.recv(32) + request.recv(length - 32)
        if shape.read == "buffers":
            parts = [bytearray(length // 3), bytearray(length - length // 3)]
            request.sock.recvmsg_into(parts, 0, af_alg.MSG_DONTWAIT)
            return bytes(parts[0] + parts[1])
        return request.recv(length)
    except OSError as error:
        return af_alg.errno_name(error)


def _told(answer: bytes | str) -> str:
    return answer if isinstance(answer, str) else af_alg.shorten(answer, 8)


@contextmanager
def _request(shape: Shape, cipher: Cipher) -> Iterator[af_alg.Request]:
    """A request socket, got and keyed as the shape says."""
    with af_alg.Transform(cipher.type, cipher.name) as transform:
        if shape.key != "late":
            _set_key(transform, shape, cipher)
        with ExitStack() as stack:
            if shape.socket == "ring":
                request = stack.enter_context(_accepted_by_ring(transform))
            else:
                request = transform.request()
            if shape.key == "late":
                _set_key(transform, shape, cipher)
            if shape.socket == "duplicated":
                request = stack.enter_context(af_alg.Request(request.sock.dup()))
            elif shape.socket == "passed":
                request = stack.enter_context(_passed(request))
            if shape.waiting == "socket":
                request.sock.setblocking(False)
            if shape.buffer != "default":
                room = 1 if shape.buffer == "small" else 1 << 20
                request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
            if shape.option in _OPTIONS:
                request.sock.setsockopt(socket.SOL_SOCKET, *_OPTIONS[shape.option])
            yield request


def _set_key(transform: af_alg.Transform, shape: Shape, cipher: Cipher) -> None:
    if shape.key == "serial":
        _set_key_by_serial(transform, cipher)
    else:
        transform.set_key(cipher.key)
    if cipher.tag:
        transform.set_authsize(cipher.tag)


def _set_key_by_serial(transform: af_alg.Transform, cipher: Cipher) -> None:
    try:
        serial = keyring.add("user", f"afalg:{cipher.name}", cipher.key)
        try:
            transform.sock.setsockopt(
                af_alg.SOL_ALG, af_alg.ALG_SET_KEY_BY_KEY_SERIAL, struct.pack("=i", serial)
            )
        finally:
            keyring.unlink(serial)
    except OSError as error:
        # 6.1 does not know the option; ENOSYS: CONFIG_KEYS=n.
        if error.errno not in {errno.ENOPROTOOPT, errno.ENOSYS}:
            raise
        name = af_alg.errno_name(error)
        reason = Reason(Cause.OTHER, cipher.type, cipher.name, name)
        raise af_alg.NotOffered(f"ALG_SET_KEY_BY_KEY_SERIAL: {name}", reason) from error


def _accepted_by_ring(transform: af_alg.Transform) -> af_alg.Request:
    with aio.ring_if_offered() as ring:
        return _of_descriptor(ring.accept(transform.sock.fileno()))


def _of_descriptor(descriptor: int) -> af_alg.Request:
    # Python would ask for family and type, which AF_ALG does not tell.
    return af_alg.Request(socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0, fileno=descriptor))


def _passed(request: af_alg.Request) -> af_alg.Request:
    """The same socket, received as a file descriptor in a message (SCM_RIGHTS)."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        rights = array.array("i", [request.fileno()])
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        _, [(_, _, data)], _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(rights.itemsize))
    return _of_descriptor(array.array("i", data)[0])


def _cuts(shape: Shape, length: int) -> list[int]:
    """Where the pages are cut into the pieces that the shape says, ends included."""
    if shape.pieces == "small":
        size = 16 if length < PAGE else 1024 if length < _LENGTHS["many"] else PAGE // 2
        return [*range(0, length, size), length]
    if shape.pieces == "calls":
        return [0, length // 2, length]
    return [0, length]


def hand_over(
    shape: Shape, source: pages.Source, offset: int, length: int, target: int, control: int
) -> None:
    """Hand the pages to the socket ``target``, and a second reference to each to ``control``."""
    if shape.way == "sendfile":
        assert isinstance(source, pages.FileSource)
        put_all(source, control, offset, length)
        done = 0
        while done < length:
            done += os.sendfile(target, source.descriptor, offset + done, length - done)
        return
    call = SPLICE_F_NONBLOCK if shape.waiting == "call" else 0
    cuts = _cuts(shape, length)
    with pages.pipe(room=_PIPE_ROOM) as (out, into):
        if shape.pieces == "calls":
            for start, end in itertools.pairwise(cuts):
                put_all(source, into, offset + start, end - start)
                more = SPLICE_F_MORE if end < length or shape.after != "last" else 0
                _move(shape, out, control, target, end - start, call | more)
            return
        for start, end in itertools.pairwise(cuts):
            put_all(source, into, offset + start, end - start)
        more = SPLICE_F_MORE if shape.after != "last" else 0
        _move(shape, out, control, target, length, call | more)


def put_all(source: pages.Source, pipe: int, offset: int, length: int) -> None:
    """Put a range of the source into a pipe, in as many calls as that takes."""
    done = 0
    while done < length:
        put = source.put(pipe, offset + done, length - done)
        assert put > 0, f"expected {length - done} more bytes put, saw none"
        done += put


def _move(shape: Shape, out: int, control: int, target: int, length: int, flags: int) -> None:
    """Move pipe contents to the socket, all with ``flags``, and keep a reference to each."""
    if shape.way == "tee":
        with pages.pipe(room=_PIPE_ROOM) as (copy, copy_in):
            assert libc.tee(out, copy_in, length) == length
            _splice_all(copy, target, length, flags)
            _splice_all(out, control, length, 0)
        return
    assert libc.tee(out, control, length) == length
    if shape.way == "io_uring":
        with aio.ring_if_offered() as ring:
            _move_all(ring.splice, out, target, length, flags)
    else:
        _splice_all(out, target, length, flags)


def _splice_all(out: int, target: int, length: int, flags: int) -> None:
    def splice(out: int, target: int, length: int, flags: int) -> int:
        return os.splice(out, target, length, flags=flags)

    _move_all(splice, out, target, length, flags)


def _move_all(
    splice: Callable[[int, int, int, int], int], out: int, target: int, length: int, flags: int
) -> None:
    while length:
        moved = splice(out, target, length, flags)
        assert moved > 0, f"expected {length} more bytes taken, saw end of file"
        length -= moved


def in_child(function: Callable[[], _Seen]) -> _Seen:
    """What ``function`` returns in a forked child, which inherits sockets and files."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            with os.fdopen(write_end, "wb") as out:
                pickle.dump(_attempt(function), out)
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as answer:
            report = answer.read()
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if not report:
        words = f"the process that probed ended with wait status {status}"
        raise Unavailable(words, Reason(Cause.OTHER))
    result = pickle.loads(report)
    if isinstance(result, Exception):
        raise result
    assert isinstance(result, tuple)
    return result


def _attempt(function: Callable[[], _Seen]) -> _Seen | Exception:
    try:
        return function()
    except Exception as error:  # noqa: BLE001  (raised again in the parent)
        return error


class Pool:
    """One file of each sort, made by root and inherited by whoever probes."""

    def __init__(self) -> None:
        self._files: dict[str, pages.FileSource] = {}
        self._missing: dict[str, Unavailable] = {}
        self._stack = ExitStack()
        for sort in ("disk", "tmpfs", "memfd", "large"):
            self._add(sort, pages.source(sort, bytes(len(CONTENTS))))

    def _add(self, sort: str, opened: AbstractContextManager[pages.Source]) -> None:
        try:
            source = self._stack.enter_context(opened)
        except Unavailable as lack:
            self._missing[sort] = lack
        else:
            assert isinstance(source, pages.FileSource)
            self._files[sort] = source

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    @contextmanager
    def source(self, sort: str, offset: int, contents: bytes) -> Iterator[pages.Source]:
        """Pages that hold ``contents`` from ``offset`` on. Raises Unavailable."""
        if sort in {"memory", "gift"}:
            whole = bytes(offset) + contents
            with pages.source(sort, whole) as memory:
                yield memory
            return
        if sort in self._missing:
            raise self._missing[sort].with_traceback(None)
        self._files[sort].overwrite(offset, contents)
        yield self._files[sort]
