"""Requests over which an unfixed kernel walks off the end of a scatterlist, and dies.

A probe of such a hole tells nothing that is worth a dead kernel where the fix is known to
be missing. So each asks first for a later fix (e4c06479d705: associated data of 2^31 bytes
is refused), and is skipped on a kernel without that. What is left to find is a fix that
has been undone since, or left out of a backport.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import af_alg
import expect
import pytest
from af_alg import DECRYPT, ENCRYPT
from pages import PAGE
from samples import IV, NONCE, TEXT, gcm, pattern
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import Bind, Provoked

pytestmark = pytest.mark.may_crash

SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # include/uapi/asm-generic/socket.h
LATER_FIX = "e4c06479d705 (associated data of 2^31 bytes is refused)"
#: struct rtattr of crypto/authenc.c with the length of the cipher key, and both keys.
KEY = b"\x08\x00\x01\x00" + (16).to_bytes(4, "big") + bytes(range(48))


@pytest.fixture
def with_later_fixes(bind: Bind) -> None:
    """Skips the test on a kernel which does not have a fix that came later."""
    request = gcm(bind).request()
    try:
        request.send(op=ENCRYPT, iv=NONCE, assoclen=1 << 31, more=True)
    except OSError as error:
        assert error.errno == errno.EINVAL, f"associated data of 2^31 bytes: {error}"
    else:
        skip(
            f"without {LATER_FIX} this kernel may lack the older fix, too, and would die",
            Reason(Cause.NOT_FIXED, name=LATER_FIX.partition(" ")[0]),
        )


@pytest.mark.regression(
    cve="CVE-2026-43043",
    fix="62397b493e14",
    affected="2.6.38 to 6.1.167, 6.12.80, 6.18.21, 6.19.11",
)
@pytest.mark.usefixtures("with_later_fixes")
def test_send_behind_a_full_list(bind: Bind, provoked: Provoked) -> None:
    """A send that fills a list of pages leaves no end mark before what is sent next."""
    transform = bind("skcipher", "ecb(cipher_null)")
    # MAX_SGL_ENTS (include/crypto/if_alg.h): as many entries as fit into a page, about.
    full = (4096 - 24) // 32 - 1
    text = pattern((full + 2) * PAGE)
    for count in (full - 1, full, full + 1):
        with transform.request() as request:
            for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
                request.sock.setsockopt(socket.SOL_SOCKET, option, len(text))
            first, rest = text[: count * PAGE], text[count * PAGE :]
            for piece, more in ((first, True), (rest, False)):
                sent = request.send(piece, op=ENCRYPT, more=more, flags=af_alg.MSG_DONTWAIT)
                assert sent == len(piece), f"{sent} of {len(piece)} bytes sent"
            expect.same(
                text, request.recv(len(text)), f"CVE-2026-43043: a send after one of {count} pages"
            )
    provoked()  # all was taken, and one of the three counts fills the list


def short_associated_data(
    cve: str, transform: af_alg.Transform, enough: int, provoked: Provoked
) -> None:
    """Associated data of fewer bytes than the algorithm writes to is EINVAL both ways."""
    transform.set_key(KEY)
    transform.set_authsize(32)
    request = transform.request()
    aad = IV[:8] + IV
    # The control: with enough of it the same request works. Encryption alone shows it:
    # crypto/essiv.c decrypts with the IV that it put into the output, and authenticates the
    # one of the input, which are two since algif_aead works out of place.
    request.send(aad[-enough:] + TEXT, op=ENCRYPT, iv=IV, assoclen=enough)
    sealed = request.recv(enough + len(TEXT) + 32)
    assert len(sealed) == enough + len(TEXT) + 32, f"{cve}: {len(sealed)} bytes encrypted"
    provoked()
    for length in (0, 4, enough - 1):
        for op in (ENCRYPT, DECRYPT):
            request.send(aad[:length] + sealed[enough:], op=op, iv=IV, assoclen=length)
            way = "encryption" if op == ENCRYPT else "decryption"
            what = f"{cve}: {transform.name}, {way} with {length} bytes of associated data"
            with expect.refused(errno.EINVAL, what):
                request.recv(length + len(TEXT) + (64 if op == ENCRYPT else 0))


@pytest.mark.regression(
    cve="CVE-2026-23060", fix="2397e9264676", affected="4.3 to 6.1.161, 6.12.67, 6.18.7"
)
@pytest.mark.usefixtures("with_later_fixes")
def test_authencesn_short_associated_data(bind: Bind, provoked: Provoked) -> None:
    """authencesn with less than the 8 bytes that hold its sequence number is EINVAL."""
    transform = bind("aead", "authencesn(hmac(sha256),cbc(aes))")
    short_associated_data("CVE-2026-23060", transform, 8, provoked)


@pytest.mark.regression(
    cve="CVE-2025-40019", fix="6bb73db6948c", affected="5.4 to 6.1.156, 6.12.53, 6.17.3"
)
@pytest.mark.usefixtures("with_later_fixes")
def test_essiv_short_associated_data(bind: Bind, provoked: Provoked) -> None:
    """ESSIV over an AEAD with less associated data than the IV it puts there is EINVAL."""
    transform = bind("aead", "essiv(authenc(hmac(sha256),cbc(aes)),sha256)")
    short_associated_data("CVE-2025-40019", transform, 16, provoked)
