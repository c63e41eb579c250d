"""Holes in af_alg.c and algif_*.c themselves: requests, their buffers and their end."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pytest
import resources
from af_alg import ENCRYPT, MSG_MORE
from blocking import Blocking
from pages import PAGE
from samples import AAD, IV, NONCE, TAG, TEXT, cbc, encrypt, gcm, pattern, seal
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind, Provoked


@pytest.mark.regression(
    cve="CVE-2025-39964", fix="1b34cbbf4f01", affected="2.6.38 to 6.1.153, 6.12.48, 6.16.8"
)
def test_second_writer_is_kept_out(bind: Bind, provoked: Provoked) -> None:
    """While one writer sleeps in sendmsg another is EBUSY: both would write one page."""
    request = cbc(bind).request()
    request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    room = request.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    request.send(op=ENCRYPT, iv=IV, more=True)
    text = pattern(max(room // PAGE, 1) * PAGE + PAGE)  # a page more than there is room for
    with Blocking(lambda: libc.send(request.fileno(), text, MSG_MORE)) as writer:
        writer.asleep()
        provoked()
        with expect.refused(
            errno.EBUSY, "CVE-2025-39964: a second writer while the first one sleeps"
        ):
            request.send(TEXT, more=True, flags=af_alg.MSG_DONTWAIT)
        # The control: the first writer does sleep for room, and is let go on.
        request.recv(len(text))
        assert writer.result() == len(text)


@pytest.mark.regression(
    cve="CVE-2026-31677", fix="8eceab19eba9", affected="4.14 to 6.1.190, 6.12.82, 6.18.23, 6.19.13"
)
def test_read_below_a_block(bind: Bind, provoked: Provoked) -> None:
    """A read with no room for a block is EINVAL, not an operation on nothing."""
    transform = cbc(bind)
    request = transform.request()
    request.send(TEXT, op=ENCRYPT, iv=IV)
    provoked()
    try:
        seen = request.recv(8)
    except OSError as error:
        assert error.errno == errno.EINVAL, (
            f"CVE-2026-31677: recv(8) of 64 bytes: {af_alg.errno_name(error)}, expected EINVAL"
        )
    else:
        pytest.fail(f"CVE-2026-31677: recv(8) of 64 bytes gave {len(seen)}, expected EINVAL")
    expect.same(encrypt(transform, TEXT), request.recv(len(TEXT)), "the text afterwards")


@pytest.mark.regression(
    cve="CVE-2026-52972", fix="e4c06479d705", affected="3.19 to 6.1.174, 6.12.90, 7.1"
)
@pytest.mark.parametrize("length", [1 << 31, (1 << 32) - 1, (1 << 31) - 1])
def test_assoclen(length: int, bind: Bind, provoked: Provoked) -> None:
    """Associated data of 2^31 bytes and more is EINVAL; below it, merely not there yet."""
    request = gcm(bind).request()
    control = [af_alg.assoclen_message(length)]
    if length < 1 << 31:
        request.send(TEXT, op=ENCRYPT, iv=NONCE, more=True, control=control)
        return  # the control
    provoked()
    with expect.refused(errno.EINVAL, f"CVE-2026-52972: associated data of {length} bytes"):
        request.send(TEXT, op=ENCRYPT, iv=NONCE, more=True, control=control)


@pytest.mark.regression(cve="CVE-2019-8912", fix="9060cb719e61", affected="4.10 to 4.20.11")
@pytest.mark.parametrize("which", ["bound", "request"])
def test_owner_of_a_closed_socket(which: str, bind: Bind, provoked: Provoked) -> None:
    """fchown() of a socket that was closed finds none: its memory is not written to.

    The inode is kept by an O_PATH descriptor; sockfs_setattr() (net/socket.c) trusts
    sock->sk, which af_alg_release() must have cleared.
    """
    transform = bind("hash", "sha256")
    sock = af_alg.open_socket() if which == "bound" else transform.request().sock
    if which == "bound":
        sock.bind(("hash", "sha256"))
    inode = os.open(f"/proc/self/fd/{sock.fileno()}", os.O_PATH)
    try:
        libc.change_owner(inode, 0, 0)  # the control: it reaches the socket while it is open
        sock.close()
        provoked()
        with expect.refused(errno.ENOENT, f"CVE-2019-8912: fchown of a closed {which} socket"):
            libc.change_owner(inode, 0, 0)
    finally:
        os.close(inode)
        sock.close()


@pytest.mark.regression(cve="CVE-2018-14619", fix="b32a7dc8aef1", affected="4.14 to 4.14.7")
def test_aead_requests_end_before_their_transform(bind: Bind, provoked: Provoked) -> None:
    """Closing an AEAD's requests leaves it what it needs to serve further ones."""
    transform = gcm(bind)
    expected = seal(transform, TEXT, AAD)
    last = transform.request()
    with resources.balanced("CVE-2018-14619: closing requests and another transform"):
        for _ in range(4):
            transform.request().close()
        other = gcm(bind)
        other.request().close()
        other.close()
    provoked()
    last.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=len(AAD))
    seen = last.recv(len(AAD) + len(TEXT) + TAG)
    expect.same(AAD + expected, seen, "CVE-2018-14619: encryption after others were closed")


@pytest.mark.regression(cve="CVE-2016-8646", fix="4afa5f961793", affected="2.6.38 to 4.3.5")
@pytest.mark.parametrize("name", ["sha256", "hmac(sha256)"])
def test_accept_on_an_unused_hash(name: str, bind: Bind, provoked: Provoked) -> None:
    """A hash that was given nothing can be cloned; both have the digest of nothing."""
    transform = bind("hash", name)
    if name != "sha256":
        transform.set_key(bytes(range(20)))
    request = transform.request()
    expected = transform.request().recv(32)
    assert len(expected) == 32
    provoked()
    with request.accept() as clone:
        expect.same(expected, clone.recv(32), "CVE-2016-8646: digest of the clone")
    expect.same(expected, request.recv(32), "CVE-2016-8646: digest of the first")


@pytest.mark.regression(
    cve="CVE-2025-38079", fix="b2df03ed4052", affected="2.6.38 to 6.1.140, 6.12.30, 6.14.8"
)
@pytest.mark.parametrize("first", ["clone", "original"])
def test_clone_of_a_half_done_hash(first: str, bind: Bind) -> None:
    """A half-done hash and its clone are closed in any order; each is freed once.

    The hole is the end of a clone whose import of the half-done state fails, which no
    software hash does; what can be seen here is that cloning and closing are sound.
    """
    transform = bind("hash", "sha256")
    whole = transform.request()
    whole.send(TEXT + TEXT)
    expected = whole.recv(32)
    for _ in range(20):
        request = transform.request()
        request.send(TEXT, more=True)
        clone = request.accept()
        (clone if first == "clone" else request).close()
        left = request if first == "clone" else clone
        left.send(TEXT)
        expect.same(expected, left.recv(32), f"CVE-2025-38079: digest after the {first} was closed")
        left.close()


@pytest.mark.regression(
    cve="CVE-2025-39931", fix="9574b2330dbd", affected="2.6.38 to 6.1.153, 6.12.48, 6.16.8"
)
def test_send_that_faults(bind: Bind) -> None:
    """After a send that faults midway no stale merge flag is left: the next one is right.

    The fatal case needs a scatterlist that is full just then; it is not provoked here.
    """
    transform = cbc(bind)
    request = transform.request()
    memory = libc.map_memory(2 * PAGE)
    try:
        libc.memory_at(memory, PAGE)[:] = pattern(PAGE)
        libc.unmap_memory(memory + PAGE, PAGE)
        request.send(pattern(16), op=ENCRYPT, iv=IV, more=True)
        pieces = [(memory, PAGE - 16), (memory + PAGE, 16)]
        with expect.refused(errno.EFAULT, "a send of memory that is not mapped"):
            libc.sendmsg(request.fileno(), pieces[1:], flags=MSG_MORE)
        # Of a send that faults midway a kernel may keep what it had got.
        with suppress(OSError):
            libc.sendmsg(request.fileno(), pieces, flags=MSG_MORE)
    finally:
        libc.unmap_memory(memory, PAGE)
    request.send(pattern(32), more=True)
    first = request.recv(16)
    expect.same(encrypt(transform, pattern(16)), first, "CVE-2025-39931: the first block")


@pytest.mark.regression(
    cve="CVE-2025-40022", fix="d0ca0df179c4", affected="6.1.154, 6.6.108, 6.12.49, 6.16.9"
)
@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_more_is_remembered(kind: str, bind: Bind, provoked: Provoked) -> None:
    """MSG_MORE outlasts the send that had it (it was once put into a field of one bit)."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    request = transform.request()
    request.send(TEXT[:16], op=ENCRYPT, iv=IV if kind == "skcipher" else NONCE, more=True)
    provoked()
    try:
        request.send(TEXT[16:])
    except OSError as error:
        pytest.fail(f"CVE-2025-40022: a send after MSG_MORE: {error}, expected success")
    expected = encrypt(transform, TEXT) if kind == "skcipher" else seal(transform, TEXT)
    expect.same(expected, request.recv(len(expected)), "CVE-2025-40022: ciphertext")


@pytest.mark.may_crash
@pytest.mark.regression(cve="CVE-2024-26824", fix="24c890dd712f", affected="6.5 to 6.6.17, 6.7.5")
@pytest.mark.parametrize("why", ["too_short", "no_memory"])
def test_finish_that_fails(why: str, bind: Bind, provoked: Provoked) -> None:
    """A hash whose finishing by an empty send fails frees no list of pages that is not there."""
    transform = bind("hash", "poly1305" if why == "too_short" else "sha256")
    request = transform.request()
    request.send(TEXT[:16], more=True)
    if why == "too_short":
        # Poly1305 takes its key from the first 32 bytes, and has none before.
        with expect.refused(errno.ENOKEY, "CVE-2024-26824: an empty send to finish"):
            request.send()
    else:
        request = request.accept()  # the clone has no memory for the digest yet
        with (
            resources.option_memory(16),
            expect.refused(errno.ENOMEM, "CVE-2024-26824: an empty send to finish"),
        ):
            request.send()
    provoked()
    fresh = transform.request()
    fresh.send(TEXT)
    request.send(TEXT)
    expect.same(fresh.recv(64), request.recv(64), "CVE-2024-26824: the digest afterwards")
    request.close()


@pytest.mark.regression(cve="CVE-2013-3076", fix="72a763d805a4", affected="2.6.38 to 3.8")
@pytest.mark.parametrize("kind", ["skcipher", "aead", "hash"])
def test_no_address_of_a_sender(kind: str, bind: Bind, provoked: Provoked) -> None:
    """recvmsg() reports no address: it once handed out stack memory as one."""
    if kind == "hash":
        request = bind("hash", "sha256").request()
    else:
        request = (cbc(bind) if kind == "skcipher" else gcm(bind)).request()
        request.send(TEXT, op=ENCRYPT, iv=IV if kind == "skcipher" else NONCE)
    address = ctypes.create_string_buffer(b"\xa5" * 128, 128)
    data, length = libc.recvmsg_with_address(request.fileno(), address, 96, af_alg.MSG_DONTWAIT)
    assert data, "the control: nothing was read"
    provoked()
    assert length == 0, f"CVE-2013-3076: an address of {length} bytes, expected none"
    expect.same(b"\xa5" * 128, address.raw, "CVE-2013-3076: memory for an address")


@pytest.mark.regression(cve="CVE-2022-48781", fix="25206111512d", affected="5.16 to 5.16.10")
def test_no_memory_accounting_without_limits(provoked: Provoked) -> None:
    """AF_ALG claims no accounting of socket memory: it has not the limits that this takes."""
    try:
        af_alg.open_socket().close()
    except af_alg.NotOffered as refusal:
        refusal.skip()
    # name, size, sockets, memory (-1: not accounted), pressure, ...: net/core/sock.c
    protocols = {
        words[0]: words
        for line in Path("/proc/net/protocols").read_text().splitlines()
        if len(words := line.split()) > 4
    }
    assert "ALG" in protocols, "/proc/net/protocols does not list ALG"
    accounted = [name for name, words in protocols.items() if words[3].isdigit()]
    if not accounted:
        skip(
            "/proc/net/protocols shows no protocol with accounting of memory",
            Reason(Cause.OTHER, name="/proc/net/protocols"),
        )
    provoked()
    memory = protocols["ALG"][3]
    assert memory == "-1", f"CVE-2022-48781: {memory} pages accounted to ALG, expected -1 (none)"


@pytest.mark.regression(cve="CVE-2017-13215", fix="4f0414e54e4d", affected="2.6.38 to 4.4.1")
@pytest.mark.parametrize("kind", ["skcipher", "aead"])
def test_reader_that_waited(kind: str, bind: Bind, provoked: Provoked) -> None:
    """A reader that slept until something was sent reads that, not what was there before."""
    transform = cbc(bind) if kind == "skcipher" else gcm(bind)
    expected = encrypt(transform, TEXT) if kind == "skcipher" else seal(transform, TEXT)
    request = transform.request()
    with Blocking(lambda: libc.recv(request.fileno(), len(expected))) as reader:
        reader.asleep()
        provoked()
        request.send(TEXT, op=ENCRYPT, iv=IV if kind == "skcipher" else NONCE)
        expect.same(expected, reader.result(), "CVE-2017-13215: ciphertext")


@pytest.mark.regression(cve="", fix="c840ac6af3f8", affected="2.6.38 to 4.4.1")
@pytest.mark.parametrize("kind", ["skcipher", "aead", "hash"])
def test_transform_stays_under_its_requests(kind: str, bind: Bind, provoked: Provoked) -> None:
    """While a request is open its transform cannot be exchanged or keyed anew: it is in use."""
    name, key = {
        "skcipher": ("cbc(aes)", bytes(16)),
        "aead": ("gcm(aes)", bytes(16)),
        "hash": ("hmac(sha256)", bytes(16)),
    }[kind]
    transform = bind(kind, name)
    calls: dict[str, Callable[[], object]] = {
        "bind": lambda: transform.sock.bind((kind, name)),
        "a key": lambda: transform.set_key(key),
    }
    if kind == "aead":
        calls["a tag size"] = lambda: transform.set_authsize(TAG)
    for call in calls.values():
        call()
    request = transform.request()
    provoked()
    for what, call in calls.items():
        with expect.refused(errno.EBUSY, f"c840ac6af3f8: {what} while a {kind} request is open"):
            call()
    request.close()
    for call in calls.values():
        call()
