"""Readiness: af_alg_poll(), and who is told of a change.

Readable unless a message is under way without any data (``!ctx->more || ctx->used``);
writable while a page fits into the send buffer. So a fresh request is said to be readable,
although recv() gives EAGAIN. Hash and rng requests have no poll() of their own: nothing is
ever reported, in 6.1 and 7.3 alike. A send tells those who wait for EPOLLOUT, EPOLLRDNORM
or EPOLLRDBAND, a recv those who wait for EPOLLIN, EPOLLRDNORM or EPOLLRDBAND (sic:
af_alg_data_wakeup() and af_alg_wmem_wakeup()).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import af_alg
import blocking
import expect
import libc
import pytest
from af_alg import ENCRYPT
from pages import PAGE
from samples import IV, NONCE, TEXT, cbc, encrypt, gcm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bind

READABLE = select.POLLIN | select.POLLRDNORM
WRITABLE = select.POLLOUT | select.POLLWRNORM | select.POLLWRBAND
ALL = READABLE | WRITABLE | select.POLLRDBAND | select.POLLPRI | select.POLLRDHUP
SIGNAL = signal.SIGRTMIN + 2
POLL_IN, POLL_OUT = 1, 2  # si_code
F_SETSIG = 10


def events(request: af_alg.Request) -> int:
    """What poll() reports at once."""
    poller = select.poll()
    poller.register(request.fileno(), ALL)
    seen = poller.poll(0)
    return seen[0][1] if seen else 0


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_states(kind: str, bind: Bind) -> None:
    """poll() in each state of a request, all bits: fresh, begun, half-sent, full, complete."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    iv = IV if kind == "skcipher" else NONCE
    with transform.request() as request:
        assert events(request) == READABLE | WRITABLE, "fresh"
        request.send(op=ENCRYPT, iv=iv, more=True)
        assert events(request) == WRITABLE, "begun, without data"
        request.send(b"x", more=True)
        assert events(request) == READABLE | WRITABLE, "one byte sent"
        size = request.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // PAGE * PAGE
        request.send(bytes(size - PAGE - 1), more=True)
        assert events(request) == READABLE | WRITABLE, "a page left"
        request.send(b"x", more=True)
        assert events(request) == READABLE, "less than a page left"
        request.send(bytes(PAGE), more=True, flags=af_alg.MSG_DONTWAIT)
        assert events(request) == READABLE, "full"
        with expect.refused(errno.EAGAIN, "send to a full request"):
            request.send(b"x", more=True, flags=af_alg.MSG_DONTWAIT)
        if kind == "skcipher":
            assert len(request.recv(16)) == 16
            assert events(request) == READABLE, "room for a block"
            assert len(request.recv(PAGE)) == PAGE
            assert events(request) == READABLE | WRITABLE, "room for a page"
            while events(request) & select.POLLIN:
                request.recv(1 << 20)
            assert events(request) == WRITABLE, "all read, more to come"
            request.send()
        else:
            with expect.refused(errno.EAGAIN, "recv amid MSG_MORE"):
                request.recv(16)
            request.send()
            assert events(request) == READABLE, "full and complete"
            assert len(request.recv(1 << 20)) > 0
        assert events(request) & READABLE == READABLE, "complete"


@pytest.mark.parametrize("kind, name", [("skcipher", "cbc(aes)"), ("aead", "gcm(aes)")])
def test_without_key(kind: str, name: str, bind: Bind) -> None:
    """A request without a key is polled like a fresh one."""
    assert events(bind(kind, name).request()) == READABLE | WRITABLE


def test_hash(bind: Bind) -> None:
    """A hash request and a bound socket report no events, in whatever state."""
    transform = bind("hash", "sha256")
    poller = select.poll()
    poller.register(transform.sock, ALL)
    assert poller.poll(0) == [], "bound socket"
    request = transform.request()
    for more in (True, False):
        assert events(request) == 0
        request.send(TEXT, more=more)
    assert events(request) == 0


def edge(request: af_alg.Request, mask: int) -> select.epoll:
    """An edge-triggered watch whose first report is over."""
    watch = select.epoll()
    watch.register(request.fileno(), mask | select.EPOLLET)
    watch.poll(0)
    assert not watch.poll(0), "an edge-triggered event twice"
    return watch


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_epoll_edges(kind: str, bind: Bind) -> None:
    """Edge-triggered epoll reports after a send and after a recv, to each who waits."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    iv = IV if kind == "skcipher" else NONCE
    with transform.request() as request:
        watches = {
            mask: edge(request, mask)
            for mask in (select.EPOLLIN, select.EPOLLOUT, select.EPOLLRDNORM)
        }
        request.send(TEXT, op=ENCRYPT, iv=iv, more=True)
        for mask in (select.EPOLLOUT, select.EPOLLRDNORM):
            assert watches[mask].poll(0), f"nothing reported for {mask:#x} after a send"
        request.send(TEXT)
        for mask in (select.EPOLLOUT, select.EPOLLRDNORM):
            assert watches[mask].poll(0), f"nothing reported for {mask:#x} after the last send"
        watches[select.EPOLLIN].poll(0)
        assert request.recv(200)
        for mask in (select.EPOLLIN, select.EPOLLRDNORM):
            assert watches[mask].poll(0), f"nothing reported for {mask:#x} after a recv"
        for watch in watches.values():
            watch.close()


def test_epoll_no_edge_without_data(bind: Bind) -> None:
    """A send that leaves no data, and a recv that makes no room, tell nobody."""
    request = cbc(bind).request()
    watch = edge(request, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDNORM)
    request.send(op=ENCRYPT, iv=IV, more=True)
    assert not watch.poll(0), "an event after an empty send"
    request.send(bytes(1 << 20), more=True, flags=af_alg.MSG_DONTWAIT)
    assert watch.poll(0), "no event after a send"
    request.recv(16)
    assert not watch.poll(0), "an event after a recv that made no room for a page"
    request.recv(PAGE)
    assert watch.poll(0), "no event after a recv that made room"
    watch.close()


def test_poll_sleeper_is_woken(bind: Bind) -> None:
    """A thread that sleeps in poll() for data is woken by a send."""
    transform = cbc(bind)
    request = transform.request()
    request.send(op=ENCRYPT, iv=IV, more=True)
    poller = select.poll()
    poller.register(request.fileno(), select.POLLRDNORM)
    with blocking.Blocking(lambda: poller.poll(int(blocking.LIMIT * 1000))) as sleeper:
        sleeper.asleep_in_poll()
        assert not sleeper.ended()
        request.send(TEXT)
        assert sleeper.result() == [(request.fileno(), select.POLLRDNORM)]
    expect.same(encrypt(transform, TEXT), request.recv(64), "encryption")


def test_select(bind: Bind) -> None:
    """select() agrees with poll()."""
    request = cbc(bind).request()
    fd = request.fileno()
    assert select.select([fd], [fd], [fd], 0) == ([fd], [fd], [])
    request.send(op=ENCRYPT, iv=IV, more=True)
    assert select.select([fd], [fd], [fd], 0) == ([], [fd], [])


@contextmanager
def signalling(request: af_alg.Request) -> Iterator[None]:
    """The request signals to this process (O_ASYNC), which takes signals when it asks."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
    flags = fcntl.fcntl(request.fileno(), fcntl.F_GETFL)
    try:
        fcntl.fcntl(request.fileno(), fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(request.fileno(), F_SETSIG, SIGNAL)
        fcntl.fcntl(request.fileno(), fcntl.F_SETFL, flags | os.O_ASYNC)
        yield
    finally:
        fcntl.fcntl(request.fileno(), fcntl.F_SETFL, flags)
        signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def signals() -> list[int]:
    """What the signals that wait are about."""
    codes = []
    while seen := signal.sigtimedwait({SIGNAL}, 0):
        codes.append(seen.si_code)
    return codes


def test_signal_after_recv(bind: Bind) -> None:
    """With O_ASYNC each recv signals POLL_IN (SOCK_WAKE_WAITD), also one that has slept."""
    request = cbc(bind).request()
    with signalling(request):
        request.send(TEXT, op=ENCRYPT, iv=IV)
        assert signals() == [], "after a send"
        request.recv(64)
        assert signals() == [POLL_IN], "after a recv"
        with blocking.Blocking(lambda: libc.recv(request.fileno(), 64)) as reader:
            reader.asleep()
            request.send(TEXT, op=ENCRYPT, iv=IV)
            reader.result()
        assert signals() == [POLL_IN], "after a recv that slept"


def test_signal_after_a_writer_slept(bind: Bind) -> None:
    """With O_ASYNC the end of a send that had to sleep signals POLL_OUT (SOCK_WAKE_SPACE)."""
    request = cbc(bind).request()
    request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    request.send(op=ENCRYPT, iv=IV, more=True)
    with signalling(request):
        text = bytes(3 * PAGE)
        with blocking.Blocking(
            lambda: libc.send(request.fileno(), text, af_alg.MSG_MORE)
        ) as writer:
            for _ in range(2):
                writer.asleep()
                assert POLL_OUT not in signals(), "while the writer sleeps"
                request.recv(PAGE)
            assert writer.result() == len(text)
        assert POLL_OUT in signals(), "no signal after the writer's end"
        request.recv(PAGE)
        signals()
        request.send(b"x", more=True)
        assert POLL_OUT not in signals(), "after a send that did not sleep"
