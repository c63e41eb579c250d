"""Control messages of a request: af_alg_cmsg_send() and the head of af_alg_sendmsg().

A message that is malformed is EINVAL before anything is changed. An assoclen of 2^31 and
more is refused since e4c06479d705 (7.2, stable 6.12.91, 6.1.175); before, it is refused on
reading, there being less data than that.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pytest
from af_alg import DECRYPT, ENCRYPT, SOL_ALG
from samples import AAD, IV, NONCE, TEXT, cbc, encrypt, gcm, seal

if TYPE_CHECKING:
    from conftest import Bind


def header(length: int, kind: int, level: int = SOL_ALG) -> bytes:
    """``struct cmsghdr``."""
    return struct.pack("@Nii", length, level, kind)


def raw(kind: int, data: bytes, length: int | None = None, level: int = SOL_ALG) -> bytes:
    """A control message, padded, that says another length than it has if one is given."""
    whole = header(16 + len(data) if length is None else length, kind, level) + data
    return whole.ljust((len(whole) + 7) // 8 * 8, b"\0")


OP = raw(*af_alg.op_message(ENCRYPT))
VECTOR = raw(*af_alg.iv_message(IV))


def send_raw(request: af_alg.Request, control: bytes, text: bytes = TEXT) -> int:
    """sendmsg() with control bytes as they are."""
    buffer = ctypes.create_string_buffer(text, len(text))
    return libc.sendmsg(request.fileno(), [(ctypes.addressof(buffer), len(text))], control)


@pytest.mark.parametrize(
    "control",
    [
        OP + VECTOR,
        VECTOR + OP,
        raw(af_alg.ALG_SET_OP, struct.pack("=I", DECRYPT)) + VECTOR + OP,
        raw(*af_alg.iv_message(bytes(16))) + OP + VECTOR,
        raw(af_alg.ALG_SET_OP, struct.pack("=I", ENCRYPT) + b"more") + VECTOR,
        OP + raw(af_alg.ALG_SET_IV, af_alg.iv_message(IV)[1] + b"more"),
        raw(99, b"????", level=socket.SOL_SOCKET) + OP + VECTOR,
        raw(99, b"????", level=SOL_ALG + 1) + OP + VECTOR,
        OP + VECTOR + raw(af_alg.ALG_SET_AEAD_ASSOCLEN, bytes(4)),
        OP + VECTOR + bytes(8),
    ],
    ids=[
        "op_iv",
        "iv_op",
        "last_op_counts",
        "last_iv_counts",
        "long_op",
        "iv_and_more",
        "socket_level",
        "other_level",
        "assoclen_of_skcipher",
        "rest_below_a_header",
    ],
)
def test_accepted(control: bytes, bind: Bind) -> None:
    """Order, padding and messages of other levels do not matter; the last of a type counts."""
    transform = cbc(bind)
    request = transform.request()
    assert send_raw(request, control) == len(TEXT)
    expect.same(encrypt(transform, TEXT), request.recv(64), "encryption")


@pytest.mark.parametrize(
    "control",
    [
        *(raw(af_alg.ALG_SET_OP, bytes(n)) for n in (0, 3)),
        *(raw(af_alg.ALG_SET_IV, bytes(n)) for n in (0, 3)),
        raw(af_alg.ALG_SET_IV, struct.pack("=I", 16) + bytes(15)),
        raw(af_alg.ALG_SET_IV, struct.pack("=I", 0xFFFFFFFF) + bytes(16)),
        raw(af_alg.ALG_SET_IV, struct.pack("=I", 0xFFFFFFFC) + bytes(16)),
        raw(*af_alg.iv_message(b"")),
        *(raw(*af_alg.iv_message(bytes(n))) for n in (12, 15, 17, 32)),
        *(raw(af_alg.ALG_SET_AEAD_ASSOCLEN, bytes(n)) for n in (0, 3)),
        *(raw(*af_alg.op_message(op)) for op in (2, 3, 0x100, 0xFFFFFFFF)),
        *(raw(kind, bytes(8)) for kind in (0, 1, 5, 6, 7, 8, 99)),
        raw(af_alg.ALG_SET_OP, bytes(4), length=15),
        raw(af_alg.ALG_SET_OP, bytes(4), length=0),
        raw(af_alg.ALG_SET_OP, bytes(4), length=25),
        raw(99, bytes(4), length=25, level=socket.SOL_SOCKET),
        OP + VECTOR + raw(99, bytes(4)),
    ],
    ids=[
        "op_0",
        "op_3",
        "iv_0",
        "iv_3",
        "iv_cut",
        "iv_huge",
        "iv_wraps",
        "iv_empty",
        "iv_12",
        "iv_15",
        "iv_17",
        "iv_32",
        "assoclen_0",
        "assoclen_3",
        "operation_2",
        "operation_3",
        "operation_256",
        "operation_max",
        *(f"type_{kind}" for kind in (0, 1, 5, 6, 7, 8, 99)),
        "header_short",
        "header_0",
        "header_beyond",
        "other_level_beyond",
        "unknown_last",
    ],
)
def test_refused(control: bytes, bind: Bind) -> None:
    """A malformed control message is EINVAL; nothing of it, nor of its text, is kept."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:16], op=ENCRYPT, iv=IV, more=True)
    with expect.refused(errno.EINVAL, "malformed control message"):
        send_raw(request, control)
    request.send(TEXT[16:])
    expect.same(encrypt(transform, TEXT), request.recv(64), "the message that was under way")


@pytest.mark.parametrize("length", [1, 15])
def test_less_than_a_header(length: int, bind: Bind) -> None:
    """So few control bytes hold no message, and leave out all: decryption, an IV of zeroes."""
    transform = cbc(bind)
    with transform.request() as request, transform.request() as other:
        request.send(TEXT, op=ENCRYPT, iv=bytes(16))
        sealed = request.recv(64)
        assert send_raw(other, bytes(length), sealed) == len(TEXT)
        expect.same(TEXT, other.recv(64), f"decryption after {length} control bytes")


def test_assoclen(bind: Bind) -> None:
    """An assoclen above what is sent is EINVAL on reading, of 2^31 and more at once."""
    transform = gcm(bind)
    expected = AAD + seal(transform, TEXT, AAD)
    for length in (len(AAD) + len(TEXT) + 1, 0x7FFFFFFF):
        with transform.request() as request:
            request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=length)
            with expect.refused(errno.EINVAL, f"recv with an assoclen of {length:#x}"):
                request.recv(len(expected))
    refused_on = set()
    for length in (0x80000000, 0x80000001, 0xFFFFFFFF):
        with transform.request() as request:
            call = "send"
            with expect.refused(errno.EINVAL, f"an assoclen of {length:#x}, sent and read"):
                request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=length)
                call = "recv"  # before e4c06479d705
                request.recv(len(expected))
            refused_on.add(call)
    assert len(refused_on) == 1, "some assoclen of 2^31 and more are refused on send, some not"


def test_aead_iv_length(bind: Bind) -> None:
    """The IV has the length that the algorithm asks for, 12 bytes in GCM; else EINVAL."""
    transform = gcm(bind)
    request = transform.request()
    for length in (0, 11, 13, 16):
        with expect.refused(errno.EINVAL, f"IV of {length} bytes for gcm(aes)"):
            request.send(TEXT, op=ENCRYPT, iv=bytes(length))
    request.send(TEXT, op=ENCRYPT, iv=NONCE)
    expect.same(seal(transform, TEXT), request.recv(80), "encryption")


def test_algorithm_without_iv(bind: Bind) -> None:
    """ECB has no IV: one of no bytes is taken, any other is EINVAL."""
    transform = bind("skcipher", "ecb(aes)")
    transform.set_key(bytes(16))
    request = transform.request()
    request.send(bytes(16), op=ENCRYPT)
    expected = request.recv(16)
    with expect.refused(errno.EINVAL, "IV of 16 bytes for ecb(aes)"):
        request.send(bytes(16), op=ENCRYPT, iv=bytes(16))
    request.send(bytes(16), op=ENCRYPT, iv=b"")
    expect.same(expected, request.recv(16), "encryption")
    # FIPS 197 and NIST SP 800-38A agree on the zero block under the zero key.
    expect.same(bytes.fromhex("66e94bd4ef8a2c3b884cfa59ca342b2e"), expected, "ecb(aes)")


def test_what_a_message_leaves_out(bind: Bind) -> None:
    """IV and assoclen of AEADs: what a later message does not set, and what it resets."""
    transform = gcm(bind)
    with_aad, without = AAD + seal(transform, TEXT, AAD), seal(transform, AAD + TEXT)
    with transform.request() as request:
        request.send(AAD + TEXT, op=ENCRYPT, iv=bytes(12), assoclen=len(AAD))
        expect.same(AAD + seal(transform, TEXT, AAD, bytes(12)), request.recv(200), "zero IV")
        request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=len(AAD))
        expect.same(with_aad, request.recv(200), "all set")
        request.send(AAD + TEXT)
        expect.same(with_aad, request.recv(200), "nothing set: all as before")
        request.send(AAD + TEXT, op=ENCRYPT)
        expect.same(without, request.recv(200), "no assoclen beside others: none; IV as before")
        request.send(AAD + TEXT)
        expect.same(without, request.recv(200), "nothing set: still none")
        request.send(with_aad, iv=NONCE, assoclen=len(AAD))
        expect.same(AAD + TEXT, request.recv(200), "no operation beside others: decryption")
    with transform.request() as request:
        request.send(AAD + TEXT, op=ENCRYPT)
        fresh = seal(transform, AAD + TEXT, b"", bytes(12))
        expect.same(fresh, request.recv(200), "a fresh request: no assoclen, IV of zeroes")


def test_set_under_way(bind: Bind) -> None:
    """Control messages sent amid MSG_MORE replace those from the beginning."""
    transform = gcm(bind)
    with transform.request() as request:
        request.send(AAD[:7], op=DECRYPT, iv=bytes(12), assoclen=3, more=True)
        request.send(AAD[7:] + TEXT[:5], op=ENCRYPT, iv=NONCE, assoclen=len(AAD), more=True)
        request.send(TEXT[5:])
        expect.same(AAD + seal(transform, TEXT, AAD), request.recv(200), "encryption")
    with transform.request() as request:
        request.send(TEXT, op=DECRYPT, iv=bytes(12), more=True)
        request.send(op=ENCRYPT, iv=NONCE)
        expect.same(seal(transform, TEXT), request.recv(200), "set by an empty last part")


def test_many_control_messages(bind: Bind) -> None:
    """A train of a hundred control messages is read to its end."""
    transform = cbc(bind)
    request = transform.request()
    train = raw(*af_alg.op_message(DECRYPT)) * 100
    assert send_raw(request, train + OP + VECTOR) == len(TEXT)
    expect.same(encrypt(transform, TEXT), request.recv(64), "encryption")
