"""Reads by Linux AIO and io_uring.

Until fcc77d33a34c (7.2) recvmsg() handed a request of such a read to the cipher with a
callback, and returned -EIOCBQUEUED if the implementation was asynchronous; stable 6.12.97
and 6.1.178 made that synchronous for skcipher alone. Since then every read completes
before io_submit() returns. Results are the same either way.

The proof of an asynchronous completion: the implementation is cryptd() or pcrypt(), which
queue work for a kernel thread on the same CPU; the reader, in a real-time class and pinned
there, keeps that thread from running until it sleeps itself. So the completion cannot be there
when io_submit() returns, or it has been there from the beginning.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import hmac
import os
import select
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import aio
import expect
import pages
import pytest
from af_alg import DECRYPT, ENCRYPT
from samples import AAD, IV, KEY, NONCE, TAG, TEXT, cbc, encrypt, gcm, pattern, seal
from unavailable import restriction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bind, RecordFact

LONG = pattern(20 * pages.PAGE)


@contextmanager
def ahead_of_kernel_threads() -> Iterator[None]:
    """Pinned to one CPU, in a class that keeps ordinary threads from running on it.

    pcrypt() is told to work on that CPU.
    """
    cpus, policy, parameter = (
        os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    )  # fmt: skip
    cpu = min(cpus)
    masks = {path: path.read_text() for path in Path("/sys/kernel/pcrypt").glob("*/*_cpumask")}
    for path in masks:
        path.write_text(f"{1 << cpu:x}")
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameter)
        os.sched_setaffinity(0, cpus)
        for path, mask in masks.items():
            path.write_text(mask)


def buffer(length: int) -> ctypes.Array[ctypes.c_char]:
    """Memory for a result."""
    return ctypes.create_string_buffer(length)


@pytest.mark.parametrize("vector", [False, True], ids=["pread", "preadv"])
@pytest.mark.parametrize("kind", ["hash", "skcipher", "aead"])
def test_libaio_read(kind: str, vector: bool, bind: Bind) -> None:
    """A result read by io_submit(), into one buffer or several, is right."""
    transform, request, expected = begun(bind, kind, LONG)
    whole = buffer(len(expected))
    with aio.context() as context:
        if vector:
            parts = [buffer(10), buffer(len(expected) - 10)]
            context.submit((aio.IOCB_CMD_PREADV, request.fileno(), aio.pieces(*parts), 2))
        else:
            parts = [whole]
            context.submit((aio.IOCB_CMD_PREAD, request.fileno(), whole, len(whole)))
        (event,) = context.events(1)
    assert event.result == len(expected), f"expected {len(expected)}, saw {event.result}"
    expect.same(expected, b"".join(part.raw for part in parts), f"{transform.name} by libaio")


@pytest.mark.parametrize("kind", ["hash", "skcipher", "aead"])
def test_io_uring_read(kind: str, bind: Bind) -> None:
    """A result read by io_uring, as a file and as a socket, is right."""
    for command in (aio.IORING_OP_READ, aio.IORING_OP_RECV, aio.IORING_OP_READV):
        transform, request, expected = begun(bind, kind, LONG)
        result = buffer(len(expected))
        with aio.ring() as ring:
            if command == aio.IORING_OP_READV:
                got = ring.run(command, request.fileno(), aio.pieces(result), 1)
            else:
                got = ring.run(command, request.fileno(), result, len(expected))
        assert got == len(expected), f"command {command}: expected {len(expected)}, saw {got}"
        expect.same(expected, result.raw, f"{transform.name} by io_uring, command {command}")


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_libaio_decrypts(kind: str, bind: Bind) -> None:
    """A request that decrypts gives the text back to a read by io_submit()."""
    if kind == "skcipher":
        transform = cbc(bind)
        request = transform.request()
        request.send(encrypt(transform, LONG), op=DECRYPT, iv=IV)
        expected = LONG
    else:
        transform = gcm(bind)
        request = transform.request()
        sealed = AAD + seal(transform, LONG, AAD)
        request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=len(AAD))
        expected = AAD + LONG
    seen = submitted(request, len(expected))
    expect.same(expected, seen, f"{transform.name} decrypted by libaio")


def submitted(request: af_alg.Request, length: int) -> bytes:
    """What a read of so many bytes by io_submit() gives. Raises OSError with its error."""
    result = buffer(length)
    with aio.context() as context:
        context.submit((aio.IOCB_CMD_PREAD, request.fileno(), result, length))
        (event,) = context.events(1)
    if event.result < 0:
        raise OSError(-event.result, os.strerror(-event.result))
    return result.raw[: event.result]


@pytest.mark.parametrize("how", ["libaio", "io_uring"])
def test_write(how: str, bind: Bind) -> None:
    """Text written by io_submit() or io_uring is a message of its own."""
    transform = cbc(bind)
    request = transform.request()
    text = ctypes.create_string_buffer(TEXT, len(TEXT))
    request.send(op=ENCRYPT, iv=IV, more=True)
    if how == "libaio":
        with aio.context() as context:
            context.submit((aio.IOCB_CMD_PWRITE, request.fileno(), text, len(TEXT)))
            (event,) = context.events(1)
        assert event.result == len(TEXT)
        expect.same(encrypt(transform, TEXT), request.recv(64), "written by libaio")
        return
    with aio.ring() as ring:
        half = ring.run(aio.IORING_OP_SEND, request.fileno(), text, 32, af_alg.MSG_MORE)
        assert half == 32
        rest = ctypes.create_string_buffer(TEXT[32:], 32)
        assert ring.run(aio.IORING_OP_WRITE, request.fileno(), rest, 32) == 32
    expect.same(encrypt(transform, TEXT), request.recv(64), "written by io_uring")


@pytest.mark.parametrize("how", ["libaio", "io_uring"])
def test_error(how: str, bind: Bind) -> None:
    """An error is the result of the read, not of its submission, and ends it."""
    transform = gcm(bind)
    sealed = seal(transform, TEXT)
    request = transform.request()
    result = buffer(64)
    for number, message in (
        (errno.EBADMSG, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (0, sealed),
        (errno.EINVAL, sealed[:10]),
    ):
        request.send(message, op=DECRYPT, iv=NONCE)
        if how == "libaio":
            with aio.context() as context:
                context.submit((aio.IOCB_CMD_PREAD, request.fileno(), result, 64))
                seen = context.events(1)[0].result
        else:
            with aio.ring() as ring:
                seen = ring.run(aio.IORING_OP_READ, request.fileno(), result, 64)
        assert seen == (-number or 64), f"expected {-number or 64}, saw {seen}"
        if not number:
            expect.same(TEXT, result.raw, "decryption after an error")


def test_nothing_to_read(bind: Bind) -> None:
    """A read by io_submit() of a non-blocking request without data is EAGAIN."""
    request = cbc(bind).request()
    os.set_blocking(request.fileno(), False)
    with aio.context() as context:
        context.submit((aio.IOCB_CMD_PREAD, request.fileno(), buffer(16), 16))
        (event,) = context.events(1)
    assert event.result == -errno.EAGAIN, f"expected {-errno.EAGAIN}, saw {event.result}"


def test_several_requests(bind: Bind) -> None:
    """Reads of several requests submitted at once have each its own result."""
    transform = cbc(bind)
    ivs = [bytes([i]) * 16 for i in range(4)]
    results = [buffer(64) for _ in ivs]
    requests = [transform.request() for _ in ivs]
    for request, iv in zip(requests, ivs, strict=True):
        request.send(TEXT, op=ENCRYPT, iv=iv)
    with aio.context() as context:
        submitted = context.submit(
            *(
                (aio.IOCB_CMD_PREAD, request.fileno(), result, 64)
                for request, result in zip(requests, results, strict=True)
            )
        )
        assert submitted == len(ivs)
        events = context.events(len(ivs))
    assert sorted(event.data for event in events) == [0, 1, 2, 3]
    assert {event.result for event in events} == {64}
    for iv, result in zip(ivs, results, strict=True):
        expect.same(encrypt(transform, TEXT, iv), result.raw, f"IV {iv.hex()}")


def test_request_closed_after_submission(bind: Bind) -> None:
    """A request may be closed as soon as its read is submitted."""
    for kind in ("skcipher", "aead"):
        _, request, expected = begun(bind, kind, TEXT)
        result = buffer(len(expected))
        with aio.context() as context:
            context.submit((aio.IOCB_CMD_PREAD, request.fileno(), result, len(expected)))
            request.close()
            (event,) = context.events(1)
        assert event.result == len(expected)
        expect.same(expected, result.raw, f"{kind}, request closed")


def begun(bind: Bind, kind: str, text: bytes) -> tuple[af_alg.Transform, af_alg.Request, bytes]:
    """A request that has its message, and what it gives when read."""
    if kind == "hash":
        transform = bind("hash", "sha256")
        request = transform.request()
        request.send(text)
        return transform, request, hashlib.sha256(text).digest()
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    request = transform.request()
    if kind == "skcipher":
        request.send(text, op=ENCRYPT, iv=IV)
        return transform, request, encrypt(transform, text)
    request.send(AAD + text, op=ENCRYPT, iv=NONCE, assoclen=len(AAD))
    return transform, request, AAD + seal(transform, text, AAD)


# Is the completion asynchronous?


@dataclass(frozen=True)
class Asynchronous:
    """An asynchronous implementation, bound, and a message for it.

    It is made of algorithms that no one else asks for, since from then on it is the
    kernel's first choice for their name.
    """

    name: str
    transform: af_alg.Transform
    expected: bytes
    assoclen: int | None


def driver_of(name: str) -> str:
    """The driver behind an algorithm that was just bound (/proc/crypto)."""
    for entry in Path("/proc/crypto").read_text().split("\n\n"):
        fields = dict(line.split(":", 1) for line in entry.splitlines())
        found = {key.strip(): value.strip() for key, value in fields.items()}
        if found.get("name") == name and not found["driver"].startswith("pcrypt("):
            return found["driver"]
    raise AssertionError(f"{name} is bound, but not in /proc/crypto")


def bind_asynchronous(kind: str, name: str) -> af_alg.Transform:
    """Bind an asynchronous implementation.

    Where AF_ALG wants none, the template makes one all the same, which then is not taken:
    EEXIST from the second attempt to make it.
    """
    try:
        return af_alg.Transform(kind, name)
    except FileExistsError as error:
        raise af_alg.not_bound(kind, name, "EEXIST", restrict=restriction()) from error


def asynchronous_skcipher() -> Asynchronous:
    """cryptd() around the null cipher, whose output is its input."""
    name = "cryptd(ecb-cipher_null)"
    af_alg.Transform("skcipher", "ecb(cipher_null)").close()
    transform = bind_asynchronous("skcipher", name)
    transform.set_key(b"")
    return Asynchronous(name, transform, TEXT, None)


def asynchronous_aead() -> Asynchronous:
    """pcrypt() around HMAC-MD5 of text in the clear.

    Not cryptd(), whose AEADs fail the self-test of 6.1 with a warning.
    """
    plain = "authenc(hmac(md5),ecb(cipher_null))"
    af_alg.Transform("aead", plain).close()
    name = f"pcrypt({driver_of(plain)})"
    transform = bind_asynchronous("aead", name)
    # crypto_authenc_extractkeys(): struct rtattr, length of the cipher's key, HMAC's key
    transform.set_key(struct.pack("=HH", 8, 1) + struct.pack(">I", 0) + KEY)
    transform.set_authsize(16)
    tag = hmac.new(KEY, AAD + TEXT, "md5").digest()
    return Asynchronous(name, transform, AAD + TEXT + tag, len(AAD))


MAKERS = {"aead": asynchronous_aead, "skcipher": asynchronous_skcipher}
FACTS = {"aead": "aio.libaio", "skcipher": "aio.libaio_skcipher"}


def refuses_asynchronous() -> str:
    """Whether AF_ALG refuses what is asynchronous (7524070f26d8, 7.2): how that shows."""
    try:
        asynchronous_aead().transform.close()
    except af_alg.NotOffered as refusal:
        if "pcrypt" in refusal.reason.name and refusal.reason.errno == "EEXIST":
            return f"{refusal}: made, and not taken"
        if "pcrypt" in refusal.reason.name and Path("/sys/module/pcrypt").exists():
            return f"{refusal}, though pcrypt is loaded"
    return ""


@pytest.mark.parametrize("kind", MAKERS)
def test_asynchronous_completion(kind: str, record_fact: RecordFact, bind: Bind) -> None:
    """Does a read by io_submit() complete later, the kernel's AIO of sockets being there?"""
    missing, reason = "", None
    try:
        found = MAKERS[kind]()
    except af_alg.NotOffered as refusal:
        missing, reason = str(refusal), refusal.reason
        plain, request, expected = begun(bind, kind, TEXT)
        found = Asynchronous(plain.name, plain, expected, None)
    with found.transform:
        if not missing:
            request = found.transform.request()
            text = AAD + TEXT if kind == "aead" else TEXT
            request.send(text, op=ENCRYPT, assoclen=found.assoclen)
        result = buffer(len(found.expected))
        with aio.context() as context, pages.pipe() as (read_end, write_end):
            with ahead_of_kernel_threads():
                context.submit((aio.IOCB_CMD_PREAD, request.fileno(), result, len(result)))
                at_once = context.events(0, 0.0)
            events = at_once or context.events(1)
            # Control: a poll that cannot be complete at once, and is later.
            context.submit((aio.IOCB_CMD_POLL, read_end, result, select.POLLIN))
            early = context.events(0, 0.0)
            os.write(write_end, b"x")
            late = context.events(1)
    fired = not early and len(late) == 1
    state = "absent" if at_once else "present"
    if missing and at_once:
        how = refuses_asynchronous()
        state = "absent" if how else "unreachable"
        missing = f"{how or missing}; "
    record_fact(
        FACTS[kind],
        state=state,
        control="fired" if fired else "failed",
        evidence=f"{missing}read of {found.name} complete "
        f"{'at' if at_once else 'after'} the end of io_submit",
        reason=reason if state == "unreachable" else None,
    )
    assert fired, f"control: {len(early)} completions before, {len(late)} after the write"
    assert events[0].result == len(found.expected), f"{found.name}: {events[0].result}"
    expect.same(found.expected, result.raw, found.name)


@pytest.mark.parametrize("kind", MAKERS)
def test_late_error(kind: str, bind: Bind) -> None:
    """An error that an asynchronous implementation finds later is the result of the read.

    Where there is none, the same holds of one that finds it at once.
    """
    transform, wrong, right, number = (late_aead if kind == "aead" else late_skcipher)(bind)
    assoclen = len(AAD) if kind == "aead" else None
    length = len(right) - (TAG if kind == "aead" else 0)  # a longer read waits for more
    with transform:
        with transform.request() as request:
            request.send(wrong, op=DECRYPT, assoclen=assoclen)
            with expect.refused(number, f"read from {transform.name}"):
                submitted(request, length)
        with transform.request() as request, transform.request() as same:
            for one in (request, same):
                one.send(right, op=DECRYPT, assoclen=assoclen)
            seen = submitted(request, length)
            expect.same(same.recv(length), seen, f"{transform.name} after an error")


@pytest.mark.parametrize("kind", MAKERS)
def test_second_read_in_flight(kind: str, bind: Bind) -> None:
    """While a read of a request is under way another is EBUSY, or has a result of its own.

    EBUSY where a request says that it has one in flight (ctx->inflight), as both would use
    its one IV. Where reads are over when they return, each has its result.
    """
    try:
        found = MAKERS[kind]()
        iv = None
    except af_alg.NotOffered:
        plain, _, expected = begun(bind, kind, TEXT)
        assoclen = len(AAD) if kind == "aead" else None
        found = Asynchronous(plain.name, plain, expected, assoclen)
        iv = NONCE if kind == "aead" else IV
    text = AAD + TEXT if kind == "aead" else TEXT
    result = buffer(len(found.expected))
    with found.transform, found.transform.request() as request, aio.context() as context:
        request.send(text, op=ENCRYPT, iv=iv, assoclen=found.assoclen)
        with ahead_of_kernel_threads():
            context.submit((aio.IOCB_CMD_PREAD, request.fileno(), result, len(result)))
            request.send(text, op=ENCRYPT, iv=iv, assoclen=found.assoclen)
            events = context.events(0, 0.0)
            try:
                second = request.recv(len(result))
            except OSError as error:
                seen = af_alg.errno_name(error)
                assert not events, f"second read, the first being over: {seen}"
                assert seen == "EBUSY", f"second read: {seen}"
                second = b""
        (event,) = events or context.events(1)
        assert event.result == len(result), f"first read: {event.result}"
        expect.same(found.expected, result.raw, "first read")
        expect.same(found.expected, second or request.recv(len(result)), "second read")


Late = tuple[af_alg.Transform, bytes, bytes, int]


def late_aead(bind: Bind) -> Late:
    """A transform, a forged message, a good one, and the error of the first."""
    try:
        found = asynchronous_aead()
        transform, good = found.transform, found.expected
    except af_alg.NotOffered:
        transform = gcm(bind)
        good = AAD + seal(transform, TEXT, AAD, bytes(len(NONCE)))
    return transform, good[:-1] + bytes([good[-1] ^ 1]), good, errno.EBADMSG


def late_skcipher(bind: Bind) -> Late:
    """As ``late_aead``: the wrong text is no whole number of blocks."""
    # No other test asks for this cipher, whose first choice is the asynchronous one then.
    cipher = "cbc(khazad)"
    try:
        af_alg.Transform("skcipher", cipher).close()
        transform = bind_asynchronous("skcipher", f"cryptd({driver_of(cipher)})")
        transform.set_key(KEY)
    except af_alg.NotOffered:
        transform = cbc(bind)
    return transform, TEXT[:17], TEXT[:32], errno.EINVAL
