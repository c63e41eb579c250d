"""Limits: buffer sizes, option memory, descriptors, memory cgroup, and calls with odd flags.

The send buffer takes SO_SNDBUF rounded down to pages, at least one (af_alg_sndbuf() of
include/crypto/if_alg.h); what is allocated for a socket by sock_kmalloc() counts against
net.core.optmem_max, and ENOMEM from there must change nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pytest
import resources
from af_alg import DECRYPT, ENCRYPT, MSG_DONTWAIT
from pages import PAGE
from samples import AAD, IV, KEY, NONCE, TEXT, cbc, encrypt, gcm, pattern, seal
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bind


def buffer_size(request: af_alg.Request, option: int, pages: int) -> int:
    """Set SO_SNDBUF or SO_RCVBUF to about so many pages; what the kernel makes of it."""
    request.sock.setsockopt(socket.SOL_SOCKET, option, pages * PAGE // 2 + 50)
    size = request.sock.getsockopt(socket.SOL_SOCKET, option)
    return max(size // PAGE * PAGE, PAGE)


def test_default_send_buffer(bind: Bind) -> None:
    """A fresh request takes as much as SO_SNDBUF says (212992 bytes) and then is EAGAIN."""
    request = cbc(bind).request()
    size = request.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert request.send(bytes(1 << 20), op=ENCRYPT, iv=IV, flags=MSG_DONTWAIT) == size
    assert size == int(Path("/proc/sys/net/core/wmem_default").read_text())


@pytest.mark.parametrize("pages", [0, 1, 3, 20])
@pytest.mark.parametrize("before", [0, 1, 100, 4095, 4096])
def test_send_buffer(pages: int, before: int, bind: Bind) -> None:
    """A send takes whole pages, and fills up the last one; then EAGAIN; all is kept."""
    transform = cbc(bind)
    with transform.request() as request:
        size = buffer_size(request, socket.SO_SNDBUF, pages)
        text = pattern(size + PAGE)
        request.send(text[:before], op=ENCRYPT, iv=IV, more=True)
        if before < size:
            taken = request.send(text[before:], more=True, flags=MSG_DONTWAIT)
            assert taken == size - before, f"expected {size - before} bytes taken, saw {taken}"
        with expect.refused(errno.EAGAIN, "send to a full request"):
            request.send(b"x", more=True, flags=MSG_DONTWAIT)
        expect.same(encrypt(transform, text[:size]), request.recv(size), "encryption")
        taken = request.send(text[size:], more=True, flags=MSG_DONTWAIT)
        assert taken == PAGE


def test_send_buffer_after_a_read(bind: Bind) -> None:
    """Half a block was read: the buffer ends amid a page, which the same send fills up."""
    transform = cbc(bind)
    text = pattern(50 * PAGE)
    with transform.request() as request:
        size = buffer_size(request, socket.SO_SNDBUF, 45)
        request.send(text[:PAGE], op=ENCRYPT, iv=IV, more=True)
        seen = request.recv(16)
        taken = PAGE + request.send(text[PAGE:], more=True, flags=MSG_DONTWAIT)
        assert size < taken < len(text), f"{taken} bytes taken, though {size} fit"
        seen += request.recv(taken // 16 * 16 - 16)
    expect.same(encrypt(transform, text[: len(seen)]), seen, "encryption")


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
@pytest.mark.parametrize("waits", [True, False], ids=["blocking", "non_blocking"])
def test_pieces(kind: str, waits: bool, bind: Bind) -> None:
    """Pieces that fill up pages and pieces of many pages make up one message."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    text = pattern(45 * PAGE)
    sealed = encrypt(transform, text) if kind == "skcipher" else seal(transform, text)
    iv = IV if kind == "skcipher" else NONCE
    # Each begins behind a full page, or amid one.
    for cuts in ((PAGE, 21 * PAGE), (10, 100, PAGE, 18 * PAGE + 7, 36 * PAGE), (20 * PAGE,)):
        for op, message, expected in ((ENCRYPT, text, sealed), (DECRYPT, sealed, text)):
            with transform.request() as request:
                request.sock.setblocking(waits)
                request.send(op=op, iv=iv, assoclen=0 if kind == "aead" else None, more=True)
                for start, end in zip((0, *cuts), (*cuts, len(message)), strict=True):
                    request.send(message[start:end], more=end != len(message))
                seen = request.recv(len(expected))
            expect.same(expected, seen, f"in {len(cuts) + 1} pieces")


@pytest.mark.parametrize("pages", [0, 2])
def test_receive_buffer(pages: int, bind: Bind) -> None:
    """A recv above SO_RCVBUF is done in turns, and the result is whole."""
    transform = cbc(bind)
    text = pattern(7 * PAGE + 32)
    expected = encrypt(transform, text)
    with transform.request() as request:
        buffer_size(request, socket.SO_RCVBUF, pages)
        for _ in range(2):
            request.send(text, op=ENCRYPT, iv=IV)
            buffer = bytearray(len(text) + 100)
            room = memoryview(buffer)[100:]
            assert request.sock.recv_into(room, len(text), MSG_DONTWAIT) == len(text)
            expect.same(expected, bytes(room), "encryption read in turns")


def test_more_than_was_ever_buffered(bind: Bind) -> None:
    """A request reads megabytes in all: what was read no longer counts."""
    transform = cbc(bind)
    text = pattern(12 * PAGE)
    expected = encrypt(transform, text)
    with transform.request() as request:
        for _ in range(12):
            request.send(text, op=ENCRYPT, iv=IV, flags=MSG_DONTWAIT)
            expect.same(expected, request.recv(len(text)), "encryption")


# Option memory


@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_little_memory(kind: str, bind: Bind) -> None:
    """Wherever memory runs out, the call is ENOMEM and nothing of the message is lost."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    text = pattern(40 * PAGE)
    expected = encrypt(transform, text) if kind == "skcipher" else AAD + seal(transform, text, AAD)
    head = b"" if kind == "skcipher" else AAD
    iv, assoclen = (IV, None) if kind == "skcipher" else (NONCE, 16)
    with transform.request() as request:
        request.send(op=ENCRYPT, iv=iv, assoclen=assoclen, more=True)
        with resources.option_memory(64), expect.refused(errno.ENOMEM, "send"):
            request.send(head + text)
        request.send(head + text)
        expect.same(expected, request.recv(len(expected)), "encryption after ENOMEM")
    limits = [4096 + 200 * i for i in range(40)] + [20480]
    with transform.request() as request:
        request.send(head + text, op=ENCRYPT, iv=iv, assoclen=assoclen)
        seen, refused = b"", 0
        for limit in limits:
            with resources.option_memory(limit):
                try:
                    seen = request.recv(len(expected))
                except OSError as error:
                    assert error.errno == errno.ENOMEM, f"recv within {limit} bytes: {error}"
                    refused += 1
                    continue
            break
        assert refused, "memory never ran out"
        expect.same(expected, seen, f"encryption within {limit} bytes")
        for _ in range(10):
            request.send(head + text, op=ENCRYPT, iv=iv, assoclen=assoclen)
            with resources.option_memory(limit):
                expect.same(expected, request.recv(len(expected)), "encryption, the next")


@pytest.mark.parametrize(
    "kind, name", [("skcipher", "cbc(aes)"), ("aead", "gcm(aes)"), ("hash", "sha256")]
)
def test_little_memory_for_a_request(kind: str, name: str, bind: Bind) -> None:
    """accept() without memory for a request is ENOMEM and gives everything back."""
    transform = bind(kind, name)
    transform.request().close()
    with resources.balanced("accept without memory"):
        for limit in (0, 16, 64):
            with resources.option_memory(limit), expect.refused(errno.ENOMEM, "accept"):
                transform.request()
    with resources.balanced("accept with little memory"):
        for limit in range(80, 1000, 24):
            with resources.option_memory(limit):
                try:
                    transform.sock.accept()[0].close()
                except OSError as error:
                    assert error.errno == errno.ENOMEM, f"accept: {error}"
    transform.sock.bind((kind, name))  # no request is counted as open


# Descriptors


def test_descriptor_limit(bind: Bind) -> None:
    """At RLIMIT_NOFILE accept() is EMFILE; what was accepted works, and all is given back."""
    transform = cbc(bind)
    expected = encrypt(transform, TEXT)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    requests: list[af_alg.Request] = []
    with resources.balanced("accept up to RLIMIT_NOFILE"):
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 5, limits[1]))
        try:
            with expect.refused(errno.EMFILE, "accept at RLIMIT_NOFILE"):
                while len(requests) < 1000:
                    requests.append(af_alg.Request(transform.sock.accept()[0]))
            with expect.refused(errno.EMFILE, "socket at RLIMIT_NOFILE"):
                af_alg.open_socket()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert requests
        for request in requests:
            request.send(TEXT, op=ENCRYPT, iv=IV)
            expect.same(expected, request.recv(64), "encryption")
            request.close()
    transform.set_key(KEY)


def test_many_requests(bind: Bind) -> None:
    """Hundreds of requests of one socket, each half-way, keep their states apart."""
    transform = cbc(bind)
    count = 250
    with resources.balanced(f"{count} requests"):
        requests = [af_alg.Request(transform.sock.accept()[0]) for _ in range(count)]
        texts = [pattern(16 + 4 * i)[-16:] for i in range(count)]
        for request, text in zip(requests, texts, strict=True):
            request.send(text[:7], op=ENCRYPT, iv=IV, more=True)
        for request, text in zip(requests, texts, strict=True):
            request.send(text[7:])
        seen = [request.recv(16) for request in reversed(requests)][::-1]
        with transform.request() as back:
            for got, text in zip(seen, texts, strict=True):
                back.send(got, op=DECRYPT, iv=IV)
                expect.same(text, back.recv(16), "decryption")
        for request in requests:
            request.close()
    transform.set_key(KEY)


def test_many_transforms(bind: Bind) -> None:
    """Hundreds of bound sockets keep their keys apart."""
    count = 100
    plain = cbc(bind)
    with resources.balanced(f"{count} bound sockets"):
        transforms = [af_alg.Transform("skcipher", "cbc(aes)") for _ in range(count)]
        for i, transform in enumerate(transforms):
            transform.set_key(bytes([i]) * 16)
        seen = {encrypt(transform, TEXT[:16]) for transform in transforms}
        assert len(seen) == count
        plain.set_key(bytes([42]) * 16)
        expect.same(encrypt(plain, TEXT[:16]), encrypt(transforms[42], TEXT[:16]), "key 42")
        for transform in transforms:
            transform.close()


# Pages


def free_pages() -> int:
    """Free pages, those on the lists of each CPU included."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    free = 0
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        match line.split():
            case ["count:", number] | ["nr_free_pages", number]:
                free += int(number)
    return free


@pytest.mark.parametrize("how", ["unread", "read", "half_read"])
@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_no_page_is_lost(kind: str, how: str, bind: Bind) -> None:
    """Pages of messages, read or closed unread, go back to the system."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    text = bytes(50 * PAGE)
    rounds = 20 if how == "unread" else 6
    length = {"unread": 0, "half_read": 20 * PAGE + 48, "read": 51 * PAGE}[how]

    def once() -> None:
        with transform.request() as request:
            request.send(text, op=ENCRYPT, iv=IV if kind == "skcipher" else NONCE)
            if length:
                assert request.recv(length)

    once()
    losses = []
    for _ in range(3):  # others take pages too, but not each time
        before = free_pages()
        for _ in range(rounds):
            once()
        losses.append(before - free_pages())
        if losses[-1] < rounds * 50 // 3:
            return
    raise AssertionError(f"pages lost in three turns of {rounds} times 50 pages: {losses}")


def pins() -> tuple[int, int]:
    """Pages pinned and unpinned so far, in the whole system."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(counts["nr_foll_pin_acquired"]), int(counts["nr_foll_pin_released"])


@pytest.mark.parametrize("kind", ["hash", "skcipher", "aead"])
def test_no_pin_is_lost(kind: str, bind: Bind) -> None:
    """Pages pinned for a call (6.5 and later; plain references before) are unpinned by it."""
    text = pattern(4 * PAGE)
    before = pins()
    for _ in range(4):
        if kind == "hash":
            with bind("hash", "sha256").request() as request:
                request.send(text)
                assert len(request.recv(32)) == 32
            continue
        transform = cbc(bind) if kind == "skcipher" else gcm(bind)
        with transform.request() as request:
            request.send(text, op=ENCRYPT, iv=IV if kind == "skcipher" else NONCE)
            with expect.refused(errno.EFAULT, "recv to 1"):
                libc.recvmsg(request.fileno(), [(1, PAGE)], MSG_DONTWAIT)
            assert len(request.recv(5 * PAGE)) >= len(text)
    after = pins()
    acquired, released = (new - old for new, old in zip(after, before, strict=True))
    assert acquired == released, f"{acquired} pages were pinned, and {released} unpinned"


@contextmanager
def memory_cgroup(limit: int) -> Iterator[Path]:
    """A new cgroup (v2) with a limit of memory; skips where there is none to be had."""
    with tempfile.TemporaryDirectory() as top:
        try:
            libc.mount("cgroup2", top)
        except OSError as error:
            af_alg.failed("mount cgroup2", error).skip()
        group = Path(top, "afalg")
        try:
            if "memory" not in Path(top, "cgroup.controllers").read_text().split():
                skip("no memory controller in cgroup2", Reason(Cause.OTHER, name="cgroup2"))
            Path(top, "cgroup.subtree_control").write_text("+memory")
            group.mkdir()
            Path(group, "memory.max").write_text(str(limit))
            yield group
        finally:
            if group.exists():
                group.rmdir()
            libc.unmount(top)


def test_memory_cgroup(bind: Bind) -> None:
    """Within 16 MiB of memory a process gets right results from megabytes of messages."""
    transform = cbc(bind)
    text = pattern(40 * PAGE)
    expected = encrypt(transform, text)
    with memory_cgroup(16 << 20) as group:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                Path(group, "cgroup.procs").write_text("0")
                requests = [transform.request() for _ in range(20)]
                for request in requests:
                    request.send(text, op=ENCRYPT, iv=IV)
                status = 0 if requests[7].recv(len(text)) == expected else 2
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0, f"expected status 0 of the child, saw {status}"


# Calls, and flags


def test_read_and_write(bind: Bind) -> None:
    """read, write, readv and writev move data like recv and send without flags."""
    transform = cbc(bind)
    expected = encrypt(transform, TEXT)
    request = transform.request()
    fd = request.fileno()
    request.send(op=ENCRYPT, iv=IV, more=True)
    assert os.write(fd, TEXT) == 64
    expect.same(expected, os.read(fd, 64), "read after write")
    request.send(op=ENCRYPT, iv=IV, more=True)
    assert os.writev(fd, [TEXT[:1], b"", TEXT[1:33], TEXT[33:]]) == 64
    parts = [bytearray(15), bytearray(0), bytearray(30), bytearray(19)]
    assert os.readv(fd, parts) == 64
    expect.same(expected, b"".join(parts), "readv after writev")
    assert os.read(fd, 0) == b""
    for call in (lambda: os.pread(fd, 16, 0), lambda: os.lseek(fd, 0, 0)):
        with expect.refused(errno.ESPIPE, "a position in a socket"):
            call()


def test_read_of_aead(bind: Bind) -> None:
    """read() gives AAD, ciphertext and tag, as recv() does."""
    transform = gcm(bind)
    request = transform.request()
    request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=len(AAD))
    expected = AAD + seal(transform, TEXT, AAD)
    expect.same(expected, os.read(request.fileno(), len(expected)), "read")


@pytest.mark.parametrize(
    "flag",
    ["MSG_PEEK", "MSG_TRUNC", "MSG_WAITALL", "MSG_OOB", "MSG_ERRQUEUE", "MSG_CMSG_CLOEXEC"],
)
def test_receive_flags(flag: str, bind: Bind) -> None:
    """Flags of recv that mean nothing here change nothing: MSG_PEEK takes the data too."""
    value = getattr(socket, flag)
    for transform, iv in ((cbc(bind), IV), (gcm(bind), NONCE)):
        with transform.request() as request:
            request.send(TEXT, op=ENCRYPT, iv=iv)
            data, control, flags, address = request.sock.recvmsg(64, 1000, value | MSG_DONTWAIT)
            expected = encrypt(transform, TEXT) if iv == IV else seal(transform, TEXT[:48])
            expect.same(expected, data, f"recv with {flag}")
            assert (control, flags & ~value, address) == ([], 0, None)
            if iv == IV:
                with expect.refused(errno.EAGAIN, "recv of what was read"):
                    request.recv(64)


@pytest.mark.parametrize("flag", ["MSG_OOB", "MSG_NOSIGNAL", "MSG_DONTROUTE", "MSG_EOR"])
def test_send_flags(flag: str, bind: Bind) -> None:
    """Flags of send that mean nothing here change nothing."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT, op=ENCRYPT, iv=IV, flags=getattr(socket, flag))
    expect.same(encrypt(transform, TEXT), request.recv(64), f"send with {flag}")


def test_send_with_address(bind: Bind) -> None:
    """An address given to sendto() is not looked at."""
    transform = cbc(bind)
    request = transform.request()
    request.sock.sendmsg(
        [TEXT],
        [
            (af_alg.SOL_ALG, kind, data)
            for kind, data in (af_alg.op_message(ENCRYPT), af_alg.iv_message(IV))
        ],
        0,
        ("hash", "sha256"),
    )
    expect.same(encrypt(transform, TEXT), request.recv(64), "send with an address")


@pytest.mark.parametrize("at", [0, 1, 100, 4095, 4096, 4097, 8192])
def test_unreadable_text(at: int, bind: Bind) -> None:
    """Text that is readable only in part: whole pages before the fault are taken, or EFAULT."""
    transform = cbc(bind)
    text = pattern(3 * PAGE)
    buffer = ctypes.create_string_buffer(text, len(text))
    with transform.request() as request:
        request.send(text[:100], op=ENCRYPT, iv=IV, more=True)
        try:
            sent = libc.sendmsg(
                request.fileno(), [(ctypes.addressof(buffer) + 100, at), (1, 5000)], b"", 0x8000
            )
        except OSError as error:
            assert error.errno == errno.EFAULT, f"send: {error}"
            sent = 0
        # The page begun by the first send is filled up, then come whole pages.
        room = PAGE - 100
        expected = room + (at - room) // PAGE * PAGE if at >= room else 0
        assert sent == expected, f"expected {expected} bytes taken, saw {sent}"
        request.send(text[100 + sent :])
        expect.same(encrypt(transform, text), request.recv(len(text)), "encryption")
