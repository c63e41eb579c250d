"""Request sockets and the bound socket that they come from: af_alg_accept() and release.

A request holds its parent: the bound socket may be closed first, and its transform lives
until the last request is gone.
"""

from __future__ import annotations

import array
import errno
import os
import socket
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pytest
import resources
from af_alg import DECRYPT, ENCRYPT
from samples import IV, KEY, NONCE, TEXT, cbc, encrypt, gcm, seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind


def bound(kind: str, name: str, key: bytes = b"") -> socket.socket:
    """A bound socket that a test closes itself."""
    sock = af_alg.open_socket()
    sock.bind((kind, name))
    if key:
        sock.setsockopt(af_alg.SOL_ALG, af_alg.ALG_SET_KEY, key)
    return sock


def adopt(descriptor: int) -> socket.socket:
    """The socket of a descriptor; Python cannot ask it for its address, so tell the family."""
    return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET, 0, fileno=descriptor)


def test_parent_closed_first(bind: Bind) -> None:
    """Requests go on working when their bound socket is closed, in whatever order they go."""
    expected = encrypt(cbc(bind), TEXT)
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        with resources.balanced(f"requests closed in order {order}"):
            parent = bound("skcipher", "cbc(aes)", KEY)
            requests = [af_alg.Request(parent.accept()[0]) for _ in range(3)]
            parent.close()
            for i in order:
                requests[i].send(TEXT, op=ENCRYPT, iv=IV)
                expect.same(expected, requests[i].recv(64), "encryption without the parent")
                requests[i].close()


@pytest.mark.parametrize("key", [b"", KEY], ids=["keyless", "keyed"])
@pytest.mark.parametrize(
    "kind, name", [("hash", "hmac(sha256)"), ("skcipher", "cbc(aes)"), ("aead", "gcm(aes)")]
)
def test_nothing_leaks(kind: str, name: str, key: bytes, bind: Bind) -> None:
    """Accepting and closing, parent first or last, gives back sockets, modules, transforms."""
    bind(kind, name).close()

    def once(parent_first: bool) -> None:
        parent = bound(kind, name, key)
        requests = [parent.accept()[0] for _ in range(2)]
        if parent_first:
            parent.close()
        requests.pop().close()
        requests.pop().close()
        parent.close()

    with resources.balanced(f"{kind} {name}"):
        for parent_first in (True, False) * 2:
            once(parent_first)


def test_accept_again_after_all_closed(bind: Bind) -> None:
    """A bound socket whose requests are all closed gives new ones, again and again."""
    transform = cbc(bind)
    expected = encrypt(transform, TEXT)
    for _ in range(3):
        with transform.request(), transform.request():
            pass
        expect.same(expected, encrypt(transform, TEXT), "encryption")


def test_requests_are_independent(bind: Bind) -> None:
    """Each request has its own operation, IV and data, sent in turns."""
    transform = cbc(bind)
    expected = {iv: encrypt(transform, TEXT, iv) for iv in (IV, bytes(16))}
    ahead, behind, back = (transform.request() for _ in range(3))
    ahead.send(TEXT[:16], op=ENCRYPT, iv=IV, more=True)
    behind.send(TEXT[:32], op=ENCRYPT, iv=bytes(16), more=True)
    back.send(expected[IV], op=DECRYPT, iv=IV)
    ahead.send(TEXT[16:])
    behind.send(TEXT[32:])
    expect.same(expected[bytes(16)], behind.recv(64), "second request")
    expect.same(expected[IV], ahead.recv(64), "first request")
    expect.same(TEXT, back.recv(64), "third request")


def test_accept_flags(bind: Bind) -> None:
    """accept4() takes SOCK_NONBLOCK: such a request never blocks."""
    transform = cbc(bind)
    fd, _ = transform.sock._accept()  # type: ignore[attr-defined]  # Python's accept4()
    with af_alg.Request(adopt(fd)) as request:
        assert not os.get_inheritable(fd), "accept4(SOCK_CLOEXEC) without effect"
        os.set_blocking(fd, False)
        with expect.refused(errno.EAGAIN, "read of nothing"):
            os.read(fd, 16)
        with expect.refused(errno.EAGAIN, "recv of nothing"):
            request.sock.recv(16)
        request.send(TEXT, op=ENCRYPT, iv=IV)
        expect.same(encrypt(transform, TEXT), os.read(fd, 64), "encryption")


def test_accept_by_another_address(bind: Bind) -> None:
    """ECONNABORTED for the sake of an address takes nothing away: sockets are given back."""
    transform = bind("hash", "sha256")
    transform.request().close()
    with (
        resources.balanced("accept with an address buffer"),
        expect.refused(errno.ECONNABORTED, "accept with an address buffer"),
    ):
        libc.accept_with_address(transform.sock.fileno())
    transform.sock.bind(("hash", "sha256"))


# One request, several descriptors


def test_dup(bind: Bind) -> None:
    """A duplicated descriptor is the same request, and outlives the first."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:32], op=ENCRYPT, iv=IV, more=True)
    with af_alg.Request(request.sock.dup()) as twin:
        request.close()
        with expect.refused(errno.EBUSY, "key with the duplicate open"):
            transform.set_key(KEY)
        twin.send(TEXT[32:])
        seen = twin.recv(64)
    transform.set_key(KEY)
    expect.same(encrypt(transform, TEXT), seen, "encryption by the duplicate")


def test_fork(bind: Bind) -> None:
    """A forked child goes on with the request, and its exit leaves it to the parent."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:16], op=ENCRYPT, iv=IV, more=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            request.send(TEXT[16:48], more=True)
            status = 0 if len(request.recv(16)) == 16 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    request.send(TEXT[48:])
    expect.same(encrypt(transform, TEXT)[16:], request.recv(64), "what the child left")


def test_passed_to_another_socket(bind: Bind) -> None:
    """A request passed with SCM_RIGHTS works at the other end, also half-sent."""
    transform = gcm(bind)
    expected = seal(transform, TEXT)
    request = transform.request()
    request.send(TEXT[:10], op=ENCRYPT, iv=NONCE, assoclen=0, more=True)
    left, right = socket.socketpair()
    with left, right:
        socket.send_fds(left, [b"x"], [request.fileno()])
        request.close()
        _, fds, _, _ = socket.recv_fds(right, 1, 1)
    with af_alg.Request(adopt(fds[0])) as received:
        received.send(TEXT[10:])
        expect.same(expected, received.recv(80), "encryption by the request received")


def test_closed_in_flight(bind: Bind) -> None:
    """Requests left in a socket that is closed unread are given back."""
    cbc(bind).close()
    with resources.balanced("requests in an unread message"):
        parent = bound("skcipher", "cbc(aes)", KEY)
        left, right = socket.socketpair()
        with left, right, parent, parent.accept()[0] as request:
            socket.send_fds(left, [b"x"], [request.fileno()])


def test_descriptors_through_a_request(bind: Bind) -> None:
    """SCM_RIGHTS given to a request is a control message of another level: it is ignored."""
    transform = cbc(bind)
    expected = encrypt(transform, TEXT)
    request = transform.request()
    with resources.balanced("a descriptor sent to a request"):
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [request.fileno()]))
        request.sock.sendmsg(
            [TEXT],
            [
                rights,
                *(
                    (af_alg.SOL_ALG, kind, data)
                    for kind, data in (af_alg.op_message(ENCRYPT), af_alg.iv_message(IV))
                ),
            ],
        )
        expect.same(expected, request.recv(64), "encryption")


# Closing in every state


STATES: dict[str, Callable[[af_alg.Request], object]] = {
    "fresh": lambda request: None,
    "empty": lambda request: request.send(op=ENCRYPT, iv=IV),
    "half_sent": lambda request: request.send(TEXT[:24], op=ENCRYPT, iv=IV, more=True),
    "unread": lambda request: request.send(TEXT, op=ENCRYPT, iv=IV),
    "half_read": lambda request: (
        request.send(TEXT, op=ENCRYPT, iv=IV),
        request.recv(16),
    ),
    "full": lambda request: request.send(bytes(1 << 18), op=ENCRYPT, iv=IV, flags=0x40),
}


@pytest.mark.parametrize("state", STATES)
def test_close(state: str, bind: Bind) -> None:
    """A request closed in any state takes nothing with it, and its parent can be keyed."""
    transform = cbc(bind)
    with resources.balanced(f"request closed {state}"):
        for _ in range(2):
            with transform.request() as request:
                STATES[state](request)
    transform.set_key(KEY)
