"""Does anything stay behind? Requests of every kind, over and over, errors included.

After each kind the pages, slab objects, sockets, users of modules and references to
algorithms are as many as before (leaks.py). Requests that live on do so within little option
memory (sk_omem_alloc, net/core/sock.c), so that what sock_kmalloc() gave them and nobody
freed is ENOMEM before long.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import af_alg
import aio
import expect
import keyring
import leaks
import libc
import page_count
import pages
import pytest
import resources
from af_alg import DECRYPT, ENCRYPT, MSG_DONTWAIT, MSG_MORE, SOL_ALG
from pages import PAGE
from samples import AAD, IV, KEY, NONCE, TAG, TEXT, cbc, gcm, pattern, seal
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bind

#: For requests that live on: room for one operation, not for what a hundred leave behind.
LITTLE = 20480  # bytes
LONG = pattern(3 * PAGE)
KINDS = ("skcipher", "aead", "hash")
LEDGER = leaks.Ledger()


class Subject:
    """A keyed transform, and what its requests take and give."""

    def __init__(self, kind: str, bind: Bind) -> None:
        self.kind = kind
        made = {"skcipher": cbc, "aead": gcm, "hash": lambda bind: bind("hash", "sha256")}
        self.transform: af_alg.Transform = made[kind](bind)

    def send(self, request: af_alg.Request, text: bytes, *, more: bool = False) -> None:
        """The first part of a message."""
        if self.kind == "hash":
            request.send(text, more=more)
        else:
            iv = IV if self.kind == "skcipher" else NONCE
            request.send(text, op=ENCRYPT, iv=iv, more=more)

    def result(self, text: bytes) -> int:
        """The length of what comes out, in bytes."""
        return {"skcipher": len(text), "aead": len(text) + TAG, "hash": 32}[self.kind]


# The controls


@pytest.fixture(scope="module")
def held() -> Counter[str]:
    """The counts that grow while half-done hashes, each of its own transform, are held."""
    with ExitStack() as stack:

        def once() -> None:
            transform = stack.enter_context(af_alg.Transform("hash", "sha256"))
            transform.request().send(TEXT, more=True)

        try:
            return leaks.grown(once, tries=1, seconds=0)[0]
        except af_alg.NotOffered as refusal:
            refusal.skip()


@pytest.mark.parametrize("kind", leaks.KINDS, ids=lambda kind: kind.strip().replace(" ", "_"))
def test_what_stays_shows(kind: str, held: Counter[str]) -> None:
    """The control: what is held is counted, by each of the counts."""
    told = [name for name in held if name.startswith(kind)]
    pages_show = page_count.seen_in_pipes() >= page_count.LIMIT
    shown = pages_show if kind == leaks.PAGES else bool(told)
    if not shown:
        skip(f"what is held does not show in the {kind}", Reason(Cause.OTHER, name=kind.strip()))


def test_option_memory_that_stays_shows(bind: Bind) -> None:
    """The control: text without end takes more than a request that lives on may hold."""
    request = cbc(bind).request()
    for option in (32, 33):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE (asm-generic/socket.h)
        request.sock.setsockopt(socket.SOL_SOCKET, option, 1 << 24)
    with resources.option_memory(LITTLE), expect.refused(errno.ENOMEM, "text without end"):
        for _ in range(10 * LITTLE // PAGE):
            request.send(bytes(128 * PAGE), op=ENCRYPT, iv=IV, more=True)


# Requests that end well, or are left


@pytest.mark.parametrize("kind", KINDS)
def test_requests(kind: str, bind: Bind) -> None:
    """Requests that do one operation."""
    subject = Subject(kind, bind)

    def once() -> None:
        with subject.transform.request() as request:
            subject.send(request, LONG)
            request.recv(subject.result(LONG))

    LEDGER.given_back(f"{kind} requests", once)


@pytest.mark.parametrize("kind", KINDS)
def test_operations(kind: str, bind: Bind) -> None:
    """Operations of one request, the text in two parts."""
    subject = Subject(kind, bind)
    with resources.option_memory(LITTLE), subject.transform.request() as request:

        def once() -> None:
            subject.send(request, LONG, more=True)
            request.send(TEXT)
            request.recv(subject.result(LONG + TEXT))

        LEDGER.given_back(f"operations of one {kind} request", once)


@pytest.mark.parametrize("kind", KINDS)
def test_left(kind: str, bind: Bind) -> None:
    """Requests that are closed before their end: unused, amid a message, unread, half read."""
    subject = Subject(kind, bind)

    def once() -> None:
        with subject.transform.request():
            pass
        for more in (True, False):
            with subject.transform.request() as request:
                subject.send(request, LONG, more=more)
        with subject.transform.request() as request:
            subject.send(request, LONG)
            # Of an AEAD the whole is read: less than its output would be EINVAL.
            request.recv(subject.result(LONG) if kind == "aead" else 16)

    LEDGER.given_back(f"{kind} requests closed before their end", once)


def test_states(bind: Bind) -> None:
    """The state of a cipher that has one: taken up again, and left amid its message."""
    transform = bind("skcipher", "ecb(arc4)")
    transform.set_key(KEY)

    def once() -> None:
        for is_ended in (True, False):
            with transform.request() as request:
                request.send(LONG, op=ENCRYPT, more=True)
                request.recv(16)
                request.recv(16)
                if is_ended:
                    request.send(TEXT)
                    request.recv(len(LONG) + len(TEXT))

    LEDGER.given_back("states of ecb(arc4)", once)


@pytest.mark.parametrize("name", ["sha256", "hmac(sha256)"])
def test_clones(name: str, bind: Bind) -> None:
    """Clones of a half-done hash, made by accept(), used and unused."""
    transform = bind("hash", name)
    if name != "sha256":
        transform.set_key(KEY)

    def once() -> None:
        with transform.request() as request:
            request.send(TEXT, more=True)
            request.accept().close()
            with request.accept() as clone:
                clone.send(TEXT)
                clone.recv(32)
            with request.accept() as other, other.accept() as third:
                third.recv(32)

    LEDGER.given_back(f"clones of {name}", once)


# Errors


@contextmanager
def with_a_hole() -> Iterator[tuple[int, int]]:
    """A fresh page, and the address behind it, where nothing is mapped."""
    address = libc.map_memory(2 * PAGE)
    libc.unmap_memory(address + PAGE, PAGE)
    libc.memory_at(address, PAGE)[:1] = b"x"
    try:
        yield address, address + PAGE
    finally:
        libc.unmap_memory(address, PAGE)


@pytest.mark.parametrize("kind", KINDS)
def test_send_that_faults(kind: str, bind: Bind) -> None:
    """Sends of memory that is not mapped, and of which the second page is not."""
    subject = Subject(kind, bind)

    def once() -> None:
        with with_a_hole() as (good, bad):
            with (
                subject.transform.request() as request,
                expect.refused(errno.EFAULT, "a send of unmapped memory"),
            ):
                libc.sendmsg(request.fileno(), [(bad, PAGE)], flags=MSG_MORE)
            # Of this one a kernel may keep what it had got.
            with subject.transform.request() as request, tolerated(errno.EFAULT):
                libc.sendmsg(request.fileno(), [(good, PAGE), (bad, PAGE)], flags=MSG_MORE)

    LEDGER.given_back(f"{kind} sends that fault", once)


@pytest.mark.parametrize("kind", KINDS)
def test_read_that_faults(kind: str, bind: Bind) -> None:
    """Reads into memory that is not mapped, and of which the second piece is not."""
    subject = Subject(kind, bind)
    with resources.option_memory(LITTLE), subject.transform.request() as request:

        def once() -> None:
            with with_a_hole() as (good, bad):
                for pieces in ([(bad, 128)], [(good, 16), (bad, 128)]):
                    subject.send(request, TEXT)
                    with tolerated(errno.EFAULT):
                        libc.recvmsg(request.fileno(), pieces, MSG_DONTWAIT)
                    # What a refused read has left is read, or is gone (a digest).
                    request.recv(subject.result(TEXT))

        LEDGER.given_back(f"{kind} reads that fault", once)


def test_forged(bind: Bind) -> None:
    """Messages whose tag is wrong (EBADMSG)."""
    transform = gcm(bind)
    sealed = seal(transform, LONG, AAD)
    forged = AAD + sealed[:-1] + bytes([sealed[-1] ^ 1])
    with resources.option_memory(LITTLE), transform.request() as request:

        def once() -> None:
            request.send(forged, op=DECRYPT, iv=NONCE, assoclen=len(AAD))
            with expect.refused(errno.EBADMSG, "a forged message"):
                request.recv(len(forged))

        LEDGER.given_back("forged messages", once)


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_refused_read(kind: str, bind: Bind) -> None:
    """Reads that are EINVAL: half a block, less than the associated data."""
    subject = Subject(kind, bind)

    def once() -> None:
        with subject.transform.request() as request:
            if kind == "skcipher":
                subject.send(request, LONG + b"x")
                with expect.refused(errno.EINVAL, "half a block"):
                    request.recv(len(LONG) + 16)
                    request.recv(16)
            else:
                request.send(LONG, op=ENCRYPT, iv=NONCE, assoclen=len(LONG) + 1)
                with expect.refused(errno.EINVAL, "less than the associated data"):
                    request.recv(len(LONG) + 32)

    LEDGER.given_back(f"{kind} reads that are EINVAL", once)


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_refused_send(kind: str, bind: Bind) -> None:
    """Sends that are refused: a control message that is none, a second message unread."""
    subject = Subject(kind, bind)
    with subject.transform.request() as request:

        def once() -> None:
            with expect.refused(errno.EINVAL, "an unknown control message"):
                request.send(LONG, control=[(99, bytes(4))])
            with expect.refused(errno.EINVAL, "an IV that is too short"):
                request.send(LONG, op=ENCRYPT, iv=b"short")
            subject.send(request, TEXT)
            with expect.refused(errno.EINVAL, "a second message"):
                subject.send(request, TEXT)
            request.recv(subject.result(TEXT))

        LEDGER.given_back(f"{kind} sends that are EINVAL", once)


@pytest.mark.parametrize("kind", KINDS)
def test_no_memory(kind: str, bind: Bind) -> None:
    """Calls for which there is no memory, at one allocation after the other."""
    subject = Subject(kind, bind)
    # No request; the first part of one; no control message, no list of pages (4 KiB); no
    # operation, twice.
    limits = (16, least_for_a_request(subject) - 1, 1200, 4700, 5300)
    refused: set[int] = set()

    def once() -> None:
        for limit in limits:
            resources.OPTMEM.write_text(str(limit))
            # sendmsg() itself says ENOBUFS where it has no memory for control messages.
            with (
                tolerated(errno.ENOMEM, errno.ENOBUFS, seen=refused),
                subject.transform.request() as request,
            ):
                subject.send(request, LONG, more=kind == "hash")
                if kind == "hash":
                    request.accept().close()
                request.recv(subject.result(LONG))

    with resources.option_memory(LITTLE):
        LEDGER.given_back(f"{kind} calls without memory", once)
    assert errno.ENOMEM in refused, "memory never ran out"


def least_for_a_request(subject: Subject) -> int:
    """The least option memory with which a request can be had, in bytes.

    With one byte less its last part is missing, and what was allocated before it is freed.
    """
    too_little, enough = 0, 1200
    with resources.option_memory(enough):
        while enough - too_little > 1:
            limit = (too_little + enough) // 2
            resources.OPTMEM.write_text(str(limit))
            try:
                subject.transform.request().close()
                enough = limit
            except OSError as error:
                assert error.errno == errno.ENOMEM, f"accept: {error}"
                too_little = limit
    return enough


@contextmanager
def tolerated(*numbers: int, seen: set[int] | None = None) -> Iterator[None]:
    """The calls inside succeed, or fail with one of these errnos, which is kept in ``seen``."""
    try:
        yield
    except OSError as error:
        assert error.errno in numbers, f"not expected: {error}"
        if seen is not None:
            seen.add(error.errno)


# Keys


@pytest.mark.parametrize(
    ("kind", "name", "size"),
    [
        ("skcipher", "cbc(aes)", 16),
        ("aead", "gcm(aes)", 16),
        ("aead", "authenc(hmac(sha256),cbc(aes))", 0),
        ("hash", "hmac(sha256)", 200),
    ],
)
def test_keys(kind: str, name: str, size: int, bind: Bind) -> None:
    """Keys that are taken, refused, or cannot be read; sizes of tags likewise."""
    with resources.option_memory(LITTLE):
        transform = bind(kind, name)

        def once() -> None:
            if size:
                transform.set_key(KEY * (size // 16) + bytes(size % 16))
            if kind != "hash":
                with expect.refused(errno.EINVAL, "a key of 7 bytes"):
                    transform.set_key(bytes(7))
            with expect.refused(errno.EFAULT, "a key at address 1"):
                libc.setsockopt(transform.sock.fileno(), SOL_ALG, af_alg.ALG_SET_KEY, 1, 16)
            if kind == "aead":
                transform.set_authsize(12)
                with expect.refused(errno.EINVAL, "a tag of 99 bytes"):
                    transform.set_authsize(99)

        LEDGER.given_back(f"keys of {name}", once)


def test_keys_by_serial(bind: Bind) -> None:
    """Keys of the key retention service, taken and refused; nobody goes on holding them."""
    transform = bind("skcipher", "cbc(aes)")
    serials = [
        keyring.add("user", "afalg:kept", KEY),
        keyring.add("user", "afalg:too_long", bytes(200)),
        keyring.add("keyring", "afalg:ring", b""),
    ]
    before = {serial: keyring.usage(serial) for serial in serials}

    def set_key(serial: int) -> None:
        transform.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY_BY_KEY_SERIAL, serial)

    try:
        set_key(serials[0])
    except OSError as error:
        assert error.errno == errno.ENOPROTOOPT, f"a key by serial: {error}"
        skip(
            "key by serial: ENOPROTOOPT",
            Reason(Cause.OTHER, name="ALG_SET_KEY_BY_KEY_SERIAL", errno="ENOPROTOOPT"),
        )

    def once() -> None:
        set_key(serials[0])
        for serial, error in ((serials[1], errno.EINVAL), (serials[2], errno.ENOPROTOOPT)):
            with expect.refused(error, "a key that is none"):
                set_key(serial)
        with expect.refused(errno.ENOKEY, "a serial of no key"):
            set_key(0x7FFFFFF0)

    with resources.option_memory(LITTLE):
        LEDGER.given_back("keys by serial", once)
    after = {serial: keyring.usage(serial) for serial in serials}
    assert after == before, f"references to keys: expected {before}, saw {after}"
    # The control: a second keyring that links a key holds it.
    keyring.link(serials[0], serials[2])
    assert keyring.usage(serials[0]) == before[serials[0]] + 1
    keyring.unlink(serials[0], serials[2])


# Sockets


def test_keyless(bind: Bind) -> None:
    """Requests of a transform that has no key (ENOKEY), closed in either order."""
    names = (("skcipher", "cbc(aes)"), ("aead", "gcm(aes)"), ("hash", "hmac(sha256)"))

    def once() -> None:
        for kind, name in names:
            with af_alg.Transform(kind, name) as transform:
                request = transform.request()
                with expect.refused(errno.ENOKEY, f"send to {name}"):
                    request.send(TEXT)
                transform.sock.close()

    for kind, name in names:
        bind(kind, name)
    LEDGER.given_back("requests without a key", once)


def test_sockets(bind: Bind) -> None:
    """Sockets that are bound, bound again, refused, and never bound."""
    bind("hash", "sha256")
    bind("skcipher", "cbc(aes)")

    def once() -> None:
        with af_alg.open_socket() as sock:
            with expect.refused(errno.EINVAL, "accept of an unbound socket"):
                sock.accept()
            sock.bind(("hash", "sha256"))
            sock.bind(("skcipher", "cbc(aes)"))
            with expect.refused(errno.EINVAL, "a feature that is none"):
                sock.bind(("skcipher", "cbc(aes)", 1, 1))
            with expect.refused(errno.EINVAL, "an address that is too short"):
                libc.bind(sock.fileno(), bytes(16))
            with expect.refused(errno.ECONNABORTED, "accept with an address"):
                libc.accept_with_address(sock.fileno())
        for kind, protocol in ((socket.SOCK_STREAM, 0), (socket.SOCK_SEQPACKET, 1)):
            with pytest.raises(OSError):
                socket.socket(socket.AF_ALG, kind, protocol)

    LEDGER.given_back("sockets", once)


def test_random_numbers(bind: Bind) -> None:
    """Random numbers, read and not."""
    try:
        transform = bind("rng", "stdrng")
    except pytest.skip.Exception:
        transform = bind("rng", "jitterentropy_rng")
    transform.set_key(bytes(48))

    def once() -> None:
        with transform.request() as request:
            request.recv(1)
            with expect.refused(errno.EFAULT, "recv to 1"):
                libc.recvmsg(request.fileno(), [(1, 1)], MSG_DONTWAIT)

    LEDGER.given_back("random numbers", once, turns=8)


def test_generators(bind: Bind) -> None:
    """Generators that are bound, and closed with and without a request."""
    try:
        name = bind("rng", "stdrng").name
    except pytest.skip.Exception:
        name = bind("rng", "jitterentropy_rng").name

    def once() -> None:
        for is_used in (True, False):
            with af_alg.Transform("rng", name) as transform:
                if is_used:
                    transform.request()

    LEDGER.given_back(f"generators {name}", once, turns=8)


# Other ways in and out


@pytest.mark.parametrize("kind", KINDS)
def test_pages(kind: str, bind: Bind) -> None:
    """Fresh pages by splice(), sendfile() and vmsplice(), read and left in the request."""
    subject = Subject(kind, bind)
    text = pattern(2 * PAGE)

    def hand_over(request: af_alg.Request, source: pages.Source, *, by_sendfile: bool) -> None:
        if kind != "hash":
            subject.send(request, b"", more=True)
        if by_sendfile and isinstance(source, pages.FileSource):
            os.sendfile(request.fileno(), source.descriptor, 0, len(text))
            return
        with pages.pipe() as (read_end, write_end):
            source.put(write_end, 0, len(text))
            os.splice(read_end, request.fileno(), len(text))

    def once() -> None:
        for sort, by_sendfile in (("memory", False), ("memfd", False), ("memfd", True)):
            with (
                pages.source(sort, text) as source,
                subject.transform.request() as request,
                subject.transform.request() as left,
            ):
                hand_over(request, source, by_sendfile=by_sendfile)
                request.recv(subject.result(text))
                hand_over(left, source, by_sendfile=by_sendfile)

    LEDGER.given_back(f"{kind} text by reference", once)


@pytest.mark.parametrize("kind", KINDS)
def test_pinned_output(kind: str, bind: Bind) -> None:
    """Fresh pages that results are read into, several pieces at once."""
    subject = Subject(kind, bind)

    def once() -> None:
        address = libc.map_memory(7 * PAGE)
        pieces = [(address, 10), (address + PAGE - 4, PAGE), (address + 3 * PAGE, 4 * PAGE)]
        with subject.transform.request() as request:
            subject.send(request, LONG)
            libc.recvmsg(request.fileno(), pieces, MSG_DONTWAIT)
        libc.unmap_memory(address, 7 * PAGE)

    LEDGER.given_back(f"{kind} results in pieces", once)


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_aio(kind: str, bind: Bind) -> None:
    """Results read by io_submit(), right ones and such that fail."""
    subject = Subject(kind, bind)
    result = ctypes.create_string_buffer(len(LONG) + TAG)
    with aio.context() as context, subject.transform.request() as request:

        def read(length: int) -> int:
            context.submit((aio.IOCB_CMD_PREAD, request.fileno(), result, length))
            (event,) = context.events(1)
            return event.result

        def once() -> None:
            subject.send(request, LONG)
            assert read(subject.result(LONG)) == subject.result(LONG)
            if kind == "aead":
                request.send(LONG, op=DECRYPT, iv=NONCE)  # forged
                assert read(len(LONG) - TAG) == -errno.EBADMSG
            else:
                request.send(LONG[:-1], op=ENCRYPT, iv=IV)
                assert read(len(LONG)) == -errno.EINVAL

        LEDGER.given_back(f"{kind} results by io_submit()", once)


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_interrupted(kind: str, bind: Bind) -> None:
    """Reads that sleep until a signal comes (EINTR), amid a message."""
    subject = Subject(kind, bind)
    with interrupted():

        def once() -> None:
            with subject.transform.request() as request:
                subject.send(request, LONG, more=True)
                try:
                    libc.recv(request.fileno(), 8192 if kind == "aead" else len(LONG) + 16)
                except OSError as error:
                    assert error.errno == errno.EINTR, f"recv: {error}"

        LEDGER.given_back(f"{kind} reads that are interrupted", once)


@contextmanager
def interrupted() -> Iterator[None]:
    """Signals to this thread, again and again, each of which ends a system call."""
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    target, enough = threading.get_ident(), threading.Event()

    def send() -> None:
        while not enough.wait(0.001):
            signal.pthread_kill(target, signal.SIGUSR2)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        enough.set()
        sender.join()
        signal.signal(signal.SIGUSR2, before)
