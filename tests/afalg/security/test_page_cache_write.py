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

from typing import TYPE_CHECKING

import af_alg
import copy_fail
import pytest
from copy_fail import AAD, ALGORITHM, TEXT
from probing import Probe, untold

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import Provoked, RecordFact
    from sharing import Sharing

pytestmark = pytest.mark.first_answer


@pytest.mark.regression(
    cve="CVE-2026-31431", fix="a664bf3d603d", affected="4.14 to 6.1.169, 6.12.84, 6.18.21, 6.19.11"
)
def test_authencesn_leaves_the_file_alone(
    sharing: Sharing, record_fact: RecordFact, provoked: Provoked
) -> None:
    """Does authencesn decryption of a spliced page change the file it came from?"""
    probe = Probe("page_cache_write", record_fact)
    with probe.searching():
        seen = copy_fail.look()
        if seen.copied:
            sharing.require(seen.source)

    # The request must have decrypted what the file held, from the very page that the
    # later overwrite reached: else nothing could have been seen.
    if seen.fired:
        provoked()
    state = ("present" if seen.changed else "absent") if seen.fired else "unknown"
    record_fact(
        probe.fact,
        state=state,
        control="fired" if seen.fired else "failed",
        evidence=(
            f"{ALGORITHM} decrypted {len(seen.sealed)} bytes spliced from a read-only file on "
            f"{seen.place}; file against what had been written: "
            f"{af_alg.difference(seen.sealed, seen.after)}; the tag begins at byte {len(TEXT)}, "
            f"bytes 4 to 7 of the associated data are {AAD[4:].hex()}"
        ),
        reason=None if seen.fired else Reason(Cause.OTHER),
    )
    assert seen.opened == AAD + TEXT, "decrypted text: " + af_alg.difference(
        AAD + TEXT, seen.opened
    )
    if not seen.fired:
        untold("control did not fire: the file's page was not shared up to the socket")
