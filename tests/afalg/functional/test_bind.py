"""socket() and bind(): alg_create() and alg_bind() of crypto/af_alg.c.

The name is what the address holds after its first 24 bytes, its last byte taken for the
terminator whatever it is. A transform is allocated before the socket is looked at, so an
attempt that is refused has one to give back. Since 7524070f26d8 (7.2) feature and mask
bits are checked and then ignored; before, they narrowed the choice of implementations.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pytest
import resources
from af_alg import ENCRYPT, socket_address
from samples import IV, TEXT, cbc, encrypt, gcm
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind

DRIVER_ONLY = 0x1000  # CRYPTO_ALG_KERN_DRIVER_ONLY

#: An algorithm of each type that nearly every kernel has.
KINDS = {
    "hash": "sha256",
    "skcipher": "cbc(aes)",
    "aead": "gcm(aes)",
    "rng": "jitterentropy_rng",
}


def digest(sock: socket.socket) -> bytes:
    """The digest of a text by a bound socket."""
    with sock.accept()[0] as request:
        request.send(TEXT)
        return request.recv(64, socket.MSG_DONTWAIT)


@pytest.mark.parametrize("kind", KINDS)
def test_type_is_loaded(kind: str, bind: Bind) -> None:
    """bind() loads the module of a type: none that modprobe can load is refused."""
    if Path(f"/sys/module/algif_{kind}").exists():
        bind(kind, KINDS[kind])
        return
    with af_alg.open_socket() as sock:
        try:
            sock.bind((kind, KINDS[kind]))
        except FileNotFoundError:
            subprocess.run(["modprobe", f"algif-{kind}"], check=False, capture_output=True)
            if not Path(f"/sys/module/algif_{kind}").exists():
                skip(
                    f"bind {kind}: ENOENT, and modprobe does not load it either",
                    Reason(Cause.NOT_BOUND, kind, KINDS[kind], "ENOENT"),
                )
            bind(kind, KINDS[kind])
            pytest.fail(f"bind {kind}: ENOENT, though modprobe algif-{kind} makes it work")


def test_type_is_unloaded(bind: Bind) -> None:
    """The module of a type stays while a socket is bound to it, goes then, and comes back."""
    transform = gcm(bind)
    if not Path("/sys/module/algif_aead/refcnt").exists():
        skip("algif_aead is built in", Reason(Cause.NO_MODULE, name="algif_aead"))
    with expect.refused(errno.EAGAIN, "delete_module(algif_aead) with a bound socket"):
        libc.delete_module("algif_aead")
    transform.close()
    libc.delete_module("algif_aead")
    assert not Path("/sys/module/algif_aead").exists()
    gcm(bind).request()
    assert Path("/sys/module/algif_aead").exists()


def test_socketpair(bind: Bind) -> None:
    """There are no pairs of AF_ALG sockets."""
    bind("hash", "sha256")
    with resources.balanced("socketpair"), expect.refused(errno.EOPNOTSUPP, "socketpair(AF_ALG)"):
        socket.socketpair(socket.AF_ALG, socket.SOCK_SEQPACKET)


def test_socket_options(bind: Bind) -> None:
    """Bound socket and request say their family, type and protocol."""
    transform = bind("hash", "sha256")
    for sock in (transform.sock, transform.request().sock):
        seen = [
            sock.getsockopt(socket.SOL_SOCKET, option)
            for option in (socket.SO_DOMAIN, socket.SO_TYPE, socket.SO_PROTOCOL)
        ]
        assert seen == [socket.AF_ALG, socket.SOCK_SEQPACKET, 0]
        with expect.refused(errno.EOPNOTSUPP, "getsockopt(SOL_ALG)"):
            sock.getsockopt(af_alg.SOL_ALG, af_alg.ALG_SET_KEY)


def test_name_end(bind: Bind) -> None:
    """The last byte of the address ends the name: one byte too short is another name."""
    bind("hash", "sha256")
    for name in (b"sha256\0", b"sha256X", b"sha256\0garbage"):
        with af_alg.open_socket() as sock:
            libc.bind(sock.fileno(), socket_address(name))
            expect.same(hashlib.sha256(TEXT).digest(), digest(sock), f"digest by {name!r}")
    for name, number in (
        (b"", errno.EINVAL),
        (b"s", errno.ENOENT),  # the empty name
        (b"sha256", errno.ENOENT),  # sha25
        (b"A" * 104, errno.ENOENT),  # the longest that bind() takes, not terminated
        (b"sha256".ljust(105, b"\0"), errno.EINVAL),
    ):
        with (
            af_alg.open_socket() as sock,
            expect.refused(number, f"bind to the name {name!r} in {24 + len(name)} bytes"),
        ):
            libc.bind(sock.fileno(), socket_address(name))


def test_type_end(bind: Bind) -> None:
    """The type ends at its first zero byte, or else at the 14th."""
    bind("hash", "sha256")
    with af_alg.open_socket() as sock:
        with expect.refused(errno.ENOENT, "bind to a type of 14 bytes"):
            libc.bind(sock.fileno(), socket_address(b"sha256\0", b"hash-and-more!"))
        libc.bind(sock.fileno(), socket_address(b"sha256\0", b"hash\0and-more!"))
        expect.same(hashlib.sha256(TEXT).digest(), digest(sock), "digest")


def test_name_and_type_decide(bind: Bind) -> None:
    """An algorithm is found under its own type only."""
    for kind, other in (("hash", "skcipher"), ("skcipher", "aead"), ("aead", "hash")):
        bind(kind, KINDS[kind])
        with af_alg.open_socket() as sock:
            try:
                sock.bind((kind, KINDS[other]))
            except OSError as error:
                # EINVAL: a template (cbc, gcm) that makes another type
                seen = af_alg.errno_name(error)
                assert seen in ("ENOENT", "EINVAL"), f"bind of {KINDS[other]} as {kind}: {seen}"
            else:
                pytest.fail(f"bind of {KINDS[other]} as {kind} was accepted")


def test_address_family(bind: Bind) -> None:
    """The family in the address is not looked at."""
    bind("hash", "sha256")
    with af_alg.open_socket() as sock:
        libc.bind(sock.fileno(), socket_address(b"sha256\0", family=socket.AF_INET))
        expect.same(hashlib.sha256(TEXT).digest(), digest(sock), "digest")


def test_address_unreadable(bind: Bind) -> None:
    """An address that cannot be read is EFAULT."""
    transform = bind("hash", "sha256")
    with expect.refused(errno.EFAULT, "bind with an address at 1"):
        libc.bind_at(transform.sock.fileno(), 1, 88)
    expect.same(hashlib.sha256(TEXT).digest(), digest(transform.sock), "digest")


@pytest.mark.parametrize("which", ["feature", "mask"])
def test_each_bit(which: str, bind: Bind) -> None:
    """Of the 32 feature and mask bits only CRYPTO_ALG_KERN_DRIVER_ONLY is not EINVAL."""
    bind("hash", "sha256")
    for bit in (1 << i for i in range(32)):
        feature, mask = (bit, 0) if which == "feature" else (0, bit)
        with af_alg.open_socket() as sock:
            encoded = socket_address(b"sha256\0", feature=feature, mask=mask)
            if bit == DRIVER_ONLY:
                libc.bind(sock.fileno(), encoded)
                expect.same(hashlib.sha256(TEXT).digest(), digest(sock), "digest")
                continue
            with expect.refused(errno.EINVAL, f"bind with {which} {bit:#x}"):
                libc.bind(sock.fileno(), encoded)
            with expect.refused(errno.EINVAL, f"bind with {which} {bit | DRIVER_ONLY:#x}"):
                libc.bind(
                    sock.fileno(),
                    socket_address(
                        b"sha256\0",
                        feature=feature and feature | DRIVER_ONLY,
                        mask=mask and mask | DRIVER_ONLY,
                    ),
                )


def test_driver_only(bind: Bind) -> None:
    """Asking for a kernel driver only is no EINVAL: it finds one or none (ENOENT)."""
    bind("hash", "sha256")
    with af_alg.open_socket() as sock:
        try:
            sock.bind(("hash", "sha256", DRIVER_ONLY, DRIVER_ONLY))
        except FileNotFoundError:
            return  # before 7524070f26d8 (7.2)
        expect.same(hashlib.sha256(TEXT).digest(), digest(sock), "digest")


def test_rebind(bind: Bind) -> None:
    """A socket bound anew is the other algorithm, of another type too, and has no key."""
    transform = bind("hash", "sha256")
    expect.same(hashlib.sha256(TEXT).digest(), digest(transform.sock), "digest")
    transform.sock.bind(("hash", "sha1"))
    expect.same(hashlib.sha1(TEXT).digest(), digest(transform.sock), "digest after binding anew")
    expected = encrypt(cbc(bind), TEXT)
    for _ in range(2):
        transform.sock.bind(("skcipher", "cbc(aes)"))
        with transform.request() as request, expect.refused(errno.ENOKEY, "send without a key"):
            request.send(TEXT, op=ENCRYPT, iv=IV)
        transform.set_key(bytes(range(16)))
        expect.same(expected, encrypt(transform, TEXT), "encryption after binding anew")


def test_refused_bind_changes_nothing(bind: Bind) -> None:
    """A bind that is refused leaves the algorithm and the key that were there."""
    transform = cbc(bind)
    before = encrypt(transform, TEXT)
    with transform.request() as request:
        with expect.refused(errno.EBUSY, "bind with an open request"):
            transform.sock.bind(("hash", "sha256"))
        with expect.refused(errno.ENOENT, "bind to an unknown name"):
            transform.sock.bind(("skcipher", "afalg-no-such-name"))
        request.send(TEXT, op=ENCRYPT, iv=IV)
        expect.same(before, request.recv(64), "encryption by the open request")
    expect.same(before, encrypt(transform, TEXT), "encryption by a new request")


@pytest.mark.parametrize("kind", ["hash", "skcipher", "aead"])
def test_nothing_leaks(kind: str, bind: Bind) -> None:
    """Sockets bound, bound anew, refused and closed give back modules and transforms."""
    name = KINDS[kind]
    bind(kind, name).close()

    def once() -> None:
        with af_alg.open_socket() as sock:
            sock.bind((kind, name))
            sock.bind((kind, name))
            with expect.refused(errno.ENOENT, "bind to an unknown name"):
                sock.bind((kind, "afalg-no-such-name"))
            with sock.accept()[0], expect.refused(errno.EBUSY, "bind with an open request"):
                sock.bind((kind, name))

    once()
    with resources.balanced(f"{kind} {name}"):
        once()
        once()


def test_calls_without_a_meaning(bind: Bind) -> None:
    """What bound sockets and requests do not have is EOPNOTSUPP, for every type of them."""
    sockets = {}
    for kind in ("hash", "skcipher", "aead"):
        transform = bind(kind, KINDS[kind])
        sockets[f"{kind} bound"] = transform.sock
        sockets[f"{kind} request"] = transform.request().sock
        if kind != "hash":
            transform = cbc(bind) if kind == "skcipher" else gcm(bind)
            sockets[f"{kind} keyed request"] = transform.request().sock
    transform = bind("hash", "hmac(sha256)")
    sockets["hash keyless request"] = transform.request().sock
    for what, sock in sockets.items():
        calls: dict[str, Callable[[socket.socket], object]] = {
            "connect": lambda sock: sock.connect(("hash", "sha256")),
            "listen": lambda sock: sock.listen(1),
            "shutdown": lambda sock: sock.shutdown(socket.SHUT_RDWR),
            "getsockname": lambda sock: sock.getsockname(),
            "getpeername": lambda sock: sock.getpeername(),
        }
        if "request" in what:
            calls["bind"] = lambda sock: sock.bind(("hash", "sha256"))
            calls["setsockopt"] = lambda sock: sock.setsockopt(af_alg.SOL_ALG, 1, bytes(16))
            if "hash" not in what:
                calls["accept"] = lambda sock: sock.accept()
        else:
            calls["send"] = lambda sock: sock.send(TEXT)
            calls["recv"] = lambda sock: sock.recv(16, socket.MSG_DONTWAIT)
            calls["read"] = lambda sock: os.read(sock.fileno(), 16)
            calls["write"] = lambda sock: os.write(sock.fileno(), TEXT)
        for call, function in calls.items():
            with expect.refused(errno.EOPNOTSUPP, f"{call} of {what}"):
                function(sock)
