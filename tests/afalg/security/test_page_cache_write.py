"""Does decryption write into a page of the page cache? (Copy Fail, CVE-2026-31431)

For an AEAD decryption, algif_aead worked in place: it chained the pages of the tag, as
the sender had handed them over, behind the receive buffer, and gave the whole as the
destination. crypto/authencesn.c keeps four bytes of the sequence number (bytes 4 to 7 of
the associated data) where the tag begins, so they landed in the page cache of whatever
file the tag was spliced from. a664bf3d603d (7.0; stable 6.1.170, 6.12.85, 6.18.22) made
algif_aead work out of place again.

The file here is a scratch file that the test made, opened read-only for the splice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import af_alg
import libc
import pages
import pytest
from pages import PAGE
from probing import Probe, handing_over, untold

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import RecordFact
    from sharing import Sharing

ALGORITHM = "authencesn(hmac(sha256),cbc(aes))"
TAG = 32
IV = bytes(16)
#: Security parameter index, and the half of the sequence number that went astray.
AAD = b"\x00\x01\x02\x03" + b"\xe5\xe5\xe5\xe5"
TEXT = bytes(range(256))[:96] * 32
#: struct rtattr of crypto/authenc.c: length 8, CRYPTO_AUTHENC_KEYA_PARAM, big-endian
#: length of the cipher key; then the HMAC key and the cipher key.
KEY = (
    b"\x08\x00\x01\x00"
    + (16).to_bytes(4, "big")
    + bytes(range(0x20, 0x40))
    + bytes(range(0x40, 0x50))
)


@pytest.mark.regression(
    cve="CVE-2026-31431", fix="a664bf3d603d", affected="4.14 to 6.1.169, 6.12.84, 6.18.21, 6.19.11"
)
def test_authencesn_leaves_the_file_alone(sharing: Sharing, record_fact: RecordFact) -> None:
    """Does authencesn decryption of a spliced page change the file it came from?"""
    probe = Probe("page_cache_write", record_fact)
    with probe.searching(), af_alg.Transform("aead", ALGORITHM) as transform:
        directory = pages.writable_directory(*pages.DISK_FILE_SYSTEMS, "tmpfs")
        if directory is None:
            raise pages.NoSource("disk", "no writable file system for the scratch file is mounted")
        transform.set_key(KEY)
        transform.set_authsize(TAG)
        sealed = seal(transform)
        with (
            pages.scratch_file(directory, sealed) as writable,
            pages.reopened_read_only(writable) as descriptor,
            pages.pipe() as (control, control_in),
        ):
            request = transform.request()
            request.send(AAD, op=af_alg.DECRYPT, iv=IV, assoclen=len(AAD), more=True)
            with handing_over("splice", "aead", ALGORITHM):
                feed(descriptor, request, control_in)
            opened = request.recv(len(AAD) + len(sealed))
            after = os.pread(descriptor, len(sealed), 0)
            pages.write_all(writable, bytes(len(sealed)))
            shared = os.read(control, len(sealed))
        # The request must have decrypted what the file held, from the very page that the
        # later overwrite reached: else nothing could have been seen.
        fired = opened == AAD + TEXT and shared == bytes(len(sealed))
        if shared == after == sealed:
            sharing.require("tmpfs" if directory.file_system == "tmpfs" else "disk")

    state = ("absent" if after == sealed else "present") if fired else "unknown"
    record_fact(
        probe.fact,
        state=state,
        control="fired" if fired else "failed",
        evidence=(
            f"{ALGORITHM} decrypted {len(sealed)} bytes spliced from a read-only file on "
            f"{directory}; file against what had been written: "
            f"{af_alg.difference(sealed, after)}; the tag begins at byte {len(TEXT)}, "
            f"bytes 4 to 7 of the associated data are {AAD[4:].hex()}"
        ),
        reason=None if fired else Reason(Cause.OTHER),
    )
    assert opened == AAD + TEXT, "decrypted text: " + af_alg.difference(AAD + TEXT, opened)
    if not fired:
        untold("control did not fire: the file's page was not shared up to the socket")


def seal(transform: af_alg.Transform) -> bytes:
    """TEXT encrypted, and its tag."""
    request = transform.request()
    request.send(AAD + TEXT, op=af_alg.ENCRYPT, iv=IV, assoclen=len(AAD))
    return request.recv(len(AAD) + len(TEXT) + TAG)[len(AAD) :]


def feed(descriptor: int, request: af_alg.Request, control: int) -> None:
    """Splice the file's contents into the request; the control pipe gets a second reference."""
    size = len(TEXT) + TAG
    assert size < PAGE, "the file must lie in one page"
    with pages.pipe() as (read_end, write_end):
        assert os.splice(descriptor, write_end, size, offset_src=0) == size
        assert libc.tee(read_end, control, size) == size
        moved = os.splice(read_end, request.fileno(), size)
    assert moved == size, f"expected {size} bytes taken by the socket, saw {moved}"
