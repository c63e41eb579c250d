"""AEAD requests: how input and output are cut, _aead_recvmsg() of crypto/algif_aead.c.

The output is the associated data, then the text and, when encrypting, the tag. A buffer
that is too small for it does not cut the output: it shortens the *input* by as much, so
that a shorter message is encrypted, contrary to the documentation; the input left over
is the next message.
"""

from __future__ import annotations

import errno
import fcntl
import socket
from typing import TYPE_CHECKING

import af_alg
import blocking
import expect
import libc
import pytest
import resources
from af_alg import DECRYPT, ENCRYPT
from pages import PAGE
from samples import AAD, NONCE, TAG, TEXT, gcm, pattern, seal
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import Bind

SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
#: The default of net.core.optmem_max since 6.7 (f5769faeec36), before 20480: a list of 16
#: pages of output, or of 16 pieces, takes some 700 bytes of it.
OPTION_MEMORY = 131072


def send_pieces(
    request: af_alg.Request, pieces: Iterable[bytes], *, op: int, assoclen: int
) -> None:
    """Send a message in pieces; the first carries the control messages."""
    pieces = list(pieces)
    for i, piece in enumerate(pieces):
        first = {"op": op, "iv": NONCE, "assoclen": assoclen} if i == 0 else {}
        request.send(piece, more=i < len(pieces) - 1, **first)  # type: ignore[arg-type]


@pytest.mark.parametrize("op", [ENCRYPT, DECRYPT], ids=["encrypt", "decrypt"])
def test_every_split(op: int, bind: Bind) -> None:
    """A small message cut in two or three anywhere, empty pieces too, gives the same."""
    transform = gcm(bind)
    aad, text = AAD[:5], TEXT[:6]
    sealed = aad + seal(transform, text, aad)
    whole, expected = (aad + text, sealed) if op == ENCRYPT else (sealed, aad + text)
    end = len(whole)
    request = transform.request()
    cuts = [(a, b) for a in range(end + 1) for b in range(a, end + 1) if b < 14 or a in (0, 5, 11)]
    for a, b in cuts:
        pieces = (whole[:a], whole[a:b], whole[b:])
        send_pieces(request, pieces, op=op, assoclen=len(aad))
        expect.same(expected, request.recv(64), f"message cut at {a} and {b}")


def test_byte_by_byte(bind: Bind) -> None:
    """A message sent one byte at a time, ended by an empty send, gives the same."""
    transform = gcm(bind)
    with transform.request() as request:
        pieces = [bytes([byte]) for byte in AAD + TEXT] + [b""]
        send_pieces(request, pieces, op=ENCRYPT, assoclen=len(AAD))
        expect.same(AAD + seal(transform, TEXT, AAD), request.recv(200), "encryption")


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 33, 255, 4095, 4096, 4097])
def test_length(length: int, bind: Bind) -> None:
    """Text of any length, with and without associated data, comes back from decryption."""
    transform = gcm(bind)
    text = pattern(length)
    with transform.request() as request:
        for aad in (b"", AAD[:1], AAD, pattern(4100)):
            request.send(aad + text, op=ENCRYPT, iv=NONCE, assoclen=len(aad))
            sealed = request.recv(len(aad) + length + TAG)
            assert len(sealed) == len(aad) + length + TAG
            expect.same(aad, sealed[: len(aad)], "associated data in the output")
            request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=len(aad))
            expect.same(aad + text, request.recv(len(sealed)), "decryption")


def test_empty_message(bind: Bind) -> None:
    """No text and no associated data: the tag alone, as GCM's specification gives it."""
    transform = gcm(bind, bytes(16))
    # McGrew and Viega, "The Galois/Counter Mode of Operation", test case 1
    tag = bytes.fromhex("58e2fccefa7e3061367f1d57a4e7455a")
    with transform.request() as request:
        request.send(op=ENCRYPT, iv=bytes(12))
        expect.same(tag, request.recv(16), "tag of the empty message")
        request.send(tag, op=DECRYPT, iv=bytes(12))
        assert request.recv(16) == b""
        request.send(tag[:-1] + b"\0", op=DECRYPT, iv=bytes(12))
        with expect.refused(errno.EBADMSG, "a false tag of the empty message"):
            request.recv(16)


def test_associated_data_alone(bind: Bind) -> None:
    """Associated data without text is authenticated."""
    transform = gcm(bind)
    with transform.request() as request:
        request.send(AAD, op=ENCRYPT, iv=NONCE, assoclen=len(AAD))
        sealed = request.recv(32)
        expect.same(AAD, sealed[:16], "associated data")
        assert sealed[16:] != seal(transform, b""), "the tag does not cover associated data"
        request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=len(AAD))
        expect.same(AAD, request.recv(32), "decryption")
        request.send(AAD[::-1] + sealed[16:], op=DECRYPT, iv=NONCE, assoclen=len(AAD))
        with expect.refused(errno.EBADMSG, "other associated data"):
            request.recv(32)


def test_each_part_is_authenticated(bind: Bind) -> None:
    """A changed bit anywhere, in the IV too, is EBADMSG; the request works on after it."""
    transform = gcm(bind)
    sealed = AAD + seal(transform, TEXT, AAD)
    with transform.request() as request:
        for at in (0, 15, 16, 79, 80, 95):
            forged = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
            request.send(forged, op=DECRYPT, iv=NONCE, assoclen=16)
            with expect.refused(errno.EBADMSG, f"bit flipped in byte {at}"):
                request.recv(80)
        for what, iv, assoclen in (
            ("IV", NONCE[:-1] + b"x", 16),
            ("IV", b"x" + NONCE[1:], 16),
            ("assoclen", NONCE, 15),
        ):
            request.send(sealed, op=DECRYPT, iv=iv, assoclen=assoclen)
            with expect.refused(errno.EBADMSG, f"another {what}"):
                request.recv(80)
        request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=16)
        expect.same(AAD + TEXT, request.recv(80), "decryption after forgeries")


# Data that is missing


def test_less_than_associated_data(bind: Bind) -> None:
    """With less data than assoclen every recv is EINVAL, and so is every send after it."""
    transform = gcm(bind)
    with transform.request() as request:
        request.send(AAD[:15], op=ENCRYPT, iv=NONCE, assoclen=16)
        for _ in range(2):
            with expect.refused(errno.EINVAL, "recv of 15 bytes with an assoclen of 16"):
                request.recv(64)
            with expect.refused(errno.EINVAL, "send after it"):
                request.send(AAD, op=ENCRYPT, iv=NONCE, assoclen=16)
    with transform.request() as request:
        request.send(AAD[:15], op=ENCRYPT, iv=NONCE, assoclen=15)
        assert len(request.recv(64)) == 15 + TAG


@pytest.mark.parametrize("size", [4, 16])
def test_less_than_a_tag(size: int, bind: Bind) -> None:
    """Decryption needs associated data and a whole tag: one byte less is EINVAL."""
    transform = gcm(bind)
    transform.set_authsize(size)
    for aad in (b"", AAD):
        tag = seal(transform, b"", aad, tag=size)
        with transform.request() as request:
            request.send(aad + tag, op=DECRYPT, iv=NONCE, assoclen=len(aad))
            expect.same(aad, request.recv(64), "decryption of a bare tag")
            request.send((aad + tag)[:-1], op=DECRYPT, iv=NONCE, assoclen=len(aad))
            with expect.refused(errno.EINVAL, "a tag that lacks a byte"):
                request.recv(64)
        with transform.request() as request:
            request.send(aad, op=ENCRYPT, iv=NONCE, assoclen=len(aad))
            assert len(request.recv(64)) == len(aad) + size, "encryption needs no tag"


def test_incomplete_message(bind: Bind) -> None:
    """Amid MSG_MORE there is nothing to read, however much was sent: EAGAIN."""
    transform = gcm(bind)
    with transform.request() as request:
        with expect.refused(errno.EAGAIN, "recv before send"):
            request.recv(64)
        request.send(AAD + TEXT[:32], op=ENCRYPT, iv=NONCE, assoclen=16, more=True)
        with expect.refused(errno.EAGAIN, "recv amid MSG_MORE"):
            request.recv(64)
        request.send(TEXT[32:])
        expect.same(AAD + seal(transform, TEXT, AAD), request.recv(200), "encryption")
        with expect.refused(errno.EAGAIN, "recv of what was read"):
            request.recv(64)


def test_second_message(bind: Bind) -> None:
    """A complete message must be read before the next, unless it was empty: else EINVAL."""
    transform = gcm(bind)
    expected = seal(transform, TEXT)
    with transform.request() as request:
        request.send(TEXT, op=ENCRYPT, iv=NONCE)
        for more in (False, True):
            with expect.refused(errno.EINVAL, "second message"):
                request.send(TEXT[::-1], op=DECRYPT, iv=bytes(12), assoclen=5, more=more)
            with expect.refused(errno.EINVAL, "second, empty message"):
                request.send(op=DECRYPT, iv=bytes(12), more=more)
        expect.same(expected, request.recv(200), "the first message")
        request.send(op=DECRYPT, iv=bytes(12))
        request.send(TEXT, op=ENCRYPT, iv=NONCE)
        expect.same(expected, request.recv(200), "a message after an empty one")


# Output that does not fit


def test_short_buffer_encrypt(bind: Bind) -> None:
    """A short buffer encrypts as much text as leaves room for the tag; the rest is next."""
    transform = gcm(bind)
    with transform.request() as request:
        for first in (0, 1, 16, 33, 63):
            request.send(TEXT, op=ENCRYPT, iv=NONCE, assoclen=0)
            seen = request.recv(first + TAG)
            expect.same(seal(transform, TEXT[:first]), seen, f"the first {first} bytes")
            expect.same(seal(transform, TEXT[first:]), request.recv(200), "the others")
        with expect.refused(errno.EAGAIN, "recv of what was read"):
            request.recv(64)


def test_short_buffer_with_associated_data(bind: Bind) -> None:
    """A buffer with room for associated data and tag, but not for all the text."""
    transform = gcm(bind)
    expected = AAD + seal(transform, TEXT, AAD)
    for room in (0, 4, 63):
        with transform.request() as request:
            request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=16)
            seen = request.recv(16 + room + TAG)
            expect.same(AAD + seal(transform, TEXT[:room], AAD), seen, f"room for {room} bytes")
    with transform.request() as request:
        request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=16)
        for length in (1, 15, 16, 17, 31):
            with expect.refused(errno.EINVAL, f"recv of {length} bytes, less than AAD and tag"):
                request.recv(length)
        expect.same(expected, request.recv(96), "after refusals, nothing lost")


def test_short_buffer_decrypt(bind: Bind) -> None:
    """A short buffer for decryption cuts the input too, so that the tag is false."""
    transform = gcm(bind)
    sealed = AAD + seal(transform, TEXT, AAD)
    for length in (79, 64, 16):
        with transform.request() as request:
            request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=16)
            with expect.refused(errno.EBADMSG, f"decryption into {length} of 80 bytes"):
                request.recv(length)
    with transform.request() as request:
        request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=16)
        expect.same(AAD + TEXT, request.recv(80), "decryption into 80 bytes")


@pytest.mark.may_crash
def test_short_buffer_below_associated_data(bind: Bind) -> None:
    """Decryption into less than the associated data is EINVAL, and nothing is lost.

    Before 3d14bd48e3a7 (CVE-2026-43077; 7.0, 6.12.83, 6.1.170) the associated data was
    written past the buffer's scatterlist. It came with the limit of CVE-2026-31677, which
    can be observed safely.
    """
    transform = gcm(bind)
    if not receive_list_is_limited(bind):
        skip(
            "recv(8) of 32 bytes is not EINVAL: not fixed, it may crash the kernel",
            Reason(Cause.NOT_FIXED, name="3d14bd48e3a7"),
        )
    sealed = AAD + seal(transform, TEXT, AAD)
    with transform.request() as request:
        request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=16)
        for length in (1, 8, 15):
            with expect.refused(errno.EINVAL, f"decryption into {length} bytes"):
                request.recv(length)
        expect.same(AAD + TEXT, request.recv(80), "decryption into 80 bytes")


def test_long_buffer(bind: Bind) -> None:
    """A buffer above the output is filled as far as there is output; recv(0) is 0."""
    transform = gcm(bind)
    with transform.request() as request:
        request.send(TEXT, op=ENCRYPT, iv=NONCE)
        assert request.recv(0) == b""
        expect.same(seal(transform, TEXT), request.recv(PAGE * 2), "encryption")


def test_unreadable_buffers(bind: Bind) -> None:
    """EFAULT, of input or of output, leaves the message as it was."""
    transform = gcm(bind)
    expected = AAD + seal(transform, TEXT, AAD)
    with transform.request() as request:
        request.send(AAD[:7], op=ENCRYPT, iv=NONCE, assoclen=16, more=True)
        with expect.refused(errno.EFAULT, "send of text at 1"):
            libc.sendmsg(request.fileno(), [(1, 32)])
        request.send(AAD[7:] + TEXT)
        for _ in range(3):
            with expect.refused(errno.EFAULT, "recv to 1"):
                libc.recvmsg(request.fileno(), [(1, 200)], socket.MSG_DONTWAIT)
        expect.same(expected, request.recv(200), "encryption")


# Two messages in one recv


def test_recv_goes_on_to_the_next_message(bind: Bind) -> None:
    """A blocking recv with room left waits for the next message, and returns both."""
    transform = gcm(bind)
    first, second = seal(transform, TEXT), seal(transform, TEXT[::-1])
    with transform.request() as request:
        request.send(TEXT, op=ENCRYPT, iv=NONCE)
        with blocking.Blocking(lambda: libc.recv(request.fileno(), 160)) as reader:
            reader.asleep()
            request.send(TEXT[::-1])
            expect.same(first + second, reader.result(), "two messages")


def test_forgery_in_the_second_message(bind: Bind) -> None:
    """A forged second message makes the whole recv EBADMSG, the first notwithstanding."""
    transform = gcm(bind)
    sealed = seal(transform, TEXT)
    with transform.request() as request:
        request.send(sealed, op=DECRYPT, iv=NONCE)
        with blocking.Blocking(lambda: libc.recv(request.fileno(), 128)) as reader:
            reader.asleep()
            request.send(sealed[:-1] + bytes([sealed[-1] ^ 1]))
            with expect.refused(errno.EBADMSG, "recv of a genuine and a forged message"):
                reader.result()
        request.send(sealed)
        expect.same(TEXT, request.recv(64), "decryption afterwards")


def test_short_second_message(bind: Bind) -> None:
    """Any other error in the second message leaves the first one's output."""
    transform = gcm(bind)
    sealed = seal(transform, TEXT)
    with transform.request() as request:
        request.send(sealed, op=DECRYPT, iv=NONCE)
        with blocking.Blocking(lambda: libc.recv(request.fileno(), 128)) as reader:
            reader.asleep()
            request.send(sealed[:15])
            expect.same(TEXT, reader.result(), "the first message")


# Many pages


def test_many_pages(bind: Bind) -> None:
    """Above 16 pages of output, unaligned, and 126 of input: scatterlists are chained."""
    offset = PAGE - 1
    transform = gcm(bind)
    text, aad = pattern(130 * PAGE + 13), pattern(3 * PAGE + 5)
    total = len(aad) + len(text) + TAG
    with resources.option_memory(OPTION_MEMORY), transform.request() as request:
        for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
            request.sock.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        request.send(aad + text, op=ENCRYPT, iv=NONCE, assoclen=len(aad))
        buffer = bytearray(offset + total + 1)
        room = memoryview(buffer)[offset:]
        assert request.sock.recv_into(room, total, socket.MSG_DONTWAIT) == total
        expect.same(bytes(offset), bytes(buffer[:offset]), "what is before the buffer")
        assert buffer[-1] == 0, "written past the buffer"
        sealed = bytes(room[:total])
        expect.same(aad, sealed[: len(aad)], "associated data")
        # A second cut of the same message, by a request of another layout.
        cut = 70 * PAGE + 1
        send_pieces(request, (sealed[:cut], sealed[cut:]), op=DECRYPT, assoclen=len(aad))
        vector = [bytearray(n) for n in (1, 100, 4096, 5000, 3, *([17 * PAGE] * 9))]
        got, *_ = request.sock.recvmsg_into(vector, 0, socket.MSG_DONTWAIT)
        assert got == total - TAG
        expect.same(aad + text, b"".join(vector)[:got], "decryption into many buffers")


def test_many_small_buffers(bind: Bind) -> None:
    """Output into 100 buffers of a few bytes each is the same."""
    transform = gcm(bind)
    text = pattern(700)
    with resources.option_memory(OPTION_MEMORY), transform.request() as request:
        request.send(AAD + text, op=ENCRYPT, iv=NONCE, assoclen=16)
        vector = [bytearray(i % 16 + 1) for i in range(100)]
        got, *_ = request.sock.recvmsg_into(vector, 0, socket.MSG_DONTWAIT)
        expect.same(
            AAD + seal(transform, text, AAD), b"".join(vector)[:got], "output in many buffers"
        )


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "nonblocking"])
def test_receive_buffer_limits_a_message(blocking: bool, bind: Bind) -> None:
    """Output above SO_RCVBUF comes as several messages, each as long as the buffer, in one recv.

    Kernels that do not limit the list (CVE-2026-31677) return one message.
    """
    transform = gcm(bind)
    text = pattern(3 * PAGE)
    with transform.request() as request:
        request.sock.setblocking(blocking)
        request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        limit = max(request.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), PAGE)
        limit -= limit % PAGE + TAG
        request.send(text[:limit], op=ENCRYPT, iv=NONCE)
        expect.same(seal(transform, text[:limit]), request.recv(4 * PAGE), "what fits")
        request.send(text, op=ENCRYPT, iv=NONCE)
        seen = request.recv(4 * PAGE)
    if receive_list_is_limited(bind):
        parts = (text[at : at + limit] for at in range(0, len(text), limit))
        expect.same(b"".join(seal(transform, part) for part in parts), seen, "several messages")
    else:
        expect.same(seal(transform, text), seen, "one message")


def receive_list_is_limited(bind: Bind) -> bool:
    """Whether CVE-2026-31677 is fixed: recv(8) of 32 bytes of cbc(aes) was 0, and is EINVAL."""
    cipher = bind("skcipher", "cbc(aes)")
    cipher.set_key(bytes(16))
    with cipher.request() as request:
        request.send(bytes(32), op=ENCRYPT, iv=bytes(16))
        try:
            request.recv(8)
        except OSError as error:
            assert error.errno == errno.EINVAL, f"recv(8) of cbc(aes): {error}"
            return True
    return False


def test_nothing_leaks(bind: Bind) -> None:
    """Messages of many pages, good, forged and refused, use up no memory of the request."""
    transform = gcm(bind)
    text = pattern(20 * PAGE)
    sealed = seal(transform, text)
    forged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for message, errors in ((sealed, 0), (forged, errno.EBADMSG)):
        with resources.option_memory(20480), transform.request() as request:
            for _ in range(12):
                request.send(message, op=DECRYPT, iv=NONCE)
                with expect.refused(errno.EFAULT, "recv to 1"):
                    libc.recvmsg(request.fileno(), [(1, len(text))], socket.MSG_DONTWAIT)
                if errors:
                    with expect.refused(errors, "forged message"):
                        request.recv(len(text))
                else:
                    assert request.recv(len(text)) == text


def test_descriptor_flags(bind: Bind) -> None:
    """O_NONBLOCK set by fcntl() makes every call non-blocking."""
    request = gcm(bind).request()
    flags = fcntl.fcntl(request.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(request.fileno(), fcntl.F_SETFL, flags | 0o4000)
    with expect.refused(errno.EAGAIN, "recv before send"):
        libc.recv(request.fileno(), 16)
