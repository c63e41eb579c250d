"""Does a request socket read the sender's page, or a copy made when it was sent?

Since ffdd2bc37895 (7.2, and stable 6.12.96, 6.18.39, 6.1.178) af_alg_sendmsg() copies all
skcipher and aead input; before, MSG_SPLICE_PAGES put the spliced page itself into the
request (6.1.154 to 6.1.177 copy too, by a backport's accident). splice() works either way,
so only what happens to the page tells: each probe hands pages over, overwrites one at its
source, and then reads the result. A result of the new contents means that the page was
shared (state ``present``), of the old ones that it was copied (``absent``). Old up to where
it fills up a page of what was sent before, and new from there on, is ``present`` too. A
state is an observation and no failure: it is judged on the host. A result of neither is a
corruption and fails.

The control is a second reference to the same pages that ends in a pipe, read after the
overwrite. It must show the new contents; otherwise the page was not shared up to the
socket, and the probe is void (an O_DIRECT source; a fork between vmsplice and overwrite),
or the path is unreachable where the source hands over copies by itself (sharing.py).
The witness counts the pages that af_alg_sendmsg() allocated while it was fed.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pages
import pytest
from pages import PAGE
from probing import Probe, handing_over, untold
from witness import Testimony, Witness

if TYPE_CHECKING:
    from conftest import RecordFact
    from sharing import Sharing
    from zero_copy_fixtures import Keyed

pytestmark = pytest.mark.first_answer

SPLICE_F_MORE = 4
#: More than fit in one pipe, or in one scatterlist of AF_ALG (16; include/crypto/if_alg.h).
MANY = 18
#: Each page differs from every other.
OLD = random.Random(1).randbytes(MANY * PAGE)
NEW = OLD.translate(bytes(range(255, -1, -1)))


@dataclass(frozen=True)
class Path:
    """One way for pages into a socket; ``changed`` is the range overwritten at the source."""

    source: str
    way: str = "splice"  # or "sendfile", "tee"
    offset: int = 0
    length: int = PAGE
    changed: tuple[int, int] = (0, PAGE)
    before: int = 0  # bytes sent by copy ahead of the pages
    after: int = 0

    @property
    def room(self) -> int:
        """Pages that the source has."""
        return -(-(self.offset + self.length) // PAGE)

    def contents(self, *, overwritten: bool) -> bytes:
        """The source as it was, or as it is in the end."""
        start, end = self.changed
        old = OLD[: self.room * PAGE]
        return old[:start] + NEW[start:end] + old[end:] if overwritten else old

    def fed(self, *, overwritten: bool) -> bytes:
        """What of it goes into the socket."""
        return self.contents(overwritten=overwritten)[self.offset : self.offset + self.length]

    def message(self, fed: bytes) -> bytes:
        """The whole message."""
        return OLD[: self.before] + fed + OLD[: self.after]


PATHS = {
    "splice_file": Path("disk"),
    "splice_tmpfs": Path("tmpfs"),
    "splice_memfd": Path("memfd"),
    "sendfile": Path("disk", "sendfile"),
    "vmsplice": Path("memory"),
    "vmsplice_gift": Path("gift"),
    "tee": Path("disk", "tee"),
    "splice_middle": Path("disk", length=MANY * PAGE, changed=(9 * PAGE, 10 * PAGE)),
    "splice_last": Path("disk", length=MANY * PAGE, changed=((MANY - 1) * PAGE, MANY * PAGE)),
    "splice_unaligned": Path("disk", offset=1003, changed=(0, 2 * PAGE)),
    "splice_mixed": Path("disk", before=100, after=44),
}


@dataclass(frozen=True)
class Target:
    """An input of an algorithm; ``aad`` is sent ahead, ``all_aad`` makes the message AAD."""

    kind: str
    type: str
    algorithm: str
    iv: bytes
    aad: bytes = b""
    all_aad: bool = False
    tag: int = 0

    def start(self, transform: af_alg.Transform, path: Path) -> af_alg.Request:
        """A request that waits for the pages."""
        request = transform.request()
        assoclen = None
        if self.tag:
            message = path.before + path.length + path.after
            assoclen = message if self.all_aad else len(self.aad)
        head = self.aad + OLD[: path.before]
        request.send(head, op=af_alg.ENCRYPT, iv=self.iv, assoclen=assoclen, more=True)
        return request

    def result(self, request: af_alg.Request, path: Path) -> bytes:
        """The output of a complete request."""
        length = len(self.aad) + path.before + path.length + path.after + self.tag
        return request.recv(length)

    def copied(self, transform: af_alg.Transform, path: Path, fed: bytes) -> bytes:
        """The output for a message that was sent by copy."""
        with self.start(transform, path) as request:
            request.send(path.message(fed)[path.before :])
            return self.result(request, path)

    def fed_in_part(self, path: Path) -> bytes:
        """What is fed, old as far as it fills up a page of what was sent before, then new."""
        room = -(len(self.aad) + path.before) % PAGE
        old, new = path.fed(overwritten=False), path.fed(overwritten=True)
        return old[:room] + new[room:]

    def excerpt(self, output: bytes, path: Path) -> str:
        """The first bytes of an output that depend on what is overwritten, as hex."""
        at = len(self.aad) + path.before + max(path.changed[0] - path.offset, 0)
        return output[at : at + 8].hex()

    def pages_of_a_copy(self, path: Path) -> int:
        """How many pages af_alg_sendmsg() must allocate to copy what is fed."""
        sent = len(self.aad) + path.before  # the rest of its last page is used up first
        return -(-(sent + path.length) // PAGE) - -(-sent // PAGE)


SKCIPHER = Target("skcipher", "skcipher", "cbc(aes)", iv=bytes(16))
AEAD = Target("aead", "aead", "gcm(aes)", iv=bytes(12), aad=bytes(16), tag=16)
#: The pages are associated data as a whole and there is no text: they come back in the clear.
AEAD_AAD = Target("aead_aad", "aead", "gcm(aes)", iv=bytes(12), all_aad=True, tag=16)
TARGETS = {target.kind: target for target in (SKCIPHER, AEAD, AEAD_AAD)}


@pytest.fixture(scope="module")
def prober(keyed: Keyed, witness: Witness, sharing: Sharing) -> Prober:
    """Feeds pages; keeps what it computed for the probes that share a message."""
    return Prober(keyed, witness, sharing)


@pytest.mark.parametrize("path", PATHS)
def test_skcipher(path: str, prober: Prober, record_fact: RecordFact) -> None:
    """Is a page given to an skcipher as text still read after it was sent? (cbc(aes))"""
    prober.probe(SKCIPHER, path, record_fact)


@pytest.mark.parametrize("path", PATHS)
def test_aead(path: str, prober: Prober, record_fact: RecordFact) -> None:
    """Is a page given to an AEAD as text still read after it was sent? (gcm(aes))"""
    prober.probe(AEAD, path, record_fact)


@pytest.mark.parametrize("path", PATHS)
def test_aead_aad(path: str, prober: Prober, record_fact: RecordFact) -> None:
    """Is a page given to an AEAD as associated data still read after it was sent? (gcm(aes))"""
    prober.probe(AEAD_AAD, path, record_fact)


@pytest.mark.parametrize("kind", TARGETS)
def test_sendmsg_copies(kind: str, prober: Prober) -> None:
    """Memory sent by sendmsg() may be overwritten once the call is back."""
    target, path = TARGETS[kind], PATHS["splice_memfd"]
    try:
        transform = prober.transform(target)
    except af_alg.NotOffered as refusal:
        refusal.skip()
    expected = prober.copied(target, path, overwritten=False)
    buffer = bytearray(path.fed(overwritten=False))
    with target.start(transform, path) as request:
        request.sock.send(buffer)
        buffer[:] = path.fed(overwritten=True)
        expect.same(expected, target.result(request, path), "result of what was sent")


def test_control_fails_for_a_copied_page(sharing: Sharing) -> None:
    """The control tells a page that was written to a pipe from one that was spliced into it."""
    refusal = sharing.refusal("memfd")
    if refusal is not None:
        refusal.skip()
    path = PATHS["splice_memfd"]
    for by_reference in (True, False):
        with ExitStack() as stack:
            source = stack.enter_context(
                pages.source(path.source, path.contents(overwritten=False))
            )
            read_end, write_end = stack.enter_context(pages.pipe())
            control, control_in = stack.enter_context(pages.pipe())
            if by_reference:
                assert source.put(write_end, 0, PAGE) == PAGE
            else:
                assert os.write(write_end, path.fed(overwritten=False)) == PAGE
            assert libc.tee(read_end, control_in, PAGE) == PAGE
            source.overwrite(0, path.fed(overwritten=True))
            expected = path.fed(overwritten=by_reference)
            expect.same(expected, os.read(control, PAGE), "second reference to the page")


class Prober:
    """Feeds pages by every path to every target."""

    def __init__(self, keyed: Keyed, witness: Witness, sharing: Sharing) -> None:
        self._keyed = keyed
        self._witness = witness
        self._sharing = sharing
        self._copied: dict[tuple[str, bytes], bytes] = {}

    def transform(self, target: Target) -> af_alg.Transform:
        """The target's transform, with its key. Raises NotOffered."""
        return self._keyed(target.type, target.algorithm, bytes(range(16)))

    def copied(self, target: Target, path: Path, *, overwritten: bool) -> bytes:
        """The output for the path's message when it is sent by copy."""
        fed = path.fed(overwritten=overwritten)
        key = target.kind, path.message(fed)
        if key not in self._copied:
            self._copied[key] = target.copied(self.transform(target), path, fed)
        return self._copied[key]

    def probe(self, target: Target, name: str, record_fact: RecordFact) -> None:
        """Feed pages, overwrite, read the result, and record which contents it is of."""
        path, probe = PATHS[name], Probe(f"zero_copy.{target.kind}.{name}", record_fact)
        with probe.searching():
            seen = self._feed(target, name)
            if not seen.fired and seen.result == seen.of_old:
                self._sharing.require(path.source, path.way)
        state = probe.conclude(
            seen.told,
            seen.testimony,
            control="fired" if seen.fired else "failed",
            evidence=(
                f"{target.algorithm}, {seen.origin} overwritten after {name}: result "
                f"{target.excerpt(seen.result, path)}, of the old page "
                f"{target.excerpt(seen.of_old, path)}, of the new one "
                f"{target.excerpt(seen.of_new, path)}: {seen.told}"
                f"{' in part' if seen.in_part else ''}"
            ),
        )
        assert seen.in_part or seen.result in {seen.of_old, seen.of_new}, (
            "result of neither the old nor the new page: against the old, "
            + af_alg.difference(seen.of_old, seen.result)
            + "; against the new, "
            + af_alg.difference(seen.of_new, seen.result)
        )
        if not seen.fired:
            untold(
                "control did not fire: the page was not shared up to the socket, "
                + af_alg.difference(path.fed(overwritten=True), seen.shared)
            )
        if state != seen.told:
            untold(f"the probe says {seen.told}; {seen.testimony}")

    def _feed(self, target: Target, name: str) -> Seen:
        path = PATHS[name]
        with ExitStack() as stack:
            transform = self.transform(target)
            contents = path.contents(overwritten=False)
            source = stack.enter_context(pages.source(path.source, contents))
            of_old = self.copied(target, path, overwritten=False)
            of_new = self.copied(target, path, overwritten=True)
            request = stack.enter_context(target.start(transform, path))
            control, control_in = stack.enter_context(pages.pipe(room=2 * MANY))
            with (
                handing_over(name, target.type, target.algorithm),
                self._witness.watch() as watched,
            ):
                feed(path, source, request, control_in)
            start, end = path.changed
            source.overwrite(start, path.contents(overwritten=True)[start:end])
            if path.after:
                request.send(OLD[: path.after])
            elif is_open_ended(path):
                request.send()
            result = target.result(request, path)
            shared = os.read(control, path.length)
            in_part = result not in {of_old, of_new} and (
                result == target.copied(transform, path, target.fed_in_part(path))
            )
        testimony = self._witness.of_input(watched, target.pages_of_a_copy(path))
        # A result of the overwritten page speaks for itself.
        fired = shared == path.fed(overwritten=True) or in_part or result == of_new
        return Seen(source.origin, result, of_old, of_new, shared, fired, in_part, testimony)


@dataclass(frozen=True)
class Seen:
    """What came out of a socket whose pages were overwritten, and what of a copied message."""

    origin: str
    result: bytes
    of_old: bytes
    of_new: bytes
    shared: bytes  # what the second reference to the pages gave in the end
    fired: bool  # the control
    in_part: bool
    testimony: Testimony

    @property
    def told(self) -> str:
        """The state by the result alone."""
        if not self.fired:
            return "unknown"
        if self.in_part or self.result == self.of_new:
            return "present"
        return "absent" if self.result == self.of_old else "unknown"


def is_open_ended(path: Path) -> bool:
    """Whether the pages are fed with "more to come", since they take more than one call."""
    return path.length > PAGE or path.after > 0


def feed(path: Path, source: pages.Source, request: af_alg.Request, control: int) -> None:
    """Hand the pages to the request, and a second reference to each to the control pipe.

    splice: tee() duplicates the very pipe buffers that go into the socket (tee: the other
    way round). sendfile has its pipe inside the kernel: there the control is a splice of
    the same page.
    """
    if path.way == "sendfile":
        assert isinstance(source, pages.FileSource)
        assert source.put(control, path.offset, path.length) == path.length
        moved = os.sendfile(request.fileno(), source.descriptor, path.offset, path.length)
        assert moved == path.length, f"expected {path.length} bytes taken, saw {moved}"
        return
    flags = SPLICE_F_MORE if is_open_ended(path) else 0
    with pages.pipe(room=2 * MANY) as (read_end, write_end):
        done = 0
        while done < path.length:
            put = source.put(write_end, path.offset + done, path.length - done)
            if path.way == "tee":
                with pages.pipe(room=2 * MANY) as (copy, copy_in):
                    assert libc.tee(read_end, copy_in, put) == put
                    splice_all(copy, request.fileno(), put, flags)
                splice_all(read_end, control, put, 0)
            else:
                assert libc.tee(read_end, control, put) == put
                splice_all(read_end, request.fileno(), put, flags)
            done += put


def splice_all(source: int, target: int, length: int, flags: int) -> None:
    """splice(2) until all is moved; what it moves at once is limited."""
    while length:
        moved = os.splice(source, target, length, flags=flags)
        assert moved > 0, f"expected {length} more bytes taken, saw end of file"
        length -= moved
