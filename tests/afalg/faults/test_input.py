"""What is sent to a request when there is no memory for it.

Control messages of more than 36 bytes are copied to memory of their own (ENOBUFS,
net/socket.c), more than eight pieces of a message need a list (ENOMEM). af_alg_sendmsg()
takes what it has pages for and says how much that was: the rest can be sent if MSG_MORE was
under way, else what was taken is a request of its own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pages
import pytest
from af_alg import ENCRYPT, MSG_DONTWAIT, MSG_MORE
from fault_injection import TURNS
from pages import PAGE
from samples import AAD, IV, NONCE, TAG, cbc, encrypt, gcm, pattern, seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind
    from fault_fixtures import MakeMemory, Memory
    from fault_injection import Call, Faults

NO_ROOM = frozenset({errno.ENOMEM, errno.ENOBUFS})
#: More than a request's first list has room for: 126 entries (MAX_SGL_ENTS).
LIST = 126
_SO_SNDBUFFORCE = 32  # include/uapi/asm-generic/socket.h


def control(kind: str) -> bytes:
    """All control messages of a request: 56 bytes and more."""
    messages = [af_alg.op_message(ENCRYPT), af_alg.iv_message(IV if kind == "skcipher" else NONCE)]
    if kind == "aead":
        messages.append(af_alg.assoclen_message(len(AAD)))
    return af_alg.control_bytes(*messages)


def transform_of(kind: str, bind: Bind) -> af_alg.Transform:
    """A keyed transform."""
    return cbc(bind) if kind == "skcipher" else gcm(bind)


def sealed(transform: af_alg.Transform, text: bytes) -> bytes:
    """The known answer: of an AEAD the first bytes are associated data."""
    if transform.kind == "skcipher":
        return encrypt(transform, text)
    return text[: len(AAD)] + seal(transform, text[len(AAD) :], text[: len(AAD)])


def check_read(transform: af_alg.Transform, request: af_alg.Request, text: bytes) -> None:
    """What is read is what becomes of ``text``."""
    tag = TAG if transform.kind == "aead" else 0
    expect.same(sealed(transform, text), request.recv(len(text) + tag), "what was read")


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
@pytest.mark.parametrize("length, pieces", [(64, 1), (5 * PAGE + 32, 1), (640, 10)])
def test_whole_message(
    faults: Faults, length: int, pieces: int, kind: str, bind: Bind, memory: MakeMemory
) -> None:
    """A message that found no memory can be sent again; of one cut short the part counts."""
    transform = transform_of(kind, bind)
    request = transform.request()
    text = pattern(length)
    parts = memory(length, text).pieces(length, pieces)
    messages = control(kind)

    def call(_: None) -> int:
        return libc.sendmsg(request.fileno(), parts, messages, MSG_DONTWAIT)

    def check(_: None, seen: Call[int]) -> None:
        taken = call(None) if seen.error is not None else seen.value
        assert seen.failed or taken == length, f"{taken} of {length} bytes were taken"
        check_read(transform, request, text[:taken])

    faults.nothing_lost(
        f"sendmsg() of {length} bytes in {pieces} pieces",
        lambda: faults.each(
            "sendmsg()", prepare=lambda: None, call=call, check=check, errors=NO_ROOM
        ),
        of=(transform.sock, request.sock),
        turns=TURNS,
    )


def rest_is_sent(
    seen: Call[int], total: int, send_rest: Callable[[int], int], limit: int = 4
) -> None:
    """Send what was not taken, as a program does after a short count."""
    taken = seen.result or 0
    assert seen.failed or taken == total, f"{taken} of {total} bytes were taken"
    for _ in range(limit):
        if taken == total:
            return
        taken += send_rest(taken)
    raise AssertionError(f"{taken} of {total} bytes could be sent in {limit} more calls")


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
@pytest.mark.parametrize("before", [48, PAGE])
def test_after_more(faults: Faults, before: int, kind: str, bind: Bind, memory: MakeMemory) -> None:
    """After MSG_MORE the rest of a message cut short can be sent, onto a half-full page or not."""
    transform = transform_of(kind, bind)
    request = transform.request()
    text = pattern(before + 3 * PAGE)
    sent = memory(len(text), text)

    def prepare() -> None:
        libc.sendmsg(request.fileno(), sent.pieces(before), control(kind), MSG_MORE)

    def send_from(start: int) -> int:
        parts = sent.pieces(len(text), start=start)
        return libc.sendmsg(request.fileno(), parts, flags=MSG_DONTWAIT)

    def check(_: None, seen: Call[int]) -> None:
        rest_is_sent(seen, len(text) - before, lambda taken: send_from(before + taken))
        check_read(transform, request, text)

    faults.nothing_lost(
        f"sendmsg() after {before} bytes",
        lambda: faults.each(
            "sendmsg()",
            prepare=prepare,
            call=lambda _: send_from(before),
            check=check,
        ),
        of=(transform.sock, request.sock),
        turns=TURNS,
    )


def test_second_list(faults: Faults, bind: Bind, memory: MakeMemory) -> None:
    """Where the list of pages is full and there is no memory for another nothing is lost."""
    transform = cbc(bind)
    request = transform.request()
    request.sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 4 * LIST * PAGE)
    text = pattern((LIST + 2) * PAGE)
    sent = memory(len(text), text)
    expected = memory(len(text))
    # The known answer: its own request takes it in parts.
    with transform.request() as other:
        other.send(op=ENCRYPT, iv=IV, more=True)
        for start in range(0, len(text), 32 * PAGE):
            end = min(start + 32 * PAGE, len(text))
            libc.sendmsg(other.fileno(), sent.pieces(end, start=start), flags=MSG_MORE)
            libc.recvmsg(other.fileno(), expected.pieces(end, start=start))
    answer = expected.read(len(text))
    received = memory(len(text))

    def prepare() -> None:
        libc.sendmsg(request.fileno(), sent.pieces(LIST * PAGE), control("skcipher"), MSG_MORE)

    def send_from(start: int) -> int:
        return libc.sendmsg(request.fileno(), sent.pieces(len(text), start=start))

    def check(_: None, seen: Call[int]) -> None:
        rest_is_sent(seen, 2 * PAGE, lambda taken: send_from(LIST * PAGE + taken))
        got = libc.recvmsg(request.fileno(), received.pieces(len(text)), MSG_DONTWAIT)
        expect.same(answer, received.read(got), "ciphertext")

    faults.nothing_lost(
        "sendmsg() onto a full list",
        lambda: faults.each(
            "sendmsg()", prepare=prepare, call=lambda _: send_from(LIST * PAGE), check=check
        ),
        of=(transform.sock, request.sock),
    )


@pytest.mark.parametrize("way", ["splice", "vmsplice", "sendfile"])
@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_splice(faults: Faults, kind: str, way: str, bind: Bind, memory: MakeMemory) -> None:
    """What could not be spliced stays where it was and can be spliced again."""
    transform = transform_of(kind, bind)
    request = transform.request()
    text = pattern(3 * PAGE)
    with pages.scratch_memfd(text) as file, pages.pipe() as (read_end, write_end):
        source = memory(len(text), text)

        def move(taken: int) -> int:
            if way == "sendfile":
                return os.sendfile(request.fileno(), file, taken, len(text) - taken)
            return os.splice(read_end, request.fileno(), len(text) - taken)

        def prepare() -> None:
            request.send(more=True, op=ENCRYPT, iv=iv, assoclen=assoclen)
            if way == "splice":
                assert os.splice(file, write_end, len(text), offset_src=0) == len(text)
            elif way == "vmsplice":
                assert libc.vmsplice(write_end, source.address, len(text)) == len(text)

        def check(_: None, seen: Call[int]) -> None:
            rest_is_sent(seen, len(text), move)
            check_read(transform, request, text)

        iv = IV if kind == "skcipher" else NONCE
        assoclen = len(AAD) if kind == "aead" else None
        faults.nothing_lost(
            way,
            lambda: faults.each(way, prepare=prepare, call=lambda _: move(0), check=check),
            of=(transform.sock, request.sock),
            turns=TURNS,
        )


@pytest.mark.parametrize("ends", ["at_once", "with_more_before", "with_more"])
def test_hash(faults: Faults, ends: str, bind: Bind, memory: MakeMemory) -> None:
    """A hash that found no memory has dropped the message: the next one is right.

    Of a long message a part may be reported as taken although the message was dropped:
    what is then sent as the rest becomes a message of its own
    (functional/test_hash_stream.py::test_short_send has that as a fact).
    """
    transform = bind("hash", "sha256")
    for length in (64, 5 * PAGE + 100, 40 * PAGE):
        hash_of(faults, transform, memory(length, pattern(length)), ends)


def hash_of(faults: Faults, transform: af_alg.Transform, sent: Memory, ends: str) -> None:
    """The same for one message."""
    request = transform.request()
    first = b"first" if ends == "with_more_before" else b""
    flags = MSG_MORE if ends == "with_more" else 0
    text = sent.read(sent.length)
    expected = hashlib.sha256(first + text).digest()

    def prepare() -> None:
        if first:
            request.send(first, more=True)

    def send_from(start: int) -> int:
        parts = sent.pieces(sent.length, start=start)
        return libc.sendmsg(request.fileno(), parts, flags=flags)

    def check(_: None, seen: Call[int]) -> None:
        if seen.error is None:
            rest_is_sent(seen, sent.length, send_from)
            alone = text[seen.value :]
        else:
            # What was sent before is dropped, if the call came as far as the message.
            assert send_from(0) == sent.length
            alone = text
        digest = request.recv(32)
        if seen.result == sent.length or digest != hashlib.sha256(alone).digest():
            expect.same(expected, digest, "digest")
        prepare()
        assert send_from(0) == sent.length
        expect.same(expected, request.recv(32), "digest of the next message")

    faults.nothing_lost(
        f"sendmsg() of {sent.length} bytes to a hash",
        lambda: faults.each("sendmsg()", prepare=prepare, call=lambda _: send_from(0), check=check),
        of=(transform.sock, request.sock),
        turns=TURNS,
        allocates=ends != "with_more_before",
    )


@pytest.mark.parametrize("from_a_clone", [False, True])
def test_end_of_a_hash(faults: Faults, from_a_clone: bool, bind: Bind) -> None:
    """An empty send that finds no memory to finish a message drops it; the next one is right."""
    transform = bind("hash", "sha256")
    expected = hashlib.sha256(b"abc").digest()
    original = transform.request()

    def prepare() -> af_alg.Request:
        original.send(b"abc", more=True)
        return original.accept() if from_a_clone else original

    def call(request: af_alg.Request) -> int:
        return request.send()

    def check(request: af_alg.Request, seen: Call[int]) -> None:
        digest = request.recv(32)
        if seen.error is None or digest != hashlib.sha256().digest():  # which is that of nothing
            expect.same(expected, digest, "digest")
        request.send(b"abc")
        expect.same(expected, request.recv(32), "digest of the next message")
        if request is not original:
            request.close()
        with suppress(OSError):
            original.recv(32)

    faults.nothing_lost(
        "an empty sendmsg() to a hash",
        lambda: faults.each("sendmsg()", prepare=prepare, call=call, check=check),
        of=(transform.sock, original.sock),
        allocates=from_a_clone,
    )


def test_additional_input(faults: Faults, bind: Bind, memory: MakeMemory) -> None:
    """Additional input of a generator (CONFIG_CRYPTO_USER_API_RNG_CAVP) without memory."""
    transform = bind("rng", "stdrng")
    transform.set_key(bytes(48))
    try:
        transform.sock.setsockopt(af_alg.SOL_ALG, af_alg.ALG_SET_DRBG_ENTROPY, bytes(48))
    except OSError as error:
        af_alg.failed("ALG_SET_DRBG_ENTROPY", error).skip()
    request = transform.request()
    sent = memory(64).pieces(64)

    def call(_: None) -> int:
        return libc.sendmsg(request.fileno(), sent)

    def check(_: None, seen: Call[int]) -> None:
        assert (seen.result or call(None)) == 64
        assert len(request.recv(16)) == 16

    faults.nothing_lost(
        "additional input",
        lambda: faults.each("sendmsg()", prepare=lambda: None, call=call, check=check),
        of=(transform.sock, request.sock),
    )
