"""The ways by which a message gets into AF_ALG and its result out, as tables of calls.

Each way makes the calls of one message as an application would that keeps its sockets, its pipe
and its buffers. The message lies in memory and, the same, in a file (a memfd: no disk has a part).
What an application would use instead of AF_ALG stands beside them: OpenSSL's libcrypto.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import fcntl
import hashlib
import mmap
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.guest.inside.counting import Call, Machine

#: Text of a message, in bytes.
LARGEST = 1 << 20
#: Messages of a table at most; each has a file offset of its own.
COPIES = 64
AAD = 16  # bytes of associated data before an AEAD's text, and of its tag after it
TAG = 16
PIECES = 8  # of a message, joined by MSG_MORE
BUFFERS = 16  # into which a result is read
#: The largest message of ways whose request socket has the limit that it is born with (sndbuf).
_BORN_WITH = 1 << 16

# System calls of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
_READ, _WRITE, _CLOSE, _PREAD, _READV = 0, 1, 3, 17, 19
_SENDFILE, _SENDMSG, _IO_SETUP, _IO_GETEVENTS, _IO_SUBMIT = 40, 46, 206, 208, 209
_SPLICE, _VMSPLICE, _ACCEPT4, _IO_URING_SETUP, _IO_URING_ENTER = 275, 278, 288, 425, 426

# include/uapi/linux/if_alg.h, splice.h, socket.h
_SOL_ALG, _SET_KEY, _SET_IV, _SET_OP, _SET_ASSOCLEN, _SET_AUTHSIZE = 279, 1, 2, 3, 4, 5
_MORE = socket.MSG_MORE
_GIFT = 8
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33
_BUFFER_LIMIT = 4 << 20


@dataclass(frozen=True)
class Algorithm:
    """What is done to messages."""

    name: str
    kind: str
    key: int = 0  # bytes
    iv: int = 0
    openssl: str = ""

    @property
    def aad(self) -> int:
        """Bytes before the text."""
        return AAD if self.kind == "aead" else 0

    def result(self, size: int) -> int:
        """Bytes that come out of a message with ``size`` bytes of text."""
        if self.kind == "hash":
            return 32
        return size + (AAD + TAG if self.kind == "aead" else 0)


ALGORITHMS = (
    Algorithm("cbc(aes)", "skcipher", 32, 16, "AES-256-CBC"),
    Algorithm("ctr(aes)", "skcipher", 32, 16, "AES-256-CTR"),
    Algorithm("xts(aes)", "skcipher", 64, 16, "AES-256-XTS"),
    Algorithm("gcm(aes)", "aead", 32, 12, "AES-256-GCM"),
    Algorithm("sha256", "hash", openssl="SHA256"),
)


#: Aliases of modules: the interfaces, and every implementation of these algorithms that the kernel
#: has for the CPU. udev would load those of AES-NI and its like by what the CPU says it can do.
MODULES = (
    *("algif_skcipher", "algif_aead", "algif_hash"),
    *(f"crypto-{name}" for name in ("aes", "cbc", "ctr", "xts", "gcm", "ghash", "sha256")),
)


def pattern(name: str, length: int) -> bytes:
    """Bytes that guest and host both can make."""
    return hashlib.shake_128(name.encode()).digest(length)


def key_of(algorithm: Algorithm) -> bytes:
    """Its key."""
    return pattern("key", algorithm.key)


def iv_of(algorithm: Algorithm) -> bytes:
    """The IV of every message."""
    return pattern("iv", algorithm.iv)


class Memory:
    """Buffers whose addresses are known and that stay."""

    def __init__(self) -> None:
        self._kept: list[object] = []
        room = LARGEST + (1 << 16)
        self.source, self.target = (self._pages(room) for _ in range(2))
        self.file = os.memfd_create("message")
        content = pattern("message", room)
        ctypes.memmove(self.source, content, room)
        ctypes.memset(self.target, 0, room)
        os.write(self.file, content)
        self.offsets = self.keep(bytes(8 * COPIES))

    def _pages(self, length: int) -> int:
        """Address of ``length`` bytes in small pages, as most buffers are."""
        pages = mmap.mmap(-1, length)
        with contextlib.suppress(OSError):  # EINVAL: this kernel has no other ones
            pages.madvise(mmap.MADV_NOHUGEPAGE)
        return self._held(pages)

    def map(self, descriptor: int, length: int, offset: int) -> int:
        """Address at which a file's memory is shared."""
        return self._held(mmap.mmap(descriptor, length, offset=offset))

    def _held(self, area: mmap.mmap) -> int:
        self._kept.append(area)
        return ctypes.addressof(ctypes.c_char.from_buffer(area))

    def keep(self, content: bytes) -> int:
        """Address of a copy of ``content``."""
        buffer = ctypes.create_string_buffer(content, len(content))
        self._kept.append(buffer)
        return ctypes.addressof(buffer)

    def rewind(self) -> None:
        """Offsets in the file are 0 again, and nothing is left of an earlier result."""
        ctypes.memset(self.offsets, 0, 8 * COPIES)
        ctypes.memset(self.target, 0, LARGEST)

    def read(self, address: int, length: int) -> bytes:
        """What lies there."""
        return ctypes.string_at(address, length)


def control(kind: int, data: bytes) -> bytes:
    """One control message, aligned."""
    return struct.pack("=QII", 16 + len(data), _SOL_ALG, kind) + data + bytes(-len(data) % 8)


@dataclass
class Work:
    """What the ways of one algorithm have in common."""

    machine: Machine
    memory: Memory
    algorithm: Algorithm
    keep: contextlib.ExitStack  # closes what all ways have in common
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # what one has

    def __post_init__(self) -> None:
        self._bound: socket.socket | None = None

    @property
    def bound(self) -> socket.socket:
        """The socket that is bound to the algorithm and has its key. Raises OSError."""
        if self._bound is None:
            bound = self.keep.enter_context(socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
            bound.bind((self.algorithm.kind, self.algorithm.name))
            if self.algorithm.key:
                bound.setsockopt(_SOL_ALG, _SET_KEY, key_of(self.algorithm))
            if self.algorithm.kind == "aead":
                bound.setsockopt(_SOL_ALG, _SET_AUTHSIZE, None, TAG)
            self._bound = bound
        return self._bound

    def request(self) -> int:
        """Descriptor of a request socket that takes the largest message. Raises OSError."""
        request = self.stack.enter_context(self.bound.accept()[0])
        for option in (_SNDBUFFORCE, _RCVBUFFORCE):
            request.setsockopt(socket.SOL_SOCKET, option, _BUFFER_LIMIT)
        return request.fileno()

    def pipe(self) -> tuple[int, int]:
        """A pipe with room for the largest message."""
        ends = os.pipe()
        for end in ends:
            self.stack.callback(os.close, end)
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 2 * LARGEST)
        return ends

    def input(self, size: int) -> int:
        """Bytes that go in for ``size`` bytes of text."""
        return self.algorithm.aad + size

    def header(self, pieces: Sequence[tuple[int, int]], *, first: bool = True) -> int:
        """Address of a ``struct msghdr``: (address, length) of data, control if it is the first."""
        vectors = b"".join(struct.pack("=QQ", *piece) for piece in pieces)
        messages = self._control() if first else b""
        return self.memory.keep(
            struct.pack(
                "=QQQQQQQ",
                0,
                0,
                self.memory.keep(vectors) if vectors else 0,
                len(pieces),
                self.memory.keep(messages) if messages else 0,
                len(messages),
                0,
            )
        )

    def _control(self) -> bytes:
        if self.algorithm.kind == "hash":
            return b""
        iv = struct.pack("=I", self.algorithm.iv) + iv_of(self.algorithm)
        messages = control(_SET_OP, struct.pack("=I", 1)) + control(_SET_IV, iv)
        if self.algorithm.kind == "aead":
            messages += control(_SET_ASSOCLEN, struct.pack("=I", AAD))
        return messages

    def send(self, request: int, size: int) -> Call:
        """The whole message from memory, by one sendmsg()."""
        length = self.input(size)
        header = self.header([(self.memory.source, length)])
        return Call("sendmsg", _SENDMSG, arguments=(request, header, 0), expected=length)

    def announced(self, request: int) -> list[Call]:
        """What has to be sent before data that comes without control messages."""
        if self.algorithm.kind == "hash":
            return []
        return [Call("sendmsg", _SENDMSG, arguments=(request, self.header([]), _MORE), expected=0)]

    def receive(self, request: int, size: int) -> Call:
        """The result, into one buffer."""
        length = self.algorithm.result(size)
        return Call("read", _READ, arguments=(request, self.memory.target, length), expected=length)


#: The calls of the message number so and so of a table.
Message = Callable[[int], list[Call]]


@dataclass(frozen=True)
class Way:
    """How a message goes in and its result comes out."""

    name: str
    prepare: Callable[[Work, int], Message]
    kinds: tuple[str, ...] = ("skcipher", "aead", "hash")
    least: int = 1  # bytes of text
    most: int = LARGEST


def _sendmsg(work: Work, size: int) -> Message:
    request = work.request()
    calls = [work.send(request, size), work.receive(request, size)]
    return lambda _: calls


def _write(work: Work, size: int) -> Message:
    request, length = work.request(), work.input(size)
    arguments = (request, work.memory.source, length)
    calls = [
        *work.announced(request),
        Call("write", _WRITE, arguments=arguments, expected=length),
        work.receive(request, size),
    ]
    return lambda _: calls


def _pieces(work: Work, size: int) -> Message:
    request, length = work.request(), work.input(size)
    each = size // PIECES
    ends = [*(work.algorithm.aad + each * (i + 1) for i in range(PIECES - 1)), length]
    calls = []
    for start, end in zip([0, *ends], ends, strict=False):
        header = work.header([(work.memory.source + start, end - start)], first=start == 0)
        flags = 0 if end == length else _MORE
        arguments = (request, header, flags)
        calls.append(Call("sendmsg", _SENDMSG, arguments=arguments, expected=end - start))
    calls.append(work.receive(request, size))
    return lambda _: calls


def _new_socket(work: Work, size: int) -> Message:
    # The kernel gives the lowest descriptor that is free: the same one each time.
    bound = work.bound.fileno()
    request = os.dup(bound)
    os.close(request)
    calls = [
        Call("accept", _ACCEPT4, arguments=(bound, 0, 0, 0), expected=request),
        work.send(request, size),
        work.receive(request, size),
        Call("close", _CLOSE, arguments=(request,), expected=0),
    ]
    return lambda _: calls


def _splice(work: Work, size: int) -> Message:
    request, length, (out, into) = work.request(), work.input(size), work.pipe()
    before, receive = work.announced(request), work.receive(request, size)
    passed = Call(
        "splice to socket", _SPLICE, arguments=(out, 0, request, 0, length, 0), expected=length
    )

    def message(copy: int) -> list[Call]:
        offset = work.memory.offsets + 8 * copy
        arguments = (work.memory.file, offset, into, 0, length, 0)
        taken = Call("splice from file", _SPLICE, arguments=arguments, expected=length)
        return [*before, taken, passed, receive]

    return message


def _sendfile(work: Work, size: int) -> Message:
    request, length = work.request(), work.input(size)
    before, receive = work.announced(request), work.receive(request, size)

    def message(copy: int) -> list[Call]:
        arguments = (request, work.memory.file, work.memory.offsets + 8 * copy, length)
        sent = Call("sendfile", _SENDFILE, arguments=arguments, expected=length)
        return [*before, sent, receive]

    return message


def _vmsplice(flags: int) -> Callable[[Work, int], Message]:
    def prepare(work: Work, size: int) -> Message:
        request, length, (out, into) = work.request(), work.input(size), work.pipe()
        vector = work.memory.keep(struct.pack("=QQ", work.memory.source, length))
        passed = (out, 0, request, 0, length, 0)
        calls = [
            *work.announced(request),
            Call("vmsplice", _VMSPLICE, arguments=(into, vector, 1, flags), expected=length),
            Call("splice to socket", _SPLICE, arguments=passed, expected=length),
            work.receive(request, size),
        ]
        return lambda _: calls

    return prepare


def _readv(work: Work, size: int) -> Message:
    request, length = work.request(), work.algorithm.result(size)
    each = size // BUFFERS
    lengths = [each] * (BUFFERS - 1) + [length - each * (BUFFERS - 1)]
    vectors, at = b"", work.memory.target
    for one in lengths:
        vectors += struct.pack("=QQ", at, one)
        at += one
    arguments = (request, work.memory.keep(vectors), BUFFERS)
    calls = [
        work.send(request, size),
        Call("readv", _READV, arguments=arguments, expected=length),
    ]
    return lambda _: calls


def _aio(work: Work, size: int) -> Message:
    request, length = work.request(), work.algorithm.result(size)
    place = work.memory.keep(bytes(8))
    work.machine.run([Call("io_setup", _IO_SETUP, arguments=(8, place), expected=0)])
    (context,) = struct.unpack("=Q", work.memory.read(place, 8))
    # IOCB_CMD_PREAD of the result (include/uapi/linux/aio_abi.h)
    block = struct.pack(
        "=QIIHhIQQqQII", 0, 0, 0, 0, 0, request, work.memory.target, length, 0, 0, 0, 0
    )
    pointer = work.memory.keep(struct.pack("=Q", work.memory.keep(block)))
    events = work.memory.keep(bytes(32))
    calls = [
        work.send(request, size),
        Call("io_submit", _IO_SUBMIT, arguments=(context, 1, pointer), expected=1),
        Call("io_getevents", _IO_GETEVENTS, arguments=(context, 1, 1, events, 0), expected=1),
    ]
    return lambda _: calls


def _io_uring(work: Work, size: int) -> Message:
    request, length = work.request(), work.algorithm.result(size)
    ring, tail, head = _ring(
        work,
        # IORING_OP_SENDMSG, linked with (IOSQE_IO_LINK) IORING_OP_READ of the result
        struct.pack("=BBHiQQIIQ24x", 9, 4, 0, request, 0, work.send(request, size).arguments[1],
                    1, 0, 0),
        struct.pack("=BBHiQQIIQ24x", 22, 0, 0, request, 0, work.memory.target, length, 0, 1),
    )  # fmt: skip
    add = work.machine.add
    calls = [
        Call("submit", function=add, arguments=(tail, 2), expected=0),
        # IORING_ENTER_GETEVENTS
        Call("io_uring_enter", _IO_URING_ENTER, arguments=(ring, 2, 2, 1, 0, 0), expected=2),
        Call("take", function=add, arguments=(head, 2), expected=0),
    ]
    return lambda _: calls


def _ring(work: Work, *entries: bytes) -> tuple[int, int, int]:
    """An io_uring with these two entries; descriptor, addresses of the tail and of the head."""
    parameters = work.memory.keep(bytes(120))
    library = ctypes.CDLL(None, use_errno=True)
    ring = library.syscall(_IO_URING_SETUP, 2, ctypes.c_void_p(parameters))
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    work.stack.callback(os.close, ring)
    values = struct.unpack("=30I", work.memory.read(parameters, 120))
    submission, completion = values[10:20], values[20:30]
    # IORING_OFF_SQ_RING, IORING_OFF_CQ_RING, IORING_OFF_SQES
    first = work.memory.map(ring, submission[6] + 4 * values[0], 0)
    second = work.memory.map(ring, completion[5] + 16 * values[1], 0x8000000)
    slots = work.memory.map(ring, 64 * values[0], 0x10000000)
    ctypes.memmove(slots, b"".join(entries), 64 * len(entries))
    for number in range(len(entries)):
        ctypes.memmove(first + submission[6] + 4 * number, struct.pack("=I", number), 4)
    return ring, first + submission[1], second + completion[0]


class OpenSsl:
    """What is called of libcrypto, by address."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("crypto") or "libcrypto.so.3"
        self._library = ctypes.CDLL(name)

    def function(self, name: str) -> int:
        """Its address."""
        return ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value or 0

    def version(self) -> str:
        """Which OpenSSL it is."""
        self._library.OpenSSL_version.restype = ctypes.c_char_p
        return str(self._library.OpenSSL_version(0).decode())

    def make(self, name: str, *arguments: object) -> int:
        """Call a function that returns a pointer."""
        function = getattr(self._library, name)
        function.restype = ctypes.c_void_p
        value = function(*arguments)
        if not value:
            raise OSError(0, name)
        return int(value)


def _call(library: OpenSsl, name: str, *arguments: int) -> Call:
    return Call(name, function=library.function(name), arguments=arguments, expected=1)


def _openssl(work: Work, size: int) -> Message:
    library, algorithm = OpenSsl(), work.algorithm
    make = _openssl_hash if algorithm.kind == "hash" else _openssl_cipher
    calls = make(library, work, size)
    return lambda _: calls


def _openssl_hash(library: OpenSsl, work: Work, size: int) -> list[Call]:
    digest = library.make("EVP_MD_fetch", None, work.algorithm.openssl.encode(), None)
    context = library.make("EVP_MD_CTX_new")
    return [
        _call(library, "EVP_DigestInit_ex", context, digest, 0),
        _call(library, "EVP_DigestUpdate", context, work.memory.source, size),
        _call(library, "EVP_DigestFinal_ex", context, work.memory.target, 0),
    ]


def _openssl_cipher(library: OpenSsl, work: Work, size: int) -> list[Call]:
    algorithm, memory = work.algorithm, work.memory
    cipher = library.make("EVP_CIPHER_fetch", None, algorithm.openssl.encode(), None)
    context = library.make("EVP_CIPHER_CTX_new")
    key, iv = memory.keep(key_of(algorithm)), memory.keep(iv_of(algorithm))
    written = memory.keep(bytes(8))
    work.machine.run(
        [
            _call(library, "EVP_EncryptInit_ex", context, cipher, 0, key, iv),
            _call(library, "EVP_CIPHER_CTX_set_padding", context, 0),
        ]
    )
    source, target = memory.source + algorithm.aad, memory.target + algorithm.aad
    calls = [_call(library, "EVP_EncryptInit_ex", context, 0, 0, 0, iv)]
    if algorithm.aad:
        update = (context, 0, written, memory.source, AAD)
        calls.append(_call(library, "EVP_EncryptUpdate", *update))
    calls.append(_call(library, "EVP_EncryptUpdate", context, target, written, source, size))
    if algorithm.aad:
        get_tag = 0x10  # EVP_CTRL_AEAD_GET_TAG
        tag = (context, get_tag, TAG, target + size)
        calls.append(_call(library, "EVP_EncryptFinal_ex", context, target + size, written))
        calls.append(_call(library, "EVP_CIPHER_CTX_ctrl", *tag))
    return calls


def _openssl_file(work: Work, size: int) -> Message:
    length = work.input(size)
    arguments = (work.memory.file, work.memory.source, length, 0)
    read = Call("pread", _PREAD, arguments=arguments, expected=length)
    calls = [read, *_openssl(work, size)(0)]
    return lambda _: calls


_CIPHERS = ("skcipher", "aead")
WAYS = (
    Way("sendmsg", _sendmsg),
    Way("write", _write),
    Way(f"{PIECES} pieces", _pieces, least=16 * PIECES),
    Way("new socket", _new_socket, most=_BORN_WITH),
    Way("splice", _splice),
    Way("sendfile", _sendfile),
    Way("vmsplice", _vmsplice(0)),
    Way("vmsplice gift", _vmsplice(_GIFT)),
    Way(f"readv {BUFFERS}", _readv, _CIPHERS, least=16 * BUFFERS),
    Way("aio", _aio, _CIPHERS),
    Way("io_uring", _io_uring),
    Way("openssl", _openssl),
    Way("pread+openssl", _openssl_file),
)
