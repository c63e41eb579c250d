"""A thin wrapper of the AF_ALG socket calls, close to Documentation/crypto/userspace-if.rst.

A ``Transform`` is the bound socket (an algorithm and its key), a ``Request`` one accepted
from it. Calls raise ``OSError`` as the kernel reports it; only "the kernel does not offer
this" is told apart, as ``NotOffered``, because a test skips on it instead of failing.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from unavailable import Unavailable, restriction

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from typing import Self

# include/uapi/linux/if_alg.h
SOL_ALG = 279
ALG_SET_KEY = 1
ALG_SET_IV = 2
ALG_SET_OP = 3
ALG_SET_AEAD_ASSOCLEN = 4
ALG_SET_AEAD_AUTHSIZE = 5
ALG_SET_DRBG_ENTROPY = 6
ALG_SET_KEY_BY_KEY_SERIAL = 7
ALG_OP_DECRYPT = 0
ALG_OP_ENCRYPT = 1

MSG_DONTWAIT = socket.MSG_DONTWAIT
MSG_MORE = socket.MSG_MORE
MSG_TRUNC = socket.MSG_TRUNC

ENCRYPT = ALG_OP_ENCRYPT
DECRYPT = ALG_OP_DECRYPT

#: Type, data: one control message of level SOL_ALG.
ControlMessage = tuple[int, bytes]


class NotOffered(Unavailable):
    """The kernel does not offer an algorithm or an interface."""


def errno_name(error: OSError) -> str:
    """The symbolic name of an error: ``ENOENT``."""
    return errno.errorcode.get(error.errno or 0, str(error.errno))


def failed(call: str, error: OSError) -> Unavailable:
    """A call that is not about AF_ALG and that the kernel refused."""
    name = errno_name(error)
    return Unavailable(f"{call}: {name}", Reason(Cause.OTHER, name=call, errno=name))


def not_bound(
    kind: str, name: str, error: str, *, restrict: int | None = None, remark: str = ""
) -> NotOffered:
    """What a bind() that ended in ``error`` (``ENOENT``) says, at that af_alg_restrict."""
    reason = Reason(Cause.NOT_BOUND, kind, name, error, restrict)
    return NotOffered(f"bind {kind} {name!r}: {error}{remark}", reason)


def shorten(data: bytes, limit: int = 16) -> str:
    """Bytes as hex for a message, the middle left out when there are many."""
    if len(data) <= 2 * limit:
        return data.hex() or "(empty)"
    return f"{data[:limit].hex()}..{data[-4:].hex()} ({len(data)} bytes)"


def difference(expected: bytes, seen: bytes) -> str:
    """One line telling two byte strings apart: their lengths and the first difference."""
    if len(expected) != len(seen):
        return (
            f"expected {len(expected)} bytes {shorten(expected)}, "
            f"saw {len(seen)} bytes {shorten(seen)}"
        )
    at = next((i for i, (a, b) in enumerate(zip(expected, seen, strict=True)) if a != b), None)
    if at is None:
        return "no difference"
    return (
        f"first difference at byte {at} of {len(seen)}: "
        f"expected {expected[at : at + 16].hex()}, saw {seen[at : at + 16].hex()}"
    )


def op_message(op: int) -> ControlMessage:
    """Control message: encrypt or decrypt."""
    return ALG_SET_OP, struct.pack("=I", op)


def iv_message(iv: bytes) -> ControlMessage:
    """Control message: ``struct af_alg_iv``, the length and then the bytes."""
    return ALG_SET_IV, struct.pack("=I", len(iv)) + iv


def assoclen_message(length: int) -> ControlMessage:
    """Control message: how much of an AEAD's input is associated data."""
    return ALG_SET_AEAD_ASSOCLEN, struct.pack("=I", length)


def control_bytes(*messages: ControlMessage) -> bytes:
    """Control messages as sendmsg(2) takes them: ``struct cmsghdr`` and data, each aligned."""
    packed = b""
    for kind, data in messages:
        header = struct.pack("=QII", 16 + len(data), SOL_ALG, kind)
        packed += header + data + bytes(-len(data) % 8)
    return packed


class Request:
    """One request socket: input goes in by ``send`` or splice, output comes out by ``recv``."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def fileno(self) -> int:
        """The descriptor, as os.splice() and os.sendfile() want it."""
        return self.sock.fileno()

    def send(
        self,
        data: bytes = b"",
        *,
        op: int | None = None,
        iv: bytes | None = None,
        assoclen: int | None = None,
        more: bool = False,
        control: list[ControlMessage] | None = None,
        flags: int = 0,
    ) -> int:
        """sendmsg() with the control messages that are given, and MSG_MORE if ``more``."""
        messages = list(control or [])
        if op is not None:
            messages.append(op_message(op))
        if iv is not None:
            messages.append(iv_message(iv))
        if assoclen is not None:
            messages.append(assoclen_message(assoclen))
        return self.sock.sendmsg(
            [data] if data else [],
            [(SOL_ALG, kind, payload) for kind, payload in messages],
            flags | (MSG_MORE if more else 0),
        )

    def recv(self, length: int, flags: int = MSG_DONTWAIT) -> bytes:
        """recv() of the result.

        By default with MSG_DONTWAIT: the result of a complete request is computed inside
        the call all the same, and a kernel that sees an incomplete one says EAGAIN
        instead of hanging the guest (SO_RCVTIMEO has no effect on AF_ALG).
        """
        return self.sock.recv(length, flags)

    def recv_with_flags(self, length: int, flags: int = MSG_DONTWAIT) -> tuple[bytes, int]:
        """recvmsg(): the data, and the flags that the kernel set."""
        data, _, seen, _ = self.sock.recvmsg(length, 0, flags)
        return data, seen

    def accept(self) -> Request:
        """accept() on the request: a copy of a half-done hash."""
        return Request(self.sock.accept()[0])

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transform:
    """A socket bound to one algorithm, or one that is already; closes its requests with itself."""

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        feature: int = 0,
        mask: int = 0,
        bound: socket.socket | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self._requests: list[Request] = []
        if bound is not None:
            self.sock = bound
            return
        self.sock = open_socket()
        try:
            self.sock.bind((kind, name, feature, mask))
        except FileNotFoundError as error:
            self.sock.close()
            raise not_bound(kind, name, errno_name(error), restrict=restriction()) from error
        except OSError:
            self.sock.close()
            raise

    def set_key(self, key: bytes) -> None:
        """setsockopt(ALG_SET_KEY)."""
        self.sock.setsockopt(SOL_ALG, ALG_SET_KEY, key)

    def set_authsize(self, size: int) -> None:
        """setsockopt(ALG_SET_AEAD_AUTHSIZE): the size travels as optlen, without a value."""
        self.sock.setsockopt(SOL_ALG, ALG_SET_AEAD_AUTHSIZE, None, size)

    def request(self) -> Request:
        """accept() a new request socket."""
        request = Request(self.sock.accept()[0])
        self._requests.append(request)
        return request

    def close(self) -> None:
        """Close the request sockets and then the bound one."""
        for request in self._requests:
            request.close()
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def socket_address(
    name: bytes, kind: bytes = b"hash", feature: int = 0, mask: int = 0, family: int = socket.AF_ALG
) -> bytes:
    """``struct sockaddr_alg``, ending with the last byte of the name.

    Python's own bind() takes no name above 63 bytes; the kernel's are up to 127 long, and since
    3f69cc60768b (4.12) so are bind()'s. Drivers of nested templates have such names.
    """
    return struct.pack("=H14sII", family, kind, feature, mask) + name


def open_socket() -> socket.socket:
    """An unbound AF_ALG socket; opening one makes the kernel load ``af_alg``."""
    try:
        return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            reason = Reason(Cause.NO_SOCKET, errno="EAFNOSUPPORT", restrict=restriction())
            raise NotOffered("socket(AF_ALG): EAFNOSUPPORT", reason) from error
        raise
