"""Sockets whose making, binding, keying and accepting runs out of memory.

A socket without an inode is ENFILE ("not exactly a match", net/socket.c says), all else that
cannot be allocated is ENOMEM.
"""

from __future__ import annotations

import errno
import hashlib
import select
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import expect
import keyring
import pytest
from af_alg import ENCRYPT, SOL_ALG
from fault_injection import TURNS
from samples import IV, KEY, NONCE, TAG, TEXT, cbc, encrypt, gcm, seal

if TYPE_CHECKING:
    from conftest import Bind
    from fault_injection import Call, Faults

NO_SOCKET = frozenset({errno.ENOMEM, errno.ENFILE})
OTHER_KEY = bytes(range(200, 216))
SUBJECTS = {
    "skcipher": "cbc(aes)",
    "aead": "gcm(aes)",
    "hash": "hmac(sha256)",
    "rng": "jitterentropy_rng",
}


def subject(bind: Bind, kind: str) -> af_alg.Transform:
    """A transform of each kind, keyed with KEY."""
    if kind == "skcipher":
        return cbc(bind)
    if kind == "aead":
        return gcm(bind)
    transform = bind(kind, SUBJECTS[kind])
    transform.set_key(KEY)
    return transform


def answer(transform: af_alg.Transform) -> bytes:
    """What it makes of TEXT, by a request of its own; of a generator only that it gives some."""
    if transform.kind == "skcipher":
        return encrypt(transform, TEXT)
    if transform.kind == "aead":
        return seal(transform, TEXT)
    with transform.request() as request:
        if transform.kind == "hash":
            request.send(TEXT)
        return bytes(len(request.recv(32))) if transform.kind == "rng" else request.recv(32)


def answer_of(transform: af_alg.Transform, request: af_alg.Request) -> bytes:
    """The same by a request that was accepted already."""
    if transform.kind in {"skcipher", "aead"}:
        iv = IV if transform.kind == "skcipher" else NONCE
        request.send(TEXT, op=ENCRYPT, iv=iv)
        return request.recv(len(TEXT) + (TAG if transform.kind == "aead" else 0))
    if transform.kind == "hash":
        request.send(TEXT)
        return request.recv(32)
    return bytes(len(request.recv(32)))


def test_socket(faults: Faults) -> None:
    """A socket that cannot be made is ENOMEM or ENFILE, and the next one can be."""

    def check(_: None, seen: Call[socket.socket]) -> None:
        if seen.result is not None:
            seen.result.close()
        af_alg.open_socket().close()

    faults.nothing_lost(
        "socket()",
        lambda: faults.each(
            "socket()",
            prepare=lambda: None,
            call=lambda _: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0),
            check=check,
            errors=NO_SOCKET,
        ),
    )


@pytest.mark.parametrize("kind", SUBJECTS)
def test_bind(faults: Faults, kind: str, bind: Bind) -> None:
    """A socket that could not be bound is unbound; bound again, it works.

    The algorithm is there already: what else makes it may run out of memory in the thread
    that tests algorithms, which is not looked at.
    """
    transform = subject(bind, kind)
    expected = answer(transform)

    def check(sock: socket.socket, seen: Call[bool]) -> None:
        with sock:
            if seen.error is not None:
                with expect.refused(errno.EINVAL, "accept() on a socket that was not bound"):
                    sock.accept()
                sock.bind((kind, SUBJECTS[kind]))
            again = af_alg.Transform(kind, SUBJECTS[kind], bound=sock)
            again.set_key(KEY)
            if kind == "aead":
                again.set_authsize(TAG)
            expect.same(expected, answer(again), "answer once it is bound")

    def call(sock: socket.socket) -> bool:
        sock.bind((kind, SUBJECTS[kind]))
        return True

    faults.nothing_lost(
        f"bind() of {kind}",
        lambda: faults.each("bind()", prepare=af_alg.open_socket, call=call, check=check),
    )


def test_bind_anew(faults: Faults, bind: Bind) -> None:
    """A bound socket that cannot be bound to something else stays what it was."""
    bind("hash", "sha1"), bind("hash", "sha256")

    def prepare() -> af_alg.Transform:
        return af_alg.Transform("hash", "sha1")

    def call(transform: af_alg.Transform) -> bool:
        transform.sock.bind(("hash", "sha256"))
        return True

    def check(transform: af_alg.Transform, seen: Call[bool]) -> None:
        with transform:
            name = "sha1" if seen.error is not None else "sha256"
            expect.same(hashlib.new(name, TEXT).digest(), answer(transform), f"{name} of it")

    faults.nothing_lost(
        "bind() of a bound socket",
        lambda: faults.each("bind()", prepare=prepare, call=call, check=check),
    )


@pytest.mark.parametrize(
    "kind, way", [*((kind, "by_value") for kind in SUBJECTS), ("skcipher", "by_serial")]
)
def test_key(faults: Faults, kind: str, way: str, bind: Bind) -> None:
    """Without memory for a key the old one stays or none is left (ENOKEY): never a mixture."""
    transform = subject(bind, kind)
    before = answer(transform)
    transform.set_key(OTHER_KEY)
    after = answer(transform)
    serial = keyring.add("user", "afalg:faults", OTHER_KEY)
    option, value = af_alg.ALG_SET_KEY, OTHER_KEY
    if way == "by_serial":
        option, value = af_alg.ALG_SET_KEY_BY_KEY_SERIAL, struct.pack("=i", serial)
        try:
            transform.sock.setsockopt(SOL_ALG, option, value)
        except OSError as error:
            keyring.unlink(serial)
            if error.errno == errno.ENOPROTOOPT:  # before 7984ceb134bf (6.2)
                af_alg.failed("ALG_SET_KEY_BY_KEY_SERIAL", error).skip()
            raise

    def call(_: None) -> bool:
        transform.sock.setsockopt(SOL_ALG, option, value)
        return True

    def check(_: None, seen: Call[bool]) -> None:
        if seen.error is None:
            expect.same(after, answer(transform), "answer with the new key")
            return
        # A DRBG that could not be seeded says EINVAL.
        gone = errno.EINVAL if kind == "rng" else errno.ENOKEY
        try:
            seen_then = answer(transform)
        except OSError as error:
            assert error.errno == gone, f"use after it: {af_alg.errno_name(error)}"
        else:
            expect.same(before, seen_then, "answer with the key that was there before")
        call(None)
        expect.same(after, answer(transform), "answer once it is keyed again")

    users = key_users(serial)
    faults.nothing_lost(
        f"a key {way} of {kind}",
        lambda: faults.each("key", prepare=lambda: transform.set_key(KEY), call=call, check=check),
        of=(transform.sock,),
    )
    assert key_users(serial) == users, f"{key_users(serial)} users of the key, {users} before"
    keyring.unlink(serial)


def key_users(serial: int) -> int:
    """References to a key (/proc/keys)."""
    for line in Path("/proc/keys").read_text().splitlines():
        words = line.split()
        if int(words[0], 16) == serial:
            return int(words[2])
    raise AssertionError(f"key {serial} is not in /proc/keys")


def test_authsize(faults: Faults, bind: Bind) -> None:
    """The length of a tag takes no memory, or says that there is none."""
    transform = gcm(bind)

    def call(_: None) -> bool:
        transform.set_authsize(12)
        return True

    def check(_: None, seen: Call[bool]) -> None:
        with transform.request() as request:
            request.send(TEXT, op=ENCRYPT, iv=NONCE)
            tag = len(request.recv(len(TEXT) + TAG)) - len(TEXT)
        assert tag == (TAG if seen.error is not None else 12), f"a tag of {tag} bytes"

    faults.nothing_lost(
        "length of a tag",
        lambda: faults.each(
            "length", prepare=lambda: transform.set_authsize(TAG), call=call, check=check
        ),
        of=(transform.sock,),
        allocates=False,
    )


@pytest.mark.parametrize("kind", SUBJECTS)
def test_accept(faults: Faults, kind: str, bind: Bind) -> None:
    """A request that cannot be accepted leaves no trace: the next one is, and works.

    That nothing is left of it shows in that the transform can be keyed, which an open
    request would make EBUSY.
    """
    accept(faults, kind, bind, key="keyed")
    if kind != "rng":  # whose requests would need no key
        accept(faults, kind, bind, key="unkeyed")


def accept(faults: Faults, kind: str, bind: Bind, *, key: str) -> None:
    """The same for a transform that has a key, or for new ones without."""
    known = subject(bind, kind)
    expected = answer(known)
    known.request().close()

    def prepare() -> af_alg.Transform:
        return known if key == "keyed" else af_alg.Transform(kind, SUBJECTS[kind])

    def check(transform: af_alg.Transform, seen: Call[tuple[socket.socket, object]]) -> None:
        if seen.result is not None:
            with af_alg.Request(seen.result[0]) as request:
                if key == "unkeyed":
                    transform.set_key(KEY)
                expect.same(expected, answer_of(transform, request), "answer")
        transform.set_key(KEY)
        expect.same(expected, answer(transform), "answer to the next request")
        if transform is not known:
            transform.close()

    faults.nothing_lost(
        f"accept() of {kind}",
        lambda: faults.each(
            "accept()",
            prepare=prepare,
            call=lambda transform: transform.sock.accept(),
            check=check,
            errors=NO_SOCKET,
        ),
        of=(known.sock,),
    )


@pytest.mark.parametrize("amid", ["half_done", "unused"])
def test_clone(faults: Faults, amid: str, bind: Bind) -> None:
    """A hash that cannot be cloned goes on as if nobody had tried."""
    transform = subject(bind, "hash")
    with transform.request() as request:
        request.send(TEXT + b"end")
        expected = request.recv(32)

    def prepare() -> af_alg.Request:
        request = transform.request()
        if amid == "half_done":
            request.send(TEXT, more=True)
        return request

    def check(request: af_alg.Request, seen: Call[tuple[socket.socket, object]]) -> None:
        rest = b"end" if amid == "half_done" else TEXT + b"end"
        with request:
            if seen.result is not None:
                with af_alg.Request(seen.result[0]) as clone:
                    clone.send(rest)
                    expect.same(expected, clone.recv(32), "digest of the clone")
            request.send(rest)
            expect.same(expected, request.recv(32), "digest of the original")

    faults.nothing_lost(
        f"a clone of a {amid} hash",
        lambda: faults.each(
            "accept()",
            prepare=prepare,
            call=lambda request: request.sock.accept(),
            check=check,
            errors=NO_SOCKET,
        ),
        of=(transform.sock,),
    )


def test_poll(faults: Faults, bind: Bind) -> None:
    """A request that could not be watched can be afterwards, and its events come.

    EPOLLIN alone would be of no use: af_alg_data_wakeup() wakes for EPOLLOUT, EPOLLRDNORM and
    EPOLLRDBAND when there is something to read.
    """
    wanted = select.EPOLLIN | select.EPOLLRDNORM
    request = cbc(bind).request()
    request.send(op=ENCRYPT, iv=IV, more=True)

    def call(watch: select.epoll) -> bool:
        watch.register(request.fileno(), wanted)
        return True

    def check(watch: select.epoll, seen: Call[bool]) -> None:
        with watch:
            if seen.error is not None:
                call(watch)
            assert watch.poll(0) == [], "readable before anything was sent"
            request.send(TEXT, more=True)
            events = watch.poll(0)
            request.recv(len(TEXT))
            assert events == [(request.fileno(), wanted)], f"events {events}"

    faults.nothing_lost(
        "epoll_ctl()",
        lambda: faults.each("epoll_ctl()", prepare=select.epoll, call=call, check=check),
        of=(request.sock,),
    )


@pytest.mark.parametrize("kind", ["skcipher", "aead", "hash"])
def test_close(faults: Faults, kind: str, bind: Bind) -> None:
    """Closing a request with all that it holds needs no memory and does not fail."""
    transform = subject(bind, kind)
    expected = answer(transform)

    def prepare() -> af_alg.Request:
        request = transform.request()
        iv = {"skcipher": IV, "aead": NONCE, "hash": None}[kind]
        request.send(bytes(3 * 4096), op=None if iv is None else ENCRYPT, iv=iv, more=True)
        return request

    def call(request: af_alg.Request) -> bool:
        request.close()
        return True

    def check(_: af_alg.Request, seen: Call[bool]) -> None:
        assert seen.value
        expect.same(expected, answer(transform), "answer to the next request")

    faults.nothing_lost(
        f"close() of a {kind}",
        lambda: faults.each("close()", prepare=prepare, call=call, check=check, errors=frozenset()),
        of=(transform.sock,),
        turns=TURNS,
        allocates=False,
    )


def test_entropy(faults: Faults, bind: Bind) -> None:
    """Entropy of a test (CONFIG_CRYPTO_USER_API_RNG_CAVP) that finds no memory is not taken."""
    bind("rng", "stdrng")

    def prepare() -> af_alg.Transform:
        transform = af_alg.Transform("rng", "stdrng")
        transform.set_key(bytes(48))
        return transform

    def call(transform: af_alg.Transform) -> bool:
        transform.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_DRBG_ENTROPY, bytes(48))
        return True

    def check(transform: af_alg.Transform, seen: Call[bool]) -> None:
        with transform:
            if seen.error is not None:
                call(transform)
            with expect.refused(errno.EINVAL, "entropy, a second time"):
                call(transform)

    with prepare() as transform:
        try:
            call(transform)
        except OSError as error:
            af_alg.failed("ALG_SET_DRBG_ENTROPY", error).skip()
    faults.nothing_lost(
        "entropy", lambda: faults.each("entropy", prepare=prepare, call=call, check=check)
    )
