"""Does a hash read the sender's pages, or a copy of them?

hash_sendmsg() (crypto/algif_hash.c) takes user pages and spliced pages into its scatterlist
with extract_iter_to_sg() and hashes them inside the call, on 7.3 still: ffdd2bc37895 left
hash alone. (6.1: af_alg_make_sg() for sendmsg, hash_sendpage() for splice.)

- sendmsg: the call is held while it takes its second page; the first page is changed
  meanwhile. A digest of the new contents means that the first page had been pinned and was
  read afterwards (``present``), of the old ones that it had been copied (``absent``).
- splice: all happens inside one call that nothing can hold, so overwriting tells nothing
  but that the page is not read later, which is a test of its own. The state is told by the
  page that the scatterlist given to crypto_ahash_digest() refers to: the page frame of the
  sender's page or another. Without kprobes it is ``unknown``.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import af_alg
import expect
import libc
import pages
import pytest
import userfault
from pages import PAGE
from probing import Probe, Void, handing_over, untold
from unavailable import Unavailable
from userfault import NEW, OLD, with_changed_front
from witness import Witness

from harness.guest.inside.words import Witness as Agreement

if TYPE_CHECKING:
    from conftest import RecordFact
    from sharing import Sharing
    from zero_copy_fixtures import Keyed

ALGORITHM = "sha256"
SPLICE_F_MORE = 4
#: Path -> source. Lengths differ, so that no field of the kernel's is taken for another.
SPLICED = {
    "splice_file": "disk",
    "splice_tmpfs": "tmpfs",
    "splice_memfd": "memfd",
    "vmsplice": "memory",
}
LENGTHS = (PAGE, PAGE - 512, PAGE - 1024)
PAGE_STRUCT = 64  # bytes of struct page (include/linux/mm_types.h, 64-bit)


def test_sendmsg(
    keyed: Keyed, witness: Witness, held_input: userfault.Control, record_fact: RecordFact
) -> None:
    """Does a hash read the sender's memory after it took hold of it, or a copy? (sha256)"""
    probe = Probe("zero_copy.hash.sendmsg", record_fact)
    of_old = hashlib.sha256(OLD + OLD).digest()
    of_new = hashlib.sha256(NEW + OLD).digest()
    states = {of_new: "present", of_old: "absent"}

    with probe.searching():
        transform = keyed("hash", ALGORITHM)
        held_input.require()
        with transform.request() as request, witness.watch() as watched:
            held = with_changed_front(lambda region: request.sock.send(region.memory))
            seen = request.recv(32)
    told = states.get(seen, "unknown") if held.held else "unknown"
    testimony = witness.of_pins(watched, held.thread)
    state = probe.conclude(
        told,
        testimony,
        control=held_input.outcome if held.held else "failed",
        evidence=(
            f"{ALGORITHM}, page changed while the call waited for the next one: digest "
            f"{seen[:8].hex()}, of the old page {of_old[:8].hex()}, of the new one "
            f"{of_new[:8].hex()}: {told}"
        ),
    )
    assert held.result == 2 * PAGE, f"expected {2 * PAGE} bytes taken, saw {held.result}"
    assert seen in {of_old, of_new}, (
        f"digest of neither the old nor the new page: {seen.hex()}, "
        f"expected {of_old.hex()} or {of_new.hex()}"
    )
    if state == "unknown":
        untold(f"the probe says {told}; {testimony}" if held.held else "the call did not wait")


@pytest.mark.parametrize("path", SPLICED)
def test_splice(
    path: str, keyed: Keyed, witness: Witness, sharing: Sharing, record_fact: RecordFact
) -> None:
    """Does the scatterlist of a hash refer to the very page that was spliced? (sha256)"""
    probe = Probe(f"zero_copy.hash.{path}", record_fact)
    with probe.searching(), pages.source(SPLICED[path], OLD * len(LENGTHS)) as source:
        links, bases = scatterlists(path, source, keyed("hash", ALGORITHM), witness)
        state = "present" if len(bases) == 1 else "absent"
        if state == "absent":
            sharing.require(SPLICED[path])
    record_fact(
        probe.fact,
        state=state,
        control="fired",
        evidence=(
            f"{ALGORITHM}, {source.origin}: page_link of {len(links)} scatterlists "
            f"{', '.join(links)}, which {'fit' if state == 'present' else 'do not fit'} the "
            "page frames of the pages spliced"
        ),
        witness=Agreement.AGREED,
    )


def scatterlists(
    path: str, source: pages.Source, transform: af_alg.Transform, witness: Witness
) -> tuple[list[str], set[int]]:
    """The page_link of each page's scatterlist, and where each has the array of struct page.

    Raises Void without a witness that told as much.
    """
    links: list[str] = []
    bases: set[int] = set()
    for number, length in enumerate(LENGTHS):
        with transform.request() as request, pages.pipe() as (read_end, write_end):
            with handing_over(path, "hash", ALGORITHM), witness.watch() as watched:
                assert source.put(write_end, number * PAGE, length) == length
                assert os.splice(read_end, request.fileno(), length) == length
            expected = hashlib.sha256(OLD[:length]).digest()
            expect.same(expected, request.recv(32), "digest of the spliced page")
        for call in watched.of("digest"):
            sizes = (call.arguments.get("nbytes"), call.arguments.get("length"))
            if sizes != (str(length), str(length)):
                raise Void(f"no witness: a scatterlist of {sizes}", witness=Agreement.SILENT)
            links.append(call.arguments.get("link", ""))
            bases.add(map_base(call.arguments, source.frame(number)))
    if len(links) != len(LENGTHS):
        why = witness.why_not.get("digest", f"crypto_ahash_digest called {len(links)} times")
        raise Void(f"no witness: {why}", witness=Agreement.SILENT)
    return links, bases


def map_base(fields: dict[str, str], frame: int) -> int:
    """Where the kernel's array of struct page begins, if the scatterlist has that frame."""
    link = int(fields["link"], 16) & ~3  # the low bits mark the end of the list
    return link + (int(fields["offset"]) // PAGE - frame) * PAGE_STRUCT


@pytest.mark.parametrize("path", SPLICED)
def test_splice_is_over_when_it_returns(path: str, keyed: Keyed, sharing: Sharing) -> None:
    """A page spliced into a hash amid a message may be overwritten once the call is back."""
    with ExitStack() as stack:
        try:
            transform = keyed("hash", ALGORITHM)
            source = stack.enter_context(pages.source(SPLICED[path], OLD))
        except Unavailable as lack:
            lack.skip()
        request = stack.enter_context(transform.request())
        control, control_in = stack.enter_context(pages.pipe())
        with pages.pipe() as (read_end, write_end):
            assert source.put(write_end, 0, PAGE) == PAGE
            assert libc.tee(read_end, control_in, PAGE) == PAGE
            assert os.splice(read_end, request.fileno(), PAGE, flags=SPLICE_F_MORE) == PAGE
        source.overwrite(0, NEW)
        request.send(b"tail")
        expected = hashlib.sha256(OLD + b"tail").digest()
        expect.same(expected, request.recv(32), "digest of the page as it was spliced")
        shared = os.read(control, PAGE)
    refusal = sharing.refusal(SPLICED[path]) if shared == OLD else None
    if refusal is not None:
        refusal.skip()
    expect.same(NEW, shared, "second reference to the page")
