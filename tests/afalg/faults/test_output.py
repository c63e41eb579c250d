"""Reads for which there is no memory: their request, their lists, the cipher's own buffers.

A read that fails before it has taken what was sent can be repeated; one that fails later has
used it up (EAGAIN then: there is nothing to read), and the request takes the next message.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import af_alg
import aio
import expect
import libc
import pytest
from af_alg import DECRYPT, ENCRYPT, MSG_DONTWAIT
from fault_injection import TURNS
from pages import PAGE
from samples import AAD, IV, KEY, NONCE, cbc, encrypt, gcm, pattern, seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind, RecordFact
    from fault_fixtures import MakeMemory, Memory
    from fault_injection import Call, Faults

#: io_submit(2) has no memory for a request: EAGAIN, fs/aio.c says.
NO_REQUEST = frozenset({errno.ENOMEM, errno.EAGAIN})


def what_is_left(read: Callable[[], int], target: Memory, total: int) -> bytes | None:
    """What a repeated read gives, None if there is nothing to read any more."""
    target.clear()
    try:
        got = read()
    except BlockingIOError:
        return None
    assert got <= total
    return target.read(got)


def check_read(
    seen: Call[int], expected: bytes, target: Memory, read: Callable[[int], int]
) -> None:
    """What was read is right as far as it goes, and so is what a second read gives."""
    got = seen.result or 0
    expect.same(expected[:got], target.read(got), "what was read")
    assert seen.failed or got == len(expected), f"{got} of {len(expected)} bytes were read"
    if got < len(expected):
        left = what_is_left(lambda: read(got), target, len(expected) - got)
        if left is not None:
            expect.same(expected[got:], left, "what was read by a second call")


@pytest.mark.parametrize("length, pieces", [(64, 1), (992, 7), (20 * PAGE, 20)])
@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_read(
    faults: Faults, kind: str, length: int, pieces: int, bind: Bind, memory: MakeMemory
) -> None:
    """A read without memory gives nothing wrong, then or later, and the request works on."""
    plain = pattern(length)
    if kind == "skcipher":
        transform, iv, aad = cbc(bind), IV, b""
        secret = encrypt(transform, plain)
    else:
        transform, iv, aad = gcm(bind), NONCE, AAD
        secret = seal(transform, plain, AAD)
    request = transform.request()
    target = memory(len(aad) + len(secret))
    for op, text, result in ((ENCRYPT, plain, secret), (DECRYPT, secret, plain)):
        expected = aad + result

        def prepare(op: int = op, text: bytes = aad + text) -> None:
            assoclen = len(aad) if kind == "aead" else None
            assert request.send(text, op=op, iv=iv, assoclen=assoclen) == len(text)
            target.clear()

        def read(start: int, total: int = len(expected)) -> int:
            parts = target.pieces(total - start, pieces)
            return libc.recvmsg(request.fileno(), parts, MSG_DONTWAIT)

        faults.nothing_lost(
            f"recvmsg() of {length} bytes in {pieces} pieces, op {op}",
            partial(
                faults.each,
                "recvmsg()",
                prepare=prepare,
                call=partial(from_the_start, read),
                check=partial(check_this_and_next, expected, target, read, prepare),
            ),
            of=(transform.sock, request.sock),
            turns=TURNS if length < PAGE else TURNS // 4,  # of which several are lost each time
        )


def from_the_start(read: Callable[[int], int], _: None) -> int:
    """Read all."""
    return read(0)


def check_this_and_next(
    expected: bytes,
    target: Memory,
    read: Callable[[int], int],
    prepare: Callable[[], None],
    _: None,
    seen: Call[int],
) -> None:
    """What was read is right, and so is the next message."""
    check_read(seen, expected, target, read)
    prepare()
    assert read(0) == len(expected)
    expect.same(expected, target.read(len(expected)), "the next message")


def test_read_amid_a_message(faults: Faults, bind: Bind, memory: MakeMemory) -> None:
    """Of a message under way (MSG_MORE) a part that cannot be read now can be read later."""
    transform = cbc(bind)
    request = transform.request()
    text = pattern(4 * PAGE)
    expected = encrypt(transform, text)
    target = memory(len(text))

    def prepare() -> None:
        request.send(text[:PAGE], op=ENCRYPT, iv=IV, more=True)
        target.clear()

    def read(start: int, end: int) -> int:
        return libc.recvmsg(request.fileno(), target.pieces(end, start=start), MSG_DONTWAIT)

    def check(_: None, seen: Call[int]) -> None:
        got = seen.result or 0
        if seen.error is not None:
            try:
                got = read(0, PAGE)
            except BlockingIOError:
                # It was used up: the chain is broken, so end it and read what comes.
                request.send(text[:16])
                request.recv(16)
                return
        assert got == PAGE
        request.send(text[PAGE:])
        assert read(PAGE, len(text)) == 3 * PAGE
        expect.same(expected, target.read(len(text)), "the whole message")

    faults.nothing_lost(
        "recvmsg() amid a message",
        lambda: faults.each(
            "recvmsg()", prepare=prepare, call=lambda _: read(0, PAGE), check=check
        ),
        of=(transform.sock, request.sock),
        turns=TURNS,
    )


def test_stream_amid_a_message(
    faults: Faults, bind: Bind, memory: MakeMemory, record_fact: RecordFact
) -> None:
    """After a read that fails a stream cipher goes on where it was: or does it begin anew?

    The state of a cipher that has one beside its IV is kept between two reads of a message
    (algif_skcipher_export(), 6.8). Where there is no memory for it the read fails although
    it has used up its input, and the next one has the beginning of the keystream again.
    """
    transform = bind("skcipher", "ecb(arc4)")
    transform.set_key(KEY)
    request = transform.request()
    text = pattern(96)
    with transform.request() as other:
        other.send(text, op=ENCRYPT)
        whole = other.recv(len(text))
    target = memory(len(text))
    anew: list[str] = []

    def prepare() -> None:
        request.send(text, op=ENCRYPT, more=True)
        target.clear()

    def read(start: int, end: int) -> int:
        return libc.recvmsg(request.fileno(), target.pieces(end, start=start), MSG_DONTWAIT)

    def check(_: None, seen: Call[int]) -> None:
        start = 0
        if seen.error is None:
            assert seen.value == 32
            expect.same(whole[:32], target.read(32), "what was read")
            start = 32
        assert read(start, start + 32) == 32
        again = target.read(32, start)
        request.send()
        with suppress(BlockingIOError):
            request.recv(len(text))
        with transform.request() as other:
            other.send(text[32:], op=ENCRYPT)
            restarted = other.recv(32)
        if seen.error is not None and again == restarted:
            anew.append(f"allocation {seen.number}")
        else:
            right = {whole[start : start + 32], whole[32:64]}
            assert again in right, f"a second read gave {again.hex()}"

    faults.nothing_lost(
        "recvmsg() of a stream",
        lambda: faults.each("recvmsg()", prepare=prepare, call=lambda _: read(0, 32), check=check),
        of=(transform.sock, request.sock),
    )
    record_fact(
        "skcipher.failed_read_restarts",
        state="present" if anew else "absent",
        control="fired",
        evidence=f"restarted after a failure of {anew[0]}" if anew else "went on after each",
    )


@pytest.mark.parametrize("sent", ["all", "with_more", "nothing"])
def test_digest(faults: Faults, sent: str, bind: Bind, memory: MakeMemory) -> None:
    """A digest that cannot be read now is there later, or dropped (then: that of nothing)."""
    digest_of(faults, sent, bind, memory, clone=False)
    digest_of(faults, sent, bind, memory, clone=True)


def digest_of(faults: Faults, sent: str, bind: Bind, memory: MakeMemory, *, clone: bool) -> None:
    """The same for a request, or for a clone of it."""
    transform = bind("hash", "sha256")
    original = transform.request()
    text = b"" if sent == "nothing" else b"abc"
    expected, empty = hashlib.sha256(text).digest(), hashlib.sha256().digest()
    target = memory(32)

    def prepare() -> af_alg.Request:
        target.clear()
        if text:
            original.send(text, more=sent == "with_more")
        return original.accept() if clone else original

    def read(request: af_alg.Request) -> int:
        return libc.recvmsg(request.fileno(), target.pieces(32), MSG_DONTWAIT)

    def check(request: af_alg.Request, seen: Call[int]) -> None:
        if seen.error is None:
            # The clone of a message that is whole has none of it.
            right = empty if clone and sent == "all" else expected
            expect.same(right, target.read(seen.value), "digest")
        else:
            read(request)
            assert target.read(32) in {expected, empty}, "a second read gave another digest"
        request.send(b"next")
        expect.same(hashlib.sha256(b"next").digest(), request.recv(32), "the next digest")
        if request is not original:
            request.close()
            original.recv(32)

    faults.nothing_lost(
        "recvmsg() of a digest",
        lambda: faults.each("recvmsg()", prepare=prepare, call=read, check=check),
        of=(transform.sock, original.sock),
        allocates=clone or sent == "nothing",
    )


@pytest.mark.parametrize("name", ["stdrng", "jitterentropy_rng"])
def test_random_bytes(faults: Faults, name: str, bind: Bind, memory: MakeMemory) -> None:
    """Random bytes that cannot be had now can be had later."""
    transform = bind("rng", name)
    transform.set_key(bytes(48))
    request = transform.request()
    target = memory(128)

    def read(_: None) -> int:
        return libc.recvmsg(request.fileno(), target.pieces(128), MSG_DONTWAIT)

    def check(_: None, seen: Call[int]) -> None:
        if seen.error is not None:
            target.clear()
            assert read(None) == 128
        assert len(set(target.read(128))) > 8, f"{target.read(128).hex()} is not random"

    faults.nothing_lost(
        "recvmsg() of random bytes",
        lambda: faults.each("recvmsg()", prepare=target.clear, call=read, check=check),
        of=(transform.sock, request.sock),
        allocates=False,
    )


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_asynchronous_read(faults: Faults, kind: str, bind: Bind, memory: MakeMemory) -> None:
    """A read by io_submit(2) ends at once or by its event, each with an error or what is right."""
    text = pattern(5 * PAGE)
    if kind == "skcipher":
        transform, iv = cbc(bind), IV
        expected = encrypt(transform, text)
    else:
        transform, iv = gcm(bind), NONCE
        expected = seal(transform, text)
    request = transform.request()
    target = memory(len(expected))
    buffer = (ctypes.c_char * len(expected)).from_address(target.address)

    with aio.context() as context:

        def prepare() -> None:
            request.send(text, op=ENCRYPT, iv=iv)
            target.clear()

        def submit(_: None) -> int:
            return context.submit((aio.IOCB_CMD_PREAD, request.fileno(), buffer, len(expected)))

        def read(start: int) -> int:
            parts = target.pieces(len(expected) - start)
            return libc.recvmsg(request.fileno(), parts, MSG_DONTWAIT)

        def check(_: None, seen: Call[int]) -> None:
            got = 0
            if seen.error is None:
                (event,) = context.events(1)
                got = max(event.result, 0)
                assert got or -event.result == errno.ENOMEM, f"event: {event.result}"
            expect.same(expected[:got], target.read(got), "what was read")
            if not got:
                left = what_is_left(lambda: read(0), target, len(expected))
                if left is not None:
                    expect.same(expected, left, "what was read by a second call")
            prepare()
            assert read(0) == len(expected)
            expect.same(expected, target.read(len(expected)), "the next message")

        faults.nothing_lost(
            "io_submit()",
            lambda: faults.each(
                "io_submit()", prepare=prepare, call=submit, check=check, errors=NO_REQUEST
            ),
            of=(transform.sock, request.sock),
            turns=TURNS,
        )
