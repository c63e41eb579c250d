"""What the socket calls answer: net/socket semantics of crypto/af_alg.c and algif_*.c.

Only what holds from 6.1 to 7.3 is asserted. Each refusal is tried next to the same call
in a form that works, so that a missing algorithm cannot pass for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pages
import pytest
from af_alg import DECRYPT, ENCRYPT, SOL_ALG

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind

KEY = bytes(range(16))
IV = bytes(range(16, 32))
TEXT = bytes(range(64))


def sockaddr_alg(length: int) -> bytes:
    """``struct sockaddr_alg`` of sha256, the name padded or cut to a length in all."""
    return af_alg.socket_address(b"sha256").ljust(256, b"\0")[:length]


def cbc(bind: Bind) -> af_alg.Transform:
    """A keyed cbc(aes)."""
    transform = bind("skcipher", "cbc(aes)")
    transform.set_key(KEY)
    return transform


def gcm(bind: Bind) -> af_alg.Transform:
    """A keyed gcm(aes)."""
    transform = bind("aead", "gcm(aes)")
    transform.set_key(KEY)
    transform.set_authsize(16)
    return transform


def encrypt(transform: af_alg.Transform, text: bytes) -> bytes:
    """One cbc(aes) encryption by a request of its own."""
    with transform.request() as request:
        request.send(text, op=ENCRYPT, iv=IV)
        return request.recv(len(text))


# socket() and bind()


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_socket_type(kind: str, bind: Bind) -> None:
    """AF_ALG is SOCK_SEQPACKET only."""
    bind("hash", "sha256")
    with expect.refused(errno.ESOCKTNOSUPPORT, f"socket(AF_ALG, {kind})"):
        socket.socket(socket.AF_ALG, getattr(socket, kind), 0)


def test_socket_protocol(bind: Bind) -> None:
    """AF_ALG has protocol 0 only."""
    bind("hash", "sha256")
    with expect.refused(errno.EPROTONOSUPPORT, "socket(AF_ALG) with protocol 1"):
        socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 1)


@pytest.mark.parametrize(
    "address", [("hash", "afalg-no-such-name"), ("no-such-type", "sha256")], ids=["name", "type"]
)
def test_bind_unknown(address: tuple[str, str], bind: Bind) -> None:
    """An unknown type or name is ENOENT, and the socket can still be bound to a known one."""
    bind("hash", "sha256")
    with af_alg.open_socket() as sock:
        with expect.refused(errno.ENOENT, f"bind to {address}"):
            sock.bind(address)
        sock.bind(("hash", "sha256"))


def test_bind_address_length(bind: Bind) -> None:
    """The address is a whole sockaddr_alg, or longer for a longer name; a cut one is EINVAL."""
    bind("hash", "sha256")
    for length in (88, 128):
        with af_alg.open_socket() as sock:
            libc.bind(sock.fileno(), sockaddr_alg(length))
    for length in (24, 129):
        with (
            af_alg.open_socket() as sock,
            expect.refused(errno.EINVAL, f"bind with an address of {length} bytes"),
        ):
            libc.bind(sock.fileno(), sockaddr_alg(length))


def test_bind_feature_bits(bind: Bind) -> None:
    """Feature and mask bits that are not CRYPTO_ALG_KERN_DRIVER_ONLY are EINVAL."""
    bind("hash", "sha256")
    for feature, mask in ((0x1, 0), (0, 0x1), (0x2000, 0x2000)):
        with (
            af_alg.open_socket() as sock,
            expect.refused(errno.EINVAL, f"bind with feature {feature:#x}, mask {mask:#x}"),
        ):
            sock.bind(("hash", "sha256", feature, mask))


def test_bind_with_open_request(bind: Bind) -> None:
    """A socket with an open request cannot be bound anew; without one it can."""
    transform = bind("hash", "sha256")
    with transform.request(), expect.refused(errno.EBUSY, "bind with an open request"):
        transform.sock.bind(("hash", "sha1"))
    transform.sock.bind(("hash", "sha256"))


def test_bind_request(bind: Bind) -> None:
    """A request socket cannot be bound."""
    request = bind("hash", "sha256").request()
    with expect.refused(errno.EOPNOTSUPP, "bind of a request socket"):
        request.sock.bind(("hash", "sha256"))


# setsockopt()


@pytest.mark.parametrize("length", [0, 1, 15, 17, 31, 33])
def test_key_length(length: int, bind: Bind) -> None:
    """An AES key is 16, 24 or 32 bytes long; any other is EINVAL and leaves the key in use."""
    transform = cbc(bind)
    before = encrypt(transform, TEXT)
    with expect.refused(errno.EINVAL, f"key of {length} bytes for cbc(aes)"):
        transform.set_key(bytes(length))
    transform.set_key(KEY)
    expect.same(before, encrypt(transform, TEXT), "encryption after a refused key")


def test_key_of_keyless_hash(bind: Bind) -> None:
    """A hash that takes no key says ENOSYS; a keyed one takes it."""
    bind("hash", "hmac(sha256)").set_key(KEY)
    with expect.refused(errno.ENOSYS, "key for sha256"):
        bind("hash", "sha256").set_key(KEY)


def test_key_with_open_request(bind: Bind) -> None:
    """The key cannot be changed under an open request of a keyed socket."""
    transform = cbc(bind)
    with transform.request(), expect.refused(errno.EBUSY, "key with an open request"):
        transform.set_key(KEY)
    transform.set_key(KEY)


def test_option_unknown(bind: Bind) -> None:
    """Unknown options, and any option of an unbound socket, are ENOPROTOOPT."""
    transform = cbc(bind)
    with expect.refused(errno.ENOPROTOOPT, "option 99"):
        transform.sock.setsockopt(SOL_ALG, 99, b"")
    with (
        af_alg.open_socket() as sock,
        expect.refused(errno.ENOPROTOOPT, "key of an unbound socket"),
    ):
        sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY, KEY)


def test_option_of_request(bind: Bind) -> None:
    """The key belongs to the bound socket: a request has no options."""
    request = cbc(bind).request()
    with expect.refused(errno.EOPNOTSUPP, "key of a request socket"):
        request.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY, KEY)


@pytest.mark.parametrize("size", [0, 3, 17])
def test_authsize(size: int, bind: Bind) -> None:
    """GCM tags have 4, 8 or 12 to 16 bytes; other sizes are EINVAL."""
    transform = gcm(bind)
    with expect.refused(errno.EINVAL, f"tag of {size} bytes for gcm(aes)"):
        transform.set_authsize(size)
    for legal in (4, 8, 12, 16):
        transform.set_authsize(legal)


# accept(), and the calls that the bound socket does not have


def test_accept_unbound(bind: Bind) -> None:
    """Only a bound socket has requests."""
    bind("hash", "sha256").request()
    with af_alg.open_socket() as sock, expect.refused(errno.EINVAL, "accept on an unbound socket"):
        sock.accept()


def test_accept_with_address(bind: Bind) -> None:
    """A request has no address: asking for it is ECONNABORTED."""
    transform = bind("hash", "sha256")
    transform.request()
    with expect.refused(errno.ECONNABORTED, "accept with an address buffer"):
        libc.accept_with_address(transform.sock.fileno())


def test_accept_on_request(bind: Bind) -> None:
    """A half-done cipher request cannot be cloned."""
    request = cbc(bind).request()
    with expect.refused(errno.EOPNOTSUPP, "accept on an skcipher request"):
        request.accept()


@pytest.mark.parametrize("kind, name", [("skcipher", "cbc(aes)"), ("hash", "hmac(sha256)")])
def test_request_without_key(kind: str, name: str, bind: Bind) -> None:
    """A request accepted before its parent has a key says ENOKEY, and works once it has."""
    transform = bind(kind, name)
    request = transform.request()
    with expect.refused(errno.ENOKEY, f"send to {name} without a key"):
        request.send(TEXT, op=ENCRYPT if kind == "skcipher" else None)
    with expect.refused(errno.ENOKEY, f"recv from {name} without a key"):
        request.recv(64)
    transform.set_key(KEY)
    if kind == "skcipher":
        request.send(TEXT, op=ENCRYPT, iv=IV)
    else:
        request.send(TEXT)
    assert len(request.recv(64)) in (32, 64)


def test_bound_socket_moves_no_data(bind: Bind) -> None:
    """Data goes through requests: the bound socket itself has no send, recv or listen."""
    transform = cbc(bind)
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: transform.sock.send(TEXT),
        "recv": lambda: transform.sock.recv(16),
        "listen": lambda: transform.sock.listen(1),
        "getsockname": transform.sock.getsockname,
    }
    for name, call in calls.items():
        with expect.refused(errno.EOPNOTSUPP, f"{name} of the bound socket"):
            call()


# Control messages


@pytest.mark.parametrize(
    "what, message",
    [
        ("an unknown type", (99, bytes(4))),
        ("operation 2", (af_alg.ALG_SET_OP, struct.pack("=I", 2))),
        ("an operation cut short", (af_alg.ALG_SET_OP, b"\0\0")),
        ("an IV of 15 bytes", af_alg.iv_message(bytes(15))),
        ("an IV of 17 bytes", af_alg.iv_message(bytes(17))),
        ("an IV shorter than it says", (af_alg.ALG_SET_IV, struct.pack("=I", 16) + bytes(8))),
    ],
    ids=["type", "op", "short_op", "short_iv", "long_iv", "cut_iv"],
)
def test_control_message(what: str, message: af_alg.ControlMessage, bind: Bind) -> None:
    """A malformed control message is EINVAL, and the request is as good as new after it."""
    transform = cbc(bind)
    request = transform.request()
    with expect.refused(errno.EINVAL, f"control message with {what}"):
        request.send(TEXT, control=[message])
    request.send(TEXT, op=ENCRYPT, iv=IV)
    expect.same(encrypt(transform, TEXT), request.recv(len(TEXT)), "encryption afterwards")


def test_decrypts_by_default(bind: Bind) -> None:
    """A request that is told no operation decrypts."""
    transform = cbc(bind)
    request = transform.request()
    request.send(encrypt(transform, TEXT), iv=IV)
    expect.same(TEXT, request.recv(len(TEXT)), "decryption without ALG_SET_OP")


# skcipher requests


def test_skcipher_read_before_write(bind: Bind) -> None:
    """Nothing has been sent: recv is EAGAIN with MSG_DONTWAIT, and of 0 bytes it is empty."""
    request = cbc(bind).request()
    with expect.refused(errno.EAGAIN, "recv before send"):
        request.recv(16)
    assert request.recv(0) == b""


def test_skcipher_second_write(bind: Bind) -> None:
    """A message that was ended must be read before the next: EINVAL, and nothing is lost."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT, op=ENCRYPT, iv=IV)
    with expect.refused(errno.EINVAL, "second message before the first is read"):
        request.send(TEXT, op=ENCRYPT, iv=IV)
    expect.same(encrypt(transform, TEXT), request.recv(len(TEXT)), "the first message")


def test_skcipher_partial_block(bind: Bind) -> None:
    """A text that ends within a block is EINVAL on reading, and the socket stays usable."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:15], op=ENCRYPT, iv=IV)
    with expect.refused(errno.EINVAL, "recv of a text of 15 bytes"):
        request.recv(16)
    request.send(TEXT, op=ENCRYPT, iv=IV)
    expect.same(encrypt(transform, TEXT), request.recv(len(TEXT)), "encryption afterwards")


def test_skcipher_reads_in_blocks(bind: Bind) -> None:
    """A result read block by block is chained as if it were read at once."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT, op=ENCRYPT, iv=IV)
    seen = b"".join(request.recv(16) for _ in range(len(TEXT) // 16))
    expect.same(encrypt(transform, TEXT), seen, "encryption read in blocks")


def test_skcipher_continues_the_chain(bind: Bind) -> None:
    """Under MSG_MORE a stream may be read while it is written; the IV is carried on."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:32], op=ENCRYPT, iv=IV, more=True)
    seen = request.recv(32)
    request.send(TEXT[32:])
    seen += request.recv(32)
    expect.same(encrypt(transform, TEXT), seen, "encryption of a stream")


def test_skcipher_messages_are_independent(bind: Bind) -> None:
    """A new message with its own operation and IV owes nothing to the one before."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT, op=ENCRYPT, iv=bytes(16))
    other = request.recv(len(TEXT))
    request.send(TEXT, op=ENCRYPT, iv=IV)
    expect.same(encrypt(transform, TEXT), request.recv(len(TEXT)), "the second message")
    request.send(other, op=DECRYPT, iv=bytes(16))
    expect.same(TEXT, request.recv(len(TEXT)), "decryption of the first message")


# AEAD requests


def test_aead_shorter_than_its_aad(bind: Bind) -> None:
    """Less data than ALG_SET_AEAD_ASSOCLEN promised is EINVAL on reading."""
    transform = gcm(bind)
    with transform.request() as request:
        request.send(bytes(32), op=ENCRYPT, iv=bytes(12), assoclen=32)
        assert len(request.recv(48)) == 48
    with transform.request() as request:
        request.send(bytes(31), op=ENCRYPT, iv=bytes(12), assoclen=32)
        with expect.refused(errno.EINVAL, "31 bytes sent with 32 of associated data announced"):
            request.recv(48)


def test_aead_shorter_than_its_tag(bind: Bind) -> None:
    """A ciphertext that is shorter than the tag is EINVAL on reading; a bare tag is legal."""
    transform = gcm(bind)
    with transform.request() as request:
        request.send(b"", op=ENCRYPT, iv=bytes(12), assoclen=0)
        tag = request.recv(16)
    with transform.request() as request:
        request.send(tag, op=DECRYPT, iv=bytes(12), assoclen=0)
        assert request.recv(16) == b""
    with transform.request() as request:
        request.send(tag[:-1], op=DECRYPT, iv=bytes(12), assoclen=0)
        with expect.refused(errno.EINVAL, "a tag of 15 bytes"):
            request.recv(16)


# hash requests


def test_hash_read_before_write(bind: Bind) -> None:
    """recv without send gives the digest of nothing."""
    request = bind("hash", "sha256").request()
    expect.same(hashlib.sha256().digest(), request.recv(32), "digest of nothing")


def test_hash_short_read(bind: Bind) -> None:
    """A digest read into too small a buffer is cut, MSG_TRUNC says so, the rest is dropped."""
    request = bind("hash", "sha256").request()
    whole = hashlib.sha256(TEXT).digest()
    request.send(TEXT)
    data, flags = request.recv_with_flags(32)
    expect.same(whole, data, "digest")
    assert not flags & af_alg.MSG_TRUNC, f"MSG_TRUNC on a whole digest: flags {flags:#x}"
    request.send(TEXT)
    data, flags = request.recv_with_flags(8)
    expect.same(whole[:8], data, "digest cut to 8 bytes")
    assert flags & af_alg.MSG_TRUNC, f"no MSG_TRUNC on a cut digest: flags {flags:#x}"
    request.send(b"abc")
    expect.same(hashlib.sha256(b"abc").digest(), request.recv(32), "the next digest")


def test_hash_read_amid_more(bind: Bind) -> None:
    """recv in the middle of a message ends it."""
    request = bind("hash", "sha256").request()
    request.send(TEXT, more=True)
    expect.same(hashlib.sha256(TEXT).digest(), request.recv(32), "digest amid MSG_MORE")
    request.send(b"abc")
    expect.same(hashlib.sha256(b"abc").digest(), request.recv(32), "the next digest")


def test_hash_clone(bind: Bind) -> None:
    """accept() on a half-done hash makes a copy that goes its own way."""
    request = bind("hash", "sha256").request()
    request.send(b"common", more=True)
    with request.accept() as clone:
        clone.send(b"clone")
        request.send(b"original")
        expect.same(hashlib.sha256(b"commonclone").digest(), clone.recv(32), "the clone")
        expect.same(hashlib.sha256(b"commonoriginal").digest(), request.recv(32), "the original")


# splice() and sendfile() have gone on working, by copy: ffdd2bc37895


@pytest.mark.parametrize("path", ["splice", "sendfile"])
@pytest.mark.parametrize("kind", ["hash", "skcipher"])
def test_file_into_request(kind: str, path: str, bind: Bind) -> None:
    """A file of three pages, spliced or sent by sendfile, gives what its contents give."""
    contents = os.urandom(3 * pages.PAGE)
    if kind == "hash":
        request = bind("hash", "sha256").request()
        expected = hashlib.sha256(contents).digest()
    else:
        transform = cbc(bind)
        expected = encrypt(transform, contents)
        request = transform.request()
        request.send(op=ENCRYPT, iv=IV, more=True)
    with pages.scratch_memfd(contents) as descriptor, pages.pipe() as (read_end, write_end):
        if path == "sendfile":
            moved = os.sendfile(request.fileno(), descriptor, 0, len(contents))
        else:
            assert os.splice(descriptor, write_end, len(contents), offset_src=0) == len(contents)
            moved = os.splice(read_end, request.fileno(), len(contents))
    assert moved == len(contents), f"expected {len(contents)} bytes taken, saw {moved}"
    expect.same(expected, request.recv(len(expected)), f"{kind} of a file by {path}")


# rng requests


def test_rng(bind: Bind) -> None:
    """One read gives at most 128 random bytes, and two reads differ."""
    transform = bind("rng", "stdrng")
    transform.set_key(bytes(48))
    request = transform.request()
    first, second = request.recv(300), request.recv(300)
    assert 0 < len(first) <= 128, f"expected 1 to 128 bytes, saw {len(first)}"
    assert first != second, f"the same {len(first)} bytes twice: {af_alg.shorten(first)}"
