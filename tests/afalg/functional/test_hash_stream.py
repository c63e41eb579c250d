"""A hash request over its life: messages in pieces, several messages, copies of half-done ones.

Unlike a cipher request it computes while it is sent to (crypto/algif_hash.c, hash_sendmsg),
at most ALG_MAX_PAGES (16) pages at a time, from the sender's own pages. Without MSG_MORE the
digest is kept for one recv, which drops it; with MSG_MORE the state is, and accept() copies
it (hash_accept). The oracle is hashlib in the guest, which is not AF_ALG.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import af_alg
import credentials
import expect
import libc
import pages
import pytest
import resources
import samples
from af_alg import MSG_DONTWAIT, MSG_MORE, MSG_TRUNC
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind, RecordFact

_LATE = " keyed after accept"
NAMES = ("sha256", "hmac(sha512)", f"hmac(sha512){_LATE}")
KEY = bytes(range(40))
LONGEST = 64
PAGE = pages.PAGE
TEXT = samples.pattern(200_000)


class LateKey:
    """Gives requests that were accepted before there was a key: their calls are other functions.

    (``algif_hash_ops_nokey`` in crypto/algif_hash.c.) Each is of a transform of its own.
    """

    def __init__(self, bind: Bind, name: str) -> None:
        self._bind = bind
        self._name = name

    def request(self) -> af_alg.Request:
        """A new one."""
        transform = self._bind("hash", self._name)
        request = transform.request()
        transform.set_key(KEY)
        return request


def keyed(bind: Bind, name: str) -> tuple[af_alg.Transform | LateKey, Callable[[bytes], bytes]]:
    """What gives requests, keyed if need be, and what hashlib says to it."""
    plain = name.removesuffix(_LATE)
    if plain == name:
        transform = bind("hash", name)
        if not name.startswith("hmac"):
            return transform, lambda text: hashlib.new(name, text).digest()
        transform.set_key(KEY)
    source = transform if plain == name else LateKey(bind, plain)
    return source, lambda text: hmac.digest(KEY, text, plain[5:-1])


@pytest.mark.parametrize("name", NAMES)
def test_every_split(name: str, bind: Bind) -> None:
    """A message around one block, cut in two at every place, has the digest of the whole."""
    transform, digest = keyed(bind, name)
    request = transform.request()
    for length in (3, 65, 129):
        message, expected = TEXT[:length], digest(TEXT[:length])
        for cut in range(length + 1):
            assert request.send(message[:cut], more=True) == cut
            assert request.send(message[cut:]) == length - cut
            seen = request.recv(LONGEST)
            # Nothing under MSG_MORE, or at the end of it, is part of the message too.
            expect.same(expected, seen, f"{name} of {length} bytes cut at {cut}")


@pytest.mark.parametrize("name", NAMES)
def test_around_pages(name: str, bind: Bind) -> None:
    """Pieces that end before, at and after page boundaries, at any offset in a page, add up."""
    transform, digest = keyed(bind, name)
    request = transform.request()
    address = libc.map_memory(4 * PAGE)
    try:
        memory = libc.memory_at(address, 4 * PAGE)
        memory[:] = TEXT[: 4 * PAGE]
        for offset in (0, 1, PAGE - 1):
            for length in (PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 1):
                ranges = [(address + offset, length), (address + 7, PAGE + 1)]
                message = bytes(memory[offset : offset + length]) + bytes(memory[7 : PAGE + 8])
                for what, sends in (("one send", [ranges]), ("two sends", [[r] for r in ranges])):
                    for number, send in enumerate(sends, 1):
                        more = MSG_MORE if number < len(sends) else 0
                        libc.sendmsg(request.fileno(), send, flags=more)
                    about = f"{name}, {length} bytes at offset {offset} and a page, {what}"
                    expect.same(digest(message), request.recv(LONGEST), about)
        del memory
    finally:
        libc.unmap_memory(address, 4 * PAGE)


@pytest.mark.parametrize("name", NAMES)
def test_above_16_pages(name: str, bind: Bind) -> None:
    """Messages above what is hashed at a time, also unaligned and amid a message, are whole."""
    transform, digest = keyed(bind, name)
    request = transform.request()
    for length in (16 * PAGE - 1, 16 * PAGE, 16 * PAGE + 1, 33 * PAGE + 5, len(TEXT)):
        message = TEXT[-length:]
        sent = request.send(message)
        assert sent == length, f"{length} bytes: send returned {sent}"
        expect.same(digest(message), request.recv(LONGEST), f"{name} of {length} bytes")
    message, at = TEXT, 0
    for length in (1, 70_000, 3, 16 * PAGE, 0, len(TEXT) - 70_004 - 16 * PAGE):
        sent = request.send(message[at : at + length], more=at + length < len(message))
        assert sent == length, f"{length} bytes amid a message: send returned {sent}"
        at += length
    expect.same(digest(message), request.recv(LONGEST), f"{name} of large pieces")


def test_many_buffers(bind: Bind) -> None:
    """sendmsg() of more buffers than pages at a time, some empty, is one message."""
    request = bind("hash", "sha256").request()
    random = Random(5)
    for count in (2, 16, 17, 40):
        sizes = [random.choice((0, 1, 3, 64, 500, 5000)) for _ in range(count)] + [7]
        buffers, at = [], 0
        for size in sizes:
            buffers.append(TEXT[at : at + size])
            at += size
        sent = request.sock.sendmsg(buffers)
        assert sent == at, f"{count} buffers: expected {at} bytes sent, saw {sent}"
        expected = hashlib.sha256(TEXT[:at]).digest()
        expect.same(expected, request.recv(32), f"SHA-256 of buffers of {sizes} bytes")


@pytest.mark.parametrize("name", NAMES)
def test_next_message(name: str, bind: Bind) -> None:
    """Each message starts anew: read or unread, whole or in pieces, ended by a read or a send."""
    transform, digest = keyed(bind, name)
    request = transform.request()
    ways: dict[str, Callable[[], object]] = {
        "fresh": lambda: None,
        "read": lambda: (request.send(b"one"), request.recv(LONGEST)),
        "unread": lambda: request.send(b"one"),
        "read in pieces": lambda: (
            request.send(b"o", more=True),
            request.send(b"ne"),
            request.recv(LONGEST),
        ),
        "unread pieces": lambda: (request.send(b"o", more=True), request.send(b"ne")),
        "unread, ended empty": lambda: (request.send(b"o", more=True), request.send(b"")),
        "ended by a read": lambda: (request.send(b"o", more=True), request.recv(LONGEST)),
        "read twice": lambda: (request.send(b"o"), request.recv(9), request.recv(9)),
        "read without a message": lambda: request.recv(LONGEST),
        "empty": lambda: request.send(b""),
    }
    for what, before in ways.items():
        for how in ("whole", "pieces", "only begun", "empty"):
            before()
            expected = digest(b"next message")
            if how == "whole":
                request.send(b"next message")
            elif how == "pieces":
                request.send(b"next", more=True)
                request.send(b" message")
            elif how == "only begun":
                request.send(b"next message", more=True)
            else:
                request.send(b"")
                expected = digest(b"")
            expect.same(expected, request.recv(LONGEST), f"{name}, {how}, after: {what}")


@pytest.mark.parametrize("name", NAMES)
def test_empty_pieces(name: str, bind: Bind) -> None:
    """Sends of nothing are sends: amid a message they add nothing, at its end they end it."""
    transform, digest = keyed(bind, name)
    request = transform.request()
    request.send(b"", more=True)
    request.send(b"", more=True)
    request.send(b"ab", more=True)
    request.send(b"", more=True)
    request.send(b"c", more=True)
    request.send(b"")
    expect.same(digest(b"abc"), request.recv(LONGEST), f"{name} with empty pieces")
    expect.same(digest(b""), request.recv(LONGEST), f"{name} after a message that was read")
    request.send(b"", more=True)
    expect.same(digest(b""), request.recv(LONGEST), f"{name} of an empty piece, read at once")
    request.send(b"", more=True)
    request.send(b"")
    expect.same(digest(b""), request.recv(LONGEST), f"{name} of two empty pieces")


@pytest.mark.parametrize("name", NAMES)
def test_read_lengths(name: str, bind: Bind) -> None:
    """A digest is cut to what is asked for, MSG_TRUNC tells; one that fits is not flagged."""
    transform, digest = keyed(bind, name)
    request, expected = transform.request(), digest(b"abc")
    size = len(expected)
    for more in (False, True):
        for asked in (0, 1, size - 1, size, size + 1, 5000):
            request.send(b"abc", more=more)
            seen, flags = request.recv_with_flags(asked)
            about = f"{name}, recv({asked}) {'amid' if more else 'after'} a message"
            expect.same(expected[:asked], seen, about)
            cut = bool(flags & MSG_TRUNC)
            assert cut == (asked < size), f"{about}: MSG_TRUNC is {cut}"
            # What was cut off is gone, and so is the message.
            expect.same(digest(b""), request.recv(LONGEST), f"{about}, then recv")


def test_scattered_read(bind: Bind) -> None:
    """A digest read into several buffers fills them in turn, and nothing beyond."""
    request = bind("hash", "sha256").request()
    expected = hashlib.sha256(b"abc").digest()
    request.send(b"abc")
    buffers = [bytearray(b"\xaa" * size) for size in (1, 0, 3, 27, 9)]
    got = request.sock.recvmsg_into(buffers, 0, MSG_DONTWAIT)[0]
    assert got == 32, f"expected 32 bytes, saw {got}"
    expect.same(expected + b"\xaa" * 8, b"".join(buffers), "SHA-256 in five buffers")


def test_unreadable_and_unwritable(bind: Bind) -> None:
    """EFAULT drops message and digest: the next read and the next message start anew."""
    request = bind("hash", "sha256").request()
    nothing, expected = hashlib.sha256(b"").digest(), hashlib.sha256(b"abc").digest()
    hole = libc.map_memory(PAGE)
    libc.unmap_memory(hole, PAGE)
    for more in (0, MSG_MORE):
        for begun in (b"", b"begun"):
            if begun:
                request.send(begun, more=True)
            with expect.refused(errno.EFAULT, "send of unmapped memory"):
                libc.sendmsg(request.fileno(), [(hole, 5)], flags=more)
            expect.same(nothing, request.recv(32), "recv after a send that was EFAULT")
            request.send(b"abc")
            expect.same(expected, request.recv(32), "message after a send that was EFAULT")
        request.send(b"abc", flags=more)
        with expect.refused(errno.EFAULT, "recv into unmapped memory"):
            libc.recvmsg(request.fileno(), [(hole, 32)], MSG_DONTWAIT)
        expect.same(nothing, request.recv(32), "recv after one that was EFAULT")
        request.send(b"abc")
        expect.same(expected, request.recv(32), "message after a recv that was EFAULT")


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "sha3-256", "md5", "hmac(sha256)"])
def test_clone_at_every_length(name: str, bind: Bind) -> None:
    """A copy taken amid a message, around block boundaries, and its original both go on."""
    transform, digest = keyed(bind, name)
    with transform.request() as request:
        for length in (1, 55, 63, 64, 65, 127, 128, 135, 136, 137, 5000):
            head = TEXT[:length]
            request.send(head, more=True)
            with request.accept() as clone:
                clone.send(b"copy")
                request.send(b"original")
                about = f"{name} after {length} bytes"
                expect.same(digest(head + b"copy"), clone.recv(LONGEST), f"{about}, copy")
                expect.same(digest(head + b"original"), request.recv(LONGEST), f"{about}, original")


@pytest.mark.parametrize("name", NAMES)
def test_clone_goes_on(name: str, bind: Bind) -> None:
    """Copies are requests like any other: in pieces, read at once, copied again, closed first."""
    transform, digest = keyed(bind, name)
    request = transform.request()
    request.send(b"ab", more=True)
    request.accept().close()
    with request.accept() as clone, clone.accept() as second:
        request.close()
        clone.send(b"c", more=True)
        clone.send(b"d", more=True)
        with clone.accept() as third:
            expect.same(digest(b"abcd"), third.recv(LONGEST), f"{name}, copy of a copy, at once")
            third.send(b"xyz")
            expect.same(digest(b"xyz"), third.recv(LONGEST), f"{name}, next message of a copy")
        expect.same(digest(b"ab"), second.recv(LONGEST), f"{name}, second copy")
        clone.send(b"")
        expect.same(digest(b"abcd"), clone.recv(LONGEST), f"{name}, copy")
        expect.same(digest(b""), clone.recv(LONGEST), f"{name}, copy after its message")


@pytest.mark.parametrize("name", NAMES)
def test_clone_of_no_message(name: str, bind: Bind) -> None:
    """A copy of a request that is not amid a message is a fresh one; the digest stays here."""
    transform, digest = keyed(bind, name)
    for what, sends in (("fresh", []), ("complete", [b"abc"]), ("read", [b"abc", b""])):
        with transform.request() as request:
            for text in sends:
                request.send(text)
            with request.accept() as clone:
                kept = digest(sends[-1] if sends else b"")
                about = f"{name}, copy of a {what} request"
                expect.same(digest(b""), clone.recv(LONGEST), f"{about}: recv")
                clone.send(b"d", more=True)
                clone.send(b"ef")
                expect.same(kept, request.recv(LONGEST), f"{about}: original")
                expect.same(digest(b"def"), clone.recv(LONGEST), f"{about}: message")


@pytest.mark.parametrize("name", ["hmac(sha256)", "cmac(aes)"])
def test_without_key(name: str, bind: Bind) -> None:
    """Without a key send, recv and accept are ENOKEY; once keyed a request does all three."""
    transform = bind("hash", name)
    request = transform.request()
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: request.send(b"ab", more=True),
        "recv": lambda: request.recv(LONGEST),
        "accept": request.accept,
    }
    for what, call in calls.items():
        with expect.refused(errno.ENOKEY, f"{what} without a key"):
            call()
    transform.set_key(samples.KEY)
    request.send(b"ab", more=True)
    with request.accept() as clone, transform.request() as other:
        clone.send(b"c")
        request.send(b"c")
        other.send(b"abc")
        expected = other.recv(LONGEST)
        expect.same(expected, clone.recv(LONGEST), f"{name} of a copy")
        expect.same(expected, request.recv(LONGEST), f"{name} of the request that had no key")
    if name.startswith("hmac"):
        expect.same(hmac.digest(samples.KEY, b"abc", "sha256"), expected, name)


def test_short_send(bind: Bind, record_fact: RecordFact) -> None:
    """Where a send stops midway for want of memory: does the rest complete the message?

    hash_sendmsg() takes 16 pages at a time. When it fails later on it drops the message, and
    since c662b043cdca (6.5) it says all the same how much it had taken: a program sends the
    rest and is given the digest of that alone. A send that fails as a whole, as before, is
    sent again as a whole.
    """
    request = bind("hash", "sha256").request()
    text = TEXT[: 20 * PAGE]
    taken, refusal = 0, "nothing"
    with resources.option_memory(16):  # too little for a digest
        try:
            taken = request.send(text)
        except OSError as error:
            refusal = af_alg.errno_name(error)
    fired = taken < len(text)
    rest = text[taken:]
    if fired:
        assert request.send(rest) == len(rest)
    digest = request.recv(LONGEST)
    whole, alone = (hashlib.sha256(part).digest() for part in (text, rest))
    lost = fired and taken > 0 and digest == alone
    record_fact(
        "hash.short_send_restarts",
        state="present" if lost else "absent" if fired else "unknown",
        control="fired" if fired else "failed",
        evidence=f"{taken} of {len(text)} bytes were taken, refused: {refusal}; "
        f"{'the digest of the rest alone' if lost else 'the digest of all'} came",
    )
    if not lost:
        expect.same(whole, digest, "digest of all that was sent")


@pytest.mark.parametrize("who", ["root", "namespace_root"])
def test_pages_are_released(who: str, bind: Bind) -> None:
    """Pages pinned to be hashed are unpinned, also where the send fails (nr_foll_pin_*)."""
    request = bind("hash", "sha256").request()
    memory = libc.map_memory(21 * PAGE)
    libc.memory_at(memory, 20 * PAGE)[:] = bytes(20 * PAGE)
    libc.unmap_memory(memory + 20 * PAGE, PAGE)

    def use() -> None:
        for _ in range(5):
            libc.sendmsg(request.fileno(), [(memory, 20 * PAGE)])
        with suppress(OSError):  # 6.1 takes what is readable
            libc.sendmsg(request.fileno(), [(memory + 10 * PAGE, 11 * PAGE)])

    try:
        before = pins()
        if who == "root":
            use()
        else:
            credentials.run_as(credentials.ROOT_IN_NAMESPACE, use)
        after = pins()
    except credentials.NoCredential as refusal:
        refusal.skip()
    finally:
        libc.unmap_memory(memory, 20 * PAGE)
    acquired, released = (b - a for a, b in zip(before, after, strict=True))
    if not acquired:
        skip(
            "sending 100 pages pins none of them here (nr_foll_pin_acquired)",
            Reason(Cause.OTHER, name="nr_foll_pin_acquired"),
        )
    assert released == acquired, f"{acquired} pages were pinned and {released} released"


def pins() -> tuple[int, int]:
    """How many pages were pinned and unpinned since the boot."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    fields: dict[str, Any] = dict(
        line.split() for line in Path("/proc/vmstat").read_text().splitlines()
    )
    return int(fields["nr_foll_pin_acquired"]), int(fields["nr_foll_pin_released"])
