"""Sleeping, waking and interrupting: af_alg_wait_for_data(), af_alg_wait_for_wmem().

A reader sleeps until a message is complete (an skcipher reader: until a block is there), a
writer until a page fits into the send buffer. A sleeper gives up the socket lock, so
others may call meanwhile; since 1b34cbbf4f01 (CVE-2025-39964; 6.12.49, 6.1.154) a second
writer is EBUSY while one sleeps, before it was EAGAIN or waited like the first.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pages
import pytest
import resources
from af_alg import DECRYPT, ENCRYPT, MSG_MORE
from blocking import WAKE, Blocking, attempts
from pages import PAGE
from samples import IV, KEY, NONCE, TEXT, cbc, encrypt, gcm, pattern, seal

if TYPE_CHECKING:
    from conftest import Bind


def narrow(request: af_alg.Request) -> int:
    """Make the send buffer as small as it gets: how many bytes it takes."""
    request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    size = request.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    return max(size // PAGE * PAGE, PAGE)


# Readers


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_reader_is_woken(kind: str, bind: Bind) -> None:
    """A reader that sleeps before anything was sent is woken by a whole message."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    iv = IV if kind == "skcipher" else NONCE
    expected = encrypt(transform, TEXT) if kind == "skcipher" else seal(transform, TEXT)
    request = transform.request()
    with Blocking(lambda: libc.recv(request.fileno(), len(expected))) as reader:
        reader.asleep()
        request.send(TEXT, op=ENCRYPT, iv=iv)
        expect.same(expected, reader.result(), "encryption")


def test_reader_needs_a_block(bind: Bind) -> None:
    """An skcipher reader amid MSG_MORE sleeps until a whole block is there."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT[:8], op=ENCRYPT, iv=IV, more=True)
    with Blocking(lambda: libc.recv(request.fileno(), 16)) as reader:
        reader.asleep()
        request.send(TEXT[8:15], more=True)
        reader.asleep()
        assert not reader.ended()
        request.send(TEXT[15:16], more=True)
        seen = reader.result()
    request.send(TEXT[16:])
    seen += request.recv(48)
    expect.same(encrypt(transform, TEXT), seen, "encryption")


def test_aead_reader_needs_the_end(bind: Bind) -> None:
    """An AEAD reader sleeps through MSG_MORE until the message is complete."""
    transform = gcm(bind)
    request = transform.request()
    with Blocking(lambda: libc.recv(request.fileno(), 80)) as reader:
        reader.asleep()
        request.send(TEXT[:32], op=ENCRYPT, iv=NONCE, more=True)
        reader.asleep()
        request.send(TEXT[32:48], more=True)
        reader.asleep()
        assert not reader.ended()
        request.send(TEXT[48:])
        expect.same(seal(transform, TEXT), reader.result(), "encryption")


def test_reader_woken_by_splice(bind: Bind) -> None:
    """A splice wakes a reader as a send does."""
    transform = cbc(bind)
    request = transform.request()
    with (
        pages.pipe() as (read_end, write_end),
        Blocking(lambda: libc.recv(request.fileno(), 64)) as reader,
    ):
        request.send(op=ENCRYPT, iv=IV, more=True)
        reader.asleep()
        os.write(write_end, TEXT)
        os.splice(read_end, request.fileno(), len(TEXT))
        expect.same(encrypt(transform, TEXT), reader.result(), "encryption")


def test_two_readers(bind: Bind) -> None:
    """Two readers that sleep get one message each."""
    transform = gcm(bind)
    expected = {text: seal(transform, text) for text in (TEXT, TEXT[::-1])}
    request = transform.request()
    with (
        Blocking(lambda: libc.recv(request.fileno(), 80)) as one,
        Blocking(lambda: libc.recv(request.fileno(), 80)) as two,
    ):
        one.asleep()
        two.asleep()
        request.send(TEXT, op=ENCRYPT, iv=NONCE)
        for _ in attempts():
            if one.ended() or two.ended():
                break
        first, last = (one, two) if one.ended() else (two, one)
        expect.same(expected[TEXT], first.result(), "the first message")
        last.asleep()
        request.send(TEXT[::-1])
        expect.same(expected[TEXT[::-1]], last.result(), "the second message")


# Writers


def test_writer_is_woken(bind: Bind) -> None:
    """A writer that sleeps for lack of room is woken by a reader, and loses nothing."""
    transform = cbc(bind)
    request = transform.request()
    size = narrow(request)
    text = pattern(size + 2 * PAGE + 48)
    expected = encrypt(transform, text)
    request.send(op=ENCRYPT, iv=IV, more=True)
    seen = b""
    with Blocking(lambda: libc.send(request.fileno(), text, MSG_MORE)) as writer:
        writer.asleep()
        seen += request.recv(16)
        writer.asleep()  # room for less than a page
        while not writer.ended() and len(seen) < len(text) - PAGE:
            seen += request.recv(PAGE)
            if len(seen) < len(text) - size:
                writer.asleep()
        assert writer.result() == len(text)
    request.send()
    while len(seen) < len(text):
        seen += request.recv(PAGE)
    expect.same(expected, seen, "encryption")


def test_second_writer(bind: Bind) -> None:
    """While a writer sleeps another is refused, and neither its data nor its IV gets in."""
    transform = cbc(bind)
    request = transform.request()
    text = pattern(narrow(request) + PAGE)
    expected = encrypt(transform, text)
    request.send(op=ENCRYPT, iv=IV, more=True)
    with Blocking(lambda: libc.send(request.fileno(), text, MSG_MORE)) as writer:
        writer.asleep()
        try:
            request.send(b"intruder", more=True, flags=af_alg.MSG_DONTWAIT)
        except OSError as error:
            # EAGAIN: before 1b34cbbf4f01
            assert error.errno in (errno.EBUSY, errno.EAGAIN), f"second writer: {error}"
        else:
            pytest.fail("a second writer was let in while the first sleeps")
        seen = request.recv(len(text))  # all there is, and the message goes on
        assert writer.result() == len(text)
    while len(seen) < len(text):
        seen += request.recv(PAGE)
    request.send()
    expect.same(expected, seen, "encryption")
    request.send(TEXT, op=ENCRYPT, iv=IV)
    expect.same(encrypt(transform, TEXT), request.recv(64), "the request after it all")


def test_stream(bind: Bind) -> None:
    """A writer and a reader on one request, 32 KiB at a time, carry 256 KiB over."""
    transform = cbc(bind)
    text = pattern(1 << 18)
    request = transform.request()
    request.send(op=ENCRYPT, iv=IV, more=True)

    def write() -> int:
        step = 1 << 15
        return sum(
            libc.send(request.fileno(), text[at : at + step], MSG_MORE)
            for at in range(0, len(text), step)
        )

    seen = bytearray()
    with Blocking(write) as writer:
        for _ in attempts():
            try:
                seen += request.recv(1 << 16)
            except BlockingIOError:
                continue
            if len(seen) == len(text):
                break
        assert writer.result() == len(text)
    request.send()
    with transform.request() as back:
        for at in range(0, len(seen), 1 << 17):
            more = at + (1 << 17) < len(seen)
            back.send(
                bytes(seen[at : at + (1 << 17)]), op=DECRYPT, iv=None if at else IV, more=more
            )
            piece = back.recv(1 << 17)
            expect.same(text[at : at + (1 << 17)], piece, f"decryption from {at}")


def test_threads(bind: Bind) -> None:
    """Threads with a request each of one transform do not disturb each other."""
    transform = gcm(bind)
    texts = [pattern(1000 + 16 * i) for i in range(4)]
    expected = [seal(transform, text) for text in texts]
    wrong: list[str] = []

    def work(text: bytes, sealed: bytes, request: af_alg.Request) -> None:
        for _ in range(15):
            request.send(text, op=ENCRYPT, iv=NONCE)
            if request.recv(len(sealed)) != sealed:
                wrong.append(f"a text of {len(text)} bytes")

    threads = [
        threading.Thread(target=work, args=(text, sealed, transform.request()), daemon=True)
        for text, sealed in zip(texts, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert not wrong, f"wrong results: {wrong}"


# Signals


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_reader_is_interrupted(kind: str, bind: Bind) -> None:
    """A signal ends a sleeping recv with EINTR, and the request can be used after it."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    iv = IV if kind == "skcipher" else NONCE
    expected = encrypt(transform, TEXT) if kind == "skcipher" else seal(transform, TEXT)
    request = transform.request()
    with Blocking(lambda: libc.recv(request.fileno(), len(expected))) as reader:
        reader.asleep()
        reader.interrupt()
        with expect.refused(errno.EINTR, "recv interrupted by a signal"):
            reader.result()
    request.send(TEXT, op=ENCRYPT, iv=iv)
    expect.same(expected, request.recv(len(expected)), "encryption afterwards")


def test_reader_is_restarted(bind: Bind) -> None:
    """With SA_RESTART a sleeping recv goes on after the handler has run."""
    transform = cbc(bind)
    request = transform.request()
    with (
        pages.pipe() as (read_end, write_end),
        Blocking(lambda: libc.recv(request.fileno(), 64)) as reader,
    ):
        os.set_blocking(write_end, False)
        signal.siginterrupt(WAKE, False)
        before = signal.set_wakeup_fd(write_end)  # written to by the handler itself
        try:
            reader.asleep()
            reader.interrupt()
            assert os.read(read_end, 1) == bytes([WAKE])
            reader.asleep()
            request.send(TEXT, op=ENCRYPT, iv=IV)
            expect.same(encrypt(transform, TEXT), reader.result(), "encryption")
        finally:
            signal.set_wakeup_fd(before)
            signal.siginterrupt(WAKE, True)


def test_writer_is_interrupted(bind: Bind) -> None:
    """A signal ends a sleeping send: with what was taken so far, or else with EINTR."""
    transform = cbc(bind)
    request = transform.request()
    size = narrow(request)
    text = pattern(size + PAGE)
    request.send(op=ENCRYPT, iv=IV, more=True)
    with Blocking(lambda: libc.send(request.fileno(), text, MSG_MORE)) as writer:
        writer.asleep()
        writer.interrupt()
        assert writer.result() == size
    with Blocking(lambda: libc.send(request.fileno(), text[size:], MSG_MORE)) as writer:
        writer.asleep()
        writer.interrupt()
        with expect.refused(errno.EINTR, "send interrupted before it took anything"):
            writer.result()
    seen = request.recv(size)
    request.send(text[size:])
    seen += request.recv(PAGE)
    expect.same(encrypt(transform, text), seen, "encryption, what was taken and the rest")


def test_aead_writer_is_interrupted(bind: Bind) -> None:
    """An AEAD message above the send buffer has no reader: a signal ends the send."""
    transform = gcm(bind)
    request = transform.request()
    size = narrow(request)
    with Blocking(lambda: libc.send(request.fileno(), pattern(size + 1), MSG_MORE)) as writer:
        writer.asleep()
        writer.interrupt()
        assert writer.result() == size


# Closing under a sleeper


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_closed_under_a_sleeper(who: str, bind: Bind) -> None:
    """Closing the descriptor leaves the sleeper asleep; when it ends, all is given back."""
    cbc(bind).close()
    with resources.balanced(f"request closed under a {who}"):
        parent = af_alg.open_socket()
        parent.bind(("skcipher", "cbc(aes)"))
        parent.setsockopt(af_alg.SOL_ALG, af_alg.ALG_SET_KEY, KEY)
        request = af_alg.Request(parent.accept()[0])
        text = pattern(narrow(request) + 1)
        fd = request.fileno()

        def call() -> object:
            return libc.recv(fd, 16) if who == "reader" else libc.send(fd, text, MSG_MORE)

        with Blocking(call) as sleeper:
            sleeper.asleep()
            parent.close()
            request.close()
            sleeper.asleep()
            sleeper.interrupt()
            if who == "reader":
                with expect.refused(errno.EINTR, "recv on a closed descriptor"):
                    sleeper.result()
            else:
                assert sleeper.result() == len(text) - 1


def test_process_killed_in_recv(bind: Bind) -> None:
    """A process killed while it sleeps in recv leaves the request to others."""
    transform = cbc(bind)
    request = transform.request()
    child = os.fork()
    if child == 0:
        try:
            libc.recv(request.fileno(), 16)
        finally:
            os._exit(1)
    state = ""
    for _ in attempts():
        with open(f"/proc/{child}/syscall", encoding="ascii") as file:  # noqa: PTH123
            state = file.read()
        if state.split()[1:2] == [hex(request.fileno())]:
            break
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    request.send(TEXT, op=ENCRYPT, iv=IV)
    expect.same(encrypt(transform, TEXT), request.recv(64), "encryption")
