"""A skcipher request over its life: sends and reads in any shape, one message after another.

sendmsg() copies into pages that are filled up by the next send (``merge``) and listed by some
126 (MAX_SGL_ENTS); recvmsg() takes whole blocks off the front while more is to come, maps the
caller's buffers 16 pages at a time and no more than SO_RCVBUF at once (crypto/af_alg.c,
af_alg_sendmsg, af_alg_pull_tsgl, af_alg_get_rsgl). IV and operation belong to the request and
stay until they are set again. The oracle is OpenSSL on the host.
"""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import af_alg
import expect
import libc
import pages
import pytest
import resources
import samples
import vectors
from af_alg import DECRYPT, ENCRYPT, MSG_DONTWAIT, MSG_MORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bind, RecordFact

PAGE = pages.PAGE
BLOCK = 16
NAMES = ("cbc(aes)", "ctr(aes)")
#: include/linux/socket.h: SO_SNDBUF above net.core.wmem_max, for root.
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
#: Indexes into LONG_LENGTHS of harness/guest/oracle.py.
SMALL, PAGES, LARGE, LARGEST = range(4)


class Stream:
    """A keyed transform, a text, and its ciphertext as the oracle knows it."""

    def __init__(self, transform: af_alg.Transform, case: vectors.Case) -> None:
        self.transform = transform
        self.text, self.iv, self.key = case.message, case.iv, case.key
        transform.set_key(self.key)
        # Longer than an answer that is spelt out: encrypted at once, and checked.
        self.output = case.known_output(self._at_once, transform.name)

    def _at_once(self) -> bytes:
        with self.transform.request() as request:
            widen(request, len(self.text))
            request.send(self.text, op=ENCRYPT, iv=self.iv)
            return request.recv(len(self.text))

    def request(self) -> af_alg.Request:
        """A request with the IV and nothing of the text."""
        request = self.transform.request()
        request.send(b"", op=ENCRYPT, iv=self.iv, more=True)
        return request

    def check(self, seen: bytes, at: int, what: str) -> None:
        """What was read at this offset is right."""
        expect.same(self.output[at : at + len(seen)], seen, f"{self.transform.name}, {what}")


def widen(request: af_alg.Request, length: int) -> None:
    """Let a request hold so much (the kernel doubles what it is given)."""
    request.sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, length)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """A mode of whole blocks, and one that can end anywhere."""
    parameter: str = request.param
    return parameter


Known = dict[tuple[str, int], vectors.Case]
OpenStream = Callable[[str, int], Stream]


@pytest.fixture(scope="module")
def known() -> Known:
    """Texts and ciphertexts that were computed and checked already."""
    return {}


@pytest.fixture
def stream(bind: Bind, known: Known, known_answers: dict[str, Any]) -> OpenStream:
    """Opens one of the long texts of the oracle."""

    def opened(name: str, which: int) -> Stream:
        transform = bind("skcipher", name)
        if (name, which) not in known:
            case = vectors.cases(known_answers, "stream", name)[which]
            known[name, which] = replace(case, output=Stream(transform, case).output)
        return Stream(transform, known[name, which])

    return opened


def test_every_split(name: str, stream: OpenStream) -> None:
    """Three blocks sent in two pieces, cut at every place, then read in two parts."""
    one = stream(name, SMALL)
    length = 3 * BLOCK
    with one.transform.request() as request:
        for cut in range(length + 1):
            first = request.send(one.text[:cut], op=ENCRYPT, iv=one.iv, more=True)
            second = request.send(one.text[cut:length])
            assert (first, second) == (cut, length - cut)
            part = BLOCK * (1 + cut % 2)
            one.check(request.recv(part), 0, f"cut at {cut}, first {part} bytes")
            one.check(request.recv(length - part), part, f"cut at {cut}, after {part} bytes")


def test_around_pages(name: str, stream: OpenStream) -> None:
    """Pieces that end before, at and after page boundaries fill pages up and start new ones."""
    one = stream(name, PAGES)
    for sizes in (
        (PAGE - 1, 1, PAGE),
        (PAGE, PAGE),
        (PAGE + 1, PAGE - 1),
        (PAGE - 1, PAGE - 1, 2),
        (1, 2 * PAGE - 2, 1),
        (100, PAGE, 2 * PAGE + 1, PAGE - 101),
        (2 * PAGE + 7, 1, 2 * PAGE - 8),
    ):
        length = sum(sizes)
        for part in (length, PAGE, PAGE + BLOCK):
            with one.request() as request:
                at = 0
                for size in sizes:
                    request.send(one.text[at : at + size], more=True)
                    at += size
                request.send(b"")
                seen = b"".join(
                    request.recv(min(part, length - start)) for start in range(0, length, part)
                )
                assert len(seen) == length
                one.check(seen, 0, f"pieces {sizes} read by {part}")


def test_sends_and_reads_in_turns(
    name: str, stream: OpenStream, known_answers: dict[str, Any]
) -> None:
    """Sends and reads of random sizes in turns: each read gives the whole blocks there are."""
    one = stream(name, PAGES)
    random = Random(f"{known_answers['seed']}/{name}/turns")
    for _ in range(4):
        with one.request() as request:
            sent = read = 0
            while read < len(one.text):
                if sent < len(one.text):
                    size = random.choice((1, 15, 16, 100, PAGE - 1, PAGE, PAGE + 1, 5000))
                    size = min(size, len(one.text) - sent)
                    request.send(one.text[sent : sent + size], more=sent + size < len(one.text))
                    sent += size
                    if random.random() < 0.4:
                        continue
                read += read_some(request, one, read, sent, random)


def read_some(request: af_alg.Request, one: Stream, read: int, sent: int, random: Random) -> int:
    """Read once; returns how much came, which is known beforehand."""
    held, last = sent - read, sent == len(one.text)
    asked = random.choice((5, 16, 20, 48, 100, PAGE, PAGE + 8, max(held, 1), held + 40))
    # All that is held may end within a block; while more is to come, or some stays, not.
    # At the end ask for exact sizes: a read of more would go on to wait for the next message.
    given = min(asked, held)
    if not last or given < held:
        given -= given % BLOCK
    about = f"recv({asked}) of {held} bytes from {read}, {'all' if last else 'more to come'}"
    if given:
        seen = request.recv(asked)
        assert len(seen) == given, f"{about}: expected {given} bytes, saw {len(seen)}"
        one.check(seen, read, about)
        return given
    if not last and held < BLOCK:
        with expect.refused(errno.EAGAIN, about):
            request.recv(asked)
        return 0
    # No whole block fits: EINVAL since the fix of CVE-2026-31677; before it, nothing.
    assert not nothing_or_refused(request, asked, about)
    return 0


def nothing_or_refused(request: af_alg.Request, asked: int, about: str) -> bytes:
    """recv() of less than a block: b"", whether the kernel says EINVAL or nothing."""
    try:
        return request.recv(asked)
    except OSError as error:
        assert error.errno == errno.EINVAL, f"{about}: saw {af_alg.errno_name(error)}"
        return b""


def test_less_than_a_block(name: str, stream: OpenStream, record_fact: RecordFact) -> None:
    """A read of less than a block takes nothing; of a block and a half it takes a block.

    The first is EINVAL since the fix of CVE-2026-31677 (7.0, 6.12.83, 6.1.191), and was 0.
    """
    one = stream(name, SMALL)
    with one.request() as request:
        request.send(one.text[:32])
        refused = False
        try:
            assert not request.recv(8), "recv(8) of 32 bytes gave some"
        except OSError as error:
            assert error.errno == errno.EINVAL, f"recv(8): saw {af_alg.errno_name(error)}"
            refused = True
        one.check(request.recv(32), 0, "recv(32) after recv(8)")
    if name == "cbc(aes)":
        record_fact(
            "skcipher.short_read_refused",
            state="present" if refused else "absent",
            control="fired",
            evidence="cbc(aes), recv(8) of 32 bytes: " + ("EINVAL" if refused else "0 bytes"),
        )
    for more in (False, True):
        with one.request() as request:
            request.send(one.text[:64], more=more)
            about = f"{'amid' if more else 'after'} a message"
            assert not nothing_or_refused(request, 8, f"recv(8) {about}")
            one.check(request.recv(24), 0, f"recv(24) {about}")
            seen = request.recv(48)
            assert len(seen) == 48, f"{about}: {len(seen)} of 48 bytes are left"
            one.check(seen, 16, f"the rest {about}")


def test_read_of_nothing(stream: OpenStream) -> None:
    """recv(0) is empty in every state, and takes nothing."""
    one = stream("cbc(aes)", SMALL)
    with one.request() as request:
        assert request.recv(0) == b""
        request.send(one.text[:24], more=True)
        assert request.recv(0) == b""
        request.send(one.text[24:64])
        assert request.recv(0) == b""
        one.check(request.recv(64), 0, "after recv(0)")
        assert request.recv(0) == b""


def test_above_16_pages(name: str, stream: OpenStream) -> None:
    """A message of 160 pages, held at once, is right: sent at once or in pieces, read so or so.

    100 pages and more do not fit SO_RCVBUF: one recv does them in turns.
    """
    one = stream(name, LARGEST)
    length = len(one.text)
    for piece, part in ((length, 13 * PAGE + 32), (length // 3 + 1, length), (9 * PAGE + 3, 70000)):
        with one.request() as request:
            widen(request, length)
            for at in range(0, length, piece):
                sent = request.send(one.text[at : at + piece], more=at + piece < length)
                expected = min(piece, length - at)
                assert sent == expected, f"send of {expected} bytes at {at} returned {sent}"
            for at in range(0, length, part):
                seen = request.recv(min(part, length - at))
                expected = min(part, length - at)
                assert len(seen) == expected, f"recv of {expected} bytes at {at} gave {len(seen)}"
                one.check(seen, at, f"pieces of {piece}, read by {part}, at {at}")


def test_300_pages_in_one_operation(bind: Bind) -> None:
    """Where the buffers have room one read does it all: its list of pages is as long.

    What goes in and comes out a few pages at a time, as above, is the measure.
    """
    transform = bind("skcipher", "ctr(aes)")
    transform.set_key(samples.KEY)
    text = samples.pattern(300 * PAGE)
    with transform.request() as request, transform.request() as other:
        for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
            request.sock.setsockopt(socket.SOL_SOCKET, option, len(text))
        assert request.send(text, op=ENCRYPT, iv=samples.IV) == len(text)
        with resources.option_memory(1 << 20):  # the list takes some of it
            seen = request.recv(len(text))
        other.send(b"", op=ENCRYPT, iv=samples.IV, more=True)
        for at in range(0, len(text), 15 * PAGE):
            piece = text[at : at + 15 * PAGE]
            other.send(piece, more=at + len(piece) < len(text))
            expected = other.recv(len(piece))
            expect.same(expected, seen[at : at + len(piece)], f"300 pages at once, at {at}")
    assert len(seen) == len(text), f"recv of {len(text)} bytes gave {len(seen)}"


def test_read_of_more_than_there_is(name: str, stream: OpenStream) -> None:
    """A read with room for far more, above 16 pages, gives what is held and writes no further."""
    one = stream(name, LARGE)
    length, room = 25 * PAGE + BLOCK, 50 * PAGE
    for more in (False, True):
        buffer = bytearray(b"\xaa" * room)
        with one.request() as request:
            request.send(one.text[:length], more=more)
            got = request.sock.recv_into(buffer, room, MSG_DONTWAIT)
        about = f"recv of {room} bytes {'amid' if more else 'after'} a message of {length}"
        assert got == length, f"{about} gave {got}"
        one.check(bytes(buffer[:length]), 0, about)
        expect.same(b"\xaa" * (room - length), bytes(buffer[length:]), f"{about}, beyond")


def test_never_empty(name: str, stream: OpenStream) -> None:
    """A stream read with a delay, so that its list of pages never runs empty, stays right."""
    one = stream(name, LARGEST)
    with one.request() as request:
        request.send(one.text[:40], more=True)
        read, sent = 0, 40
        while sent < len(one.text):
            size = min(PAGE, len(one.text) - sent)
            request.send(one.text[sent : sent + size], more=sent + size < len(one.text))
            sent += size
            seen = request.recv((sent - read - 1) // BLOCK * BLOCK)
            one.check(seen, read, f"{len(seen)} bytes at {read}")
            read += len(seen)
        rest = request.recv(len(one.text) - read)
        one.check(rest, read, "the end")
        assert read + len(rest) == len(one.text)


@pytest.fixture
def memory() -> Iterator[tuple[int, memoryview]]:
    """Twenty pages, their address and what is in them."""
    size = 20 * PAGE
    address = libc.map_memory(size)
    view = libc.memory_at(address, size)
    yield address, view
    view.release()
    libc.unmap_memory(address, size)


def test_many_buffers(
    name: str, stream: OpenStream, known_answers: dict[str, Any], memory: tuple[int, memoryview]
) -> None:
    """Input gathered from many buffers, output scattered to as many, of odd sizes, some empty."""
    one = stream(name, PAGES)
    address, view = memory
    random = Random(f"{known_answers['seed']}/{name}/buffers")
    # Each takes 700 bytes of net.core.optmem_max, which is 20 KiB on 6.1.
    for count in (2, 17, 20):
        sizes = [random.choice((0, 1, 7, 16, 100, 1000)) for _ in range(count)]
        length = sum(sizes) // BLOCK * BLOCK + BLOCK
        sizes[0] += length - sum(sizes)
        buffers, ranges, at = [], [], 0
        for number, size in enumerate(sizes):
            buffers.append(one.text[at : at + size])
            ranges.append((address + at + number, size))  # a byte between two buffers
            at += size
        view[: length + count + 1] = b"\xaa" * (length + count + 1)
        with one.request() as request:
            sent = request.sock.sendmsg(buffers)
            got = libc.recvmsg(request.fileno(), ranges, MSG_DONTWAIT)
        assert (sent, got) == (length, length), f"{count} buffers: {sent} sent, {got} received"
        seen = b"".join(ctypes.string_at(start, size) for start, size in ranges)
        one.check(seen, 0, f"buffers of {sizes} bytes")
        between = bytes(view[start + size - address] for start, size in ranges)
        expect.same(b"\xaa" * count, between, "bytes between the buffers")


def test_in_place(name: str, stream: OpenStream, memory: tuple[int, memoryview]) -> None:
    """Output read over its own input, also some bytes further on, is right."""
    one = stream(name, PAGES)
    address, view = memory
    length = 4 * PAGE
    for shift in (0, 8):
        view[:length] = one.text[:length]
        with one.request() as request:
            libc.sendmsg(request.fileno(), [(address, length)])
            got = libc.recvmsg(request.fileno(), [(address + shift, length)], MSG_DONTWAIT)
        assert got == length
        one.check(bytes(view[shift : shift + length]), 0, f"read {shift} bytes on")


def test_next_message(name: str, stream: OpenStream) -> None:
    """Messages with an IV of their own are independent, however the last one was sent and read."""
    one = stream(name, SMALL)
    with one.transform.request() as request:

        def last_message(how: str) -> None:
            if how == "whole":
                request.send(bytes(48), op=DECRYPT, iv=bytes(16))
                request.recv(48)
            elif how == "in parts":
                request.send(bytes(48), op=DECRYPT, iv=bytes(16), more=True)
                request.recv(32)
                request.send(bytes(16))
                request.recv(32)
            elif how == "ended empty":
                request.send(bytes(48), op=DECRYPT, iv=bytes(16), more=True)
                request.recv(48)
                request.send(b"")
                # The end is a message of nothing, and has to be read.
                assert request.recv(16) == b""
            elif how == "empty":
                request.send(b"", op=DECRYPT, iv=bytes(16))
                assert request.recv(16) == b""
            elif how == "of a page":
                request.send(bytes(PAGE), op=DECRYPT, iv=bytes(16))
                request.recv(PAGE)

        for how in ("none", "whole", "in parts", "ended empty", "empty", "of a page"):
            last_message(how)
            with expect.refused(errno.EAGAIN, f"recv, nothing was sent after: {how}"):
                request.recv(16)
            request.send(one.text[:40], op=ENCRYPT, iv=one.iv, more=True)
            request.send(one.text[40:64])
            seen = request.recv(64)
            one.check(seen, 0, f"message after: {how}")
            assert len(seen) == 64


def test_chain_over_messages(name: str, stream: OpenStream) -> None:
    """Without control messages the next message goes on: same operation, chained IV."""
    one = stream(name, SMALL)
    for op, text, output in (
        (ENCRYPT, one.text, one.output),
        (DECRYPT, one.output, one.text),
    ):
        with one.transform.request() as request:
            request.send(text[:32], op=op, iv=one.iv)
            expect.same(output[:32], request.recv(32), f"{name}, first message")
            request.send(text[32:48])
            expect.same(output[32:48], request.recv(16), f"{name}, message without IV")
            request.send(text[48:112], op=op)
            expect.same(output[48:112], request.recv(64), f"{name}, message with operation only")
            request.send(text[112:144], more=True)
            request.send(text[144:160])
            expect.same(output[112:160], request.recv(48), f"{name}, message in pieces")


def test_operation_by_default(stream: OpenStream) -> None:
    """A control message without operation means decryption, whatever was before."""
    one = stream("cbc(aes)", SMALL)
    with one.transform.request() as request:
        request.send(one.text[:32], op=ENCRYPT, iv=one.iv)
        one.check(request.recv(32), 0, "encryption")
        request.send(one.output[:32], iv=one.iv)
        expect.same(one.text[:32], request.recv(32), "message with IV and no operation")
        request.send(one.output[32:64])
        expect.same(one.text[32:64], request.recv(32), "message with neither, after it")
    with one.transform.request() as request:
        request.send(one.output[:32], iv=one.iv)
        expect.same(one.text[:32], request.recv(32), "first message, with IV and no operation")
    with one.transform.request() as request:
        request.send(one.text[:16], op=ENCRYPT)
        zero = samples.encrypt(one.transform, one.text[:16], bytes(16))
        expect.same(zero, request.recv(16), "first message, without IV: zeros")


def test_new_iv_under_way(name: str, stream: OpenStream) -> None:
    """An IV that comes amid a message counts from the first block that was not read yet."""
    one = stream(name, SMALL)
    with one.transform.request() as request:
        request.send(bytes(16) + one.text[:16], op=ENCRYPT, iv=bytes(16), more=True)
        request.recv(16)
        request.send(one.text[16:48], op=ENCRYPT, iv=one.iv, more=True)
        request.send(one.text[48:64])
        one.check(request.recv(64), 0, "IV set amid the message")


def test_refused_message_changes_nothing(stream: OpenStream) -> None:
    """A send on top of an unread message is EINVAL: neither its text, IV nor operation counts."""
    one = stream("cbc(aes)", SMALL)
    with one.request() as request:
        request.send(one.text[:64])
        for text in (b"", bytes(16), bytes(PAGE)):
            with expect.refused(errno.EINVAL, f"{len(text)} bytes on top of a message"):
                request.send(text, op=DECRYPT, iv=bytes(16), more=bool(text))
        one.check(request.recv(32), 0, "message after refused ones")
        with expect.refused(errno.EINVAL, "16 bytes on top of a message read in part"):
            request.send(bytes(16), op=DECRYPT, iv=bytes(16))
        one.check(request.recv(32), 32, "rest after a refused one")
        request.send(one.text[64:96])
        one.check(request.recv(32), 64, "next message")


def test_unreadable_and_unwritable(
    name: str, stream: OpenStream, memory: tuple[int, memoryview]
) -> None:
    """EFAULT of a send or recv takes nothing and adds nothing: the message goes on after it."""
    one = stream(name, PAGES)
    hole = libc.map_memory(PAGE)
    libc.unmap_memory(hole, PAGE)
    address, _ = memory
    with one.request() as request:
        for at, size in ((0, 1), (1, 99), (100, PAGE - 100), (PAGE, PAGE + 32)):
            # Into a new page, and into the one that is not full.
            with expect.refused(errno.EFAULT, f"send of unmapped memory after {at} bytes"):
                libc.sendmsg(request.fileno(), [(hole, 50)], flags=MSG_MORE)
            request.send(one.text[at : at + size], more=True)
        request.send(one.text[2 * PAGE + 32 : 3 * PAGE])
        for ranges in ([(hole, PAGE)], [(address, PAGE), (hole, 2 * PAGE)]):
            with expect.refused(errno.EFAULT, "recv into unmapped memory"):
                libc.recvmsg(request.fileno(), ranges, MSG_DONTWAIT)
        seen = request.recv(3 * PAGE)
        assert len(seen) == 3 * PAGE, f"{len(seen)} bytes after EFAULT, of {3 * PAGE}"
        one.check(seen, 0, "after EFAULT")


def test_error_of_the_cipher(stream: OpenStream) -> None:
    """A message that ends within a block is EINVAL and gone, its IV and operation stay."""
    one = stream("cbc(aes)", SMALL)
    with one.request() as request:
        for odd in (1, 15, 17, PAGE + 1):
            request.send(bytes(odd))
            with expect.refused(errno.EINVAL, f"recv of a message of {odd} bytes"):
                request.recv(odd)
            with expect.refused(errno.EAGAIN, f"recv again, after a message of {odd} bytes"):
                request.recv(odd)
        request.send(one.text[:32], op=ENCRYPT, iv=one.iv)
        one.check(request.recv(32), 0, "message after refused ones")


def test_rounded_reads(
    stream: OpenStream,
    memory: tuple[int, memoryview],
    record_fact: RecordFact,
) -> None:
    """A read that the receive limit ends within a block goes on right behind the last whole one.

    Before 2f90facc7b94 (7.3, 6.12.117) what was rounded off stayed as a hole in the buffer.
    16 pages at most are mapped at once, so from 8 bytes into a page 64 KiB less 8 bytes; with
    SO_RCVBUF of 64 KiB that is all the room there is.
    """
    one = stream("ctr(aes)", LARGE)
    address, view = memory
    length, room = 18 * PAGE, 16 * PAGE
    view[:] = b"\xaa" * len(view)
    with one.request() as request:
        # The kernel doubles it.
        request.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room // 2)
        request.send(one.text[:length])
        got = libc.recvmsg(request.fileno(), [(address + 8, length)], MSG_DONTWAIT)
    whole = (room - 8) // BLOCK * BLOCK
    one.check(bytes(view[8 : 8 + whole]), 0, "first part")
    behind = 8 + whole
    hole = bytes(view[behind : behind + 8]) == b"\xaa" * 8
    if hole:
        behind += 8
    # With a hole the buffer ends 8 bytes too early, and so a block is left unread.
    expected = length - BLOCK if hole else length
    assert got == expected, f"expected {expected} bytes, saw {got}"
    rest = bytes(view[behind : behind + got - whole])
    one.check(rest, whole, "second part, " + ("behind a hole" if hole else "contiguous"))
    record_fact(
        "skcipher.hole_in_rounded_read",
        state="present" if hole else "absent",
        control="fired",
        evidence=f"recv of {length} bytes at offset 8 with SO_RCVBUF {room}: {got} bytes, "
        + (f"8 bytes left out at {whole}" if hole else "contiguous"),
    )
