"""Does a result go into the reader's pages themselves, or is it copied to where they are?

af_alg_get_rsgl() pins the pages of an skcipher's or AEAD's reader and the cipher writes into
them, on 7.3 still; a hash's digest and random numbers are copied with memcpy_to_msg() when
they are ready (hash_recvmsg(), _rng_recvmsg()).

Each probe holds recv() while it takes the reader's second page, and puts a new page in the
place of the first one meanwhile. Output that ends up in the old page though it was not
there when the call waited went to a pinned page (``present``). Output in the new page, or
in the old one already when the call waited, was copied (``absent``).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import af_alg
import pytest
import userfault
from pages import PAGE
from probing import Probe, untold
from userfault import OLD, Output, Region
from witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import RecordFact
    from zero_copy_fixtures import Keyed

HALF = 16  # bytes that fall on either page where a result is short


def test_skcipher(recv: Recv, keyed: Keyed) -> None:
    """Is a cipher's output written into the reader's pages themselves? (cbc(aes))"""

    def ask() -> af_alg.Request:
        request = keyed("skcipher", "cbc(aes)", bytes(range(16))).request()
        request.send(OLD + OLD, op=af_alg.ENCRYPT, iv=bytes(16))
        return request

    recv.probe("skcipher", "cbc(aes)", ask)


def test_aead(recv: Recv, keyed: Keyed) -> None:
    """Is an AEAD's output written into the reader's pages themselves? (gcm(aes))"""

    def ask() -> af_alg.Request:
        request = keyed("aead", "gcm(aes)", bytes(range(16))).request()
        text = (OLD + OLD)[:-16]
        request.send(text, op=af_alg.ENCRYPT, iv=bytes(12), assoclen=16)
        return request

    recv.probe("aead", "gcm(aes)", ask)


def test_hash(recv: Recv, keyed: Keyed) -> None:
    """Is a digest written into the reader's pages themselves? (sha256)"""

    def ask() -> af_alg.Request:
        request = keyed("hash", "sha256").request()
        request.send(OLD)
        return request

    recv.probe("hash", "sha256", ask, length=2 * HALF, known=hashlib.sha256(OLD).digest())


@pytest.fixture
def recv(witness: Witness, held_output: userfault.Control, record_fact: RecordFact) -> Recv:
    """Probes recv()."""
    return Recv(witness, held_output, record_fact)


class Recv:
    """Holds recv() and sees where the output went."""

    def __init__(
        self, witness: Witness, control: userfault.Control, record_fact: RecordFact
    ) -> None:
        self._witness = witness
        self._control = control
        self._record_fact = record_fact

    def probe(
        self,
        kind: str,
        algorithm: str,
        ask: Callable[[], af_alg.Request],
        length: int = 2 * PAGE,
        known: bytes = b"",
    ) -> None:
        """Record where the output of ``ask``'s request went; its half is in the first page.

        ``known`` is the output, if not what recv() into a buffer that nobody touches gives.
        """
        probe = Probe(f"zero_copy.{kind}.recv", self._record_fact)
        at = PAGE - length // 2
        with probe.searching():
            if not known:
                with ask() as request:
                    known = request.recv(length)
            assert len(known) == length, f"expected {length} bytes, saw {len(known)}"
            self._control.require()
            expected = known[: length // 2]
            with ask() as request, self._witness.watch() as watched:
                output = Output.of(lambda region: receive(request, region, at, length), at)
        told = output.state(expected)
        testimony = self._witness.of_pins(watched, output.thread)
        state = probe.conclude(
            told,
            testimony,
            control=self._control.outcome if output.held else "failed",
            evidence=(
                f"{algorithm}, page replaced while recv waited for the next one: "
                f"{output.describe(expected)}: {told}"
            ),
        )
        assert output.returned == length, f"expected {length} bytes, saw {output.returned}"
        if told == "unknown" and output.held:
            pytest.fail(f"output in neither page: {output.describe(expected)}")
        if state == "unknown":
            untold(f"the probe says {told}; {testimony}" if output.held else "recv did not wait")


def receive(request: af_alg.Request, region: Region, at: int, length: int) -> int:
    """recv() into a region; a result with little in it as two pieces, one on either page."""
    memory = region.memory
    flags = af_alg.MSG_DONTWAIT
    if length == 2 * PAGE:
        return request.sock.recv_into(memory, length, flags)
    pieces = [memory[at:PAGE], memory[PAGE : at + length]]
    return request.sock.recvmsg_into(pieces, 0, flags)[0]
