"""Are the pages of a request given back, and is nothing written beside the output?

af_alg_pull_tsgl() hands the pages of what was sent to the request that reads it. Once
a664bf3d603d had taken its offset argument away it handed on one page too many whenever a
read ended where a page did: a write behind the request's list, and a reference that
nobody dropped (CVE-2026-43078, 31d00156e50e). The lists here have five entries, of 160
bytes in an object of 192, so that a sixth stays inside; what shows is the lost page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import copy_fail
import expect
import libc
import page_count
import pytest
from af_alg import DECRYPT, ENCRYPT, MSG_DONTWAIT, MSG_MORE
from pages import PAGE
from samples import AAD, KEY, NONCE, TEXT, gcm, seal
from unavailable import Unavailable, skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    import af_alg
    from conftest import Bind, Provoked


@pytest.fixture(scope="module")
def lost_pages_show() -> None:
    """The control: pages that are lost for a while are missing while they are."""
    seen = page_count.seen_in_pipes()
    if seen < page_count.LIMIT:
        skip(
            f"of {page_count.LOST} pages in pipes {seen} are seen to be missing",
            Reason(Cause.OTHER, name="/proc/vmstat"),
        )


@pytest.fixture(scope="module")
def handed_on_whole() -> bool:
    """Whether the kernel has a664bf3d603d, without which none of this shows."""
    try:
        seen = copy_fail.look()
    except (Unavailable, OSError):
        return False
    return seen.fired and not seen.changed


def given_back(what: str, once: Callable[[], None]) -> None:
    """What is done over and over does not lose a page each time."""
    for _ in range(4):
        once()  # what is allocated once and kept
    lost = 0
    for _ in range(3):  # something else may allocate meanwhile, but not each time
        before = page_count.uncounted()
        for _ in range(page_count.LOST):
            once()
        lost = page_count.uncounted() - before
        if lost < page_count.LIMIT:
            return
    pytest.fail(f"{what}: {lost} pages lost in {page_count.LOST} turns, expected none")


@pytest.mark.regression(
    cve="CVE-2026-43078",
    fix="31d00156e50e",
    affected="4.14 to 6.1.169, 6.12.84, 6.18.23, 6.19.13; shows since a664bf3d603d",
)
@pytest.mark.usefixtures("lost_pages_show")
@pytest.mark.parametrize("ends", ["at_a_page", "within_a_page", "unread"])
def test_sent_pages(ends: str, bind: Bind, handed_on_whole: bool, provoked: Provoked) -> None:
    """No page of what was sent is lost, wherever the read ends."""
    transform = bind("skcipher", "ecb(cipher_null)")
    text = bytes(6 * PAGE)
    lengths = {"at_a_page": 5 * PAGE, "within_a_page": 4 * PAGE + 32, "unread": 0}

    def once() -> None:
        with transform.request() as request:
            request.send(text, op=ENCRYPT)
            request.recv(lengths[ends])

    if ends == "at_a_page" and handed_on_whole:
        provoked()
    given_back(f"CVE-2026-43078: a read that ends {ends} of what was sent", once)


@pytest.mark.regression(
    cve="CVE-2026-43078",
    fix="31d00156e50e",
    affected="4.14 to 6.1.169, 6.12.84, 6.18.23, 6.19.13; shows since a664bf3d603d",
)
@pytest.mark.usefixtures("lost_pages_show")
def test_sent_pages_of_an_aead(bind: Bind, handed_on_whole: bool, provoked: Provoked) -> None:
    """No page of an AEAD's input is lost when a short read ends where a page does."""
    transform = gcm(bind)
    text = bytes(6 * PAGE)

    def once() -> None:
        with transform.request() as request:
            request.send(text, op=ENCRYPT, iv=NONCE)
            request.recv(5 * PAGE + 16)

    if handed_on_whole:
        provoked()
    given_back("CVE-2026-43078: a read that ends at a page of what was sent", once)


@pytest.mark.usefixtures("lost_pages_show")
@pytest.mark.parametrize("kind", ["hash", "skcipher"])
def test_pinned_pages(kind: str, bind: Bind) -> None:
    """Pages that a hash reads from, or a cipher writes to, are let go."""
    transform = bind(kind, "sha256" if kind == "hash" else "ecb(cipher_null)")
    request = transform.request()

    def once() -> None:
        address = libc.map_memory(PAGE)
        libc.memory_at(address, PAGE)[:1] = b"x"
        if kind == "hash":
            libc.sendmsg(request.fileno(), [(address, PAGE)], flags=MSG_MORE)
            request.send()
        else:
            request.send(bytes(64), op=ENCRYPT)
            libc.recvmsg(request.fileno(), [(address, 64)], MSG_DONTWAIT)
        libc.unmap_memory(address, PAGE)

    given_back(f"pages that a {kind} pinned", once)


@pytest.mark.regression(cve="CVE-2015-3331", fix="ccfe8c3f7e52", affected="2.6.38 to 3.19.2")
@pytest.mark.parametrize("name", ["gcm(aes)", "rfc4106(gcm(aes))"])
def test_nothing_behind_the_text(name: str, bind: Bind, provoked: Provoked) -> None:
    """Decryption writes the text alone: not the tag, nor what is left of a block, behind it."""
    transform, iv = keyed(name, bind)
    provoked()
    for length in (64, 50, 1):
        text = TEXT[:length]
        sealed = seal(transform, text, AAD, iv)
        total = len(AAD) + length
        for room in (total, total + 32):
            buffer = bytearray(b"\xa5" * (total + 64))
            with transform.request() as request:
                request.send(AAD + sealed, op=DECRYPT, iv=iv, assoclen=len(AAD))
                got = request.sock.recv_into(buffer, room, MSG_DONTWAIT)
            what = f"CVE-2015-3331: {name}, {length} bytes read into {room - len(AAD)}"
            assert got == total, f"{what}: {got} bytes came, expected {total}"
            expect.same(AAD + text + b"\xa5" * 64, bytes(buffer), what)


def keyed(name: str, bind: Bind) -> tuple[af_alg.Transform, bytes]:
    """A keyed AEAD of GCM, and an IV for it."""
    if name == "gcm(aes)":
        return gcm(bind), NONCE
    transform = bind("aead", name)
    transform.set_key(KEY + bytes(4))
    transform.set_authsize(16)
    return transform, NONCE[:8]
