"""Was anything that the whole suite spliced into a request socket taken by reference?

Each test here hands over a page by itself, so that there is something to speak of, and then
says what the witness inside the kernel saw of all tests of this session (handovers.py).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import af_alg
import pages
import pytest
from handovers import Handovers
from pages import PAGE
from probing import Probe, handing_over

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import RecordFact
    from handovers import NoWitness
    from zero_copy_fixtures import Keyed

CIPHERS = {"skcipher": ("cbc(aes)", 16, None), "aead": ("gcm(aes)", 12, PAGE)}


@pytest.mark.parametrize("kind", CIPHERS)
def test_all(
    kind: str,
    keyed: Keyed,
    handovers: Handovers | NoWitness,
    record_fact: RecordFact,
    request: pytest.FixtureRequest,
) -> None:
    """Was every page that any test spliced into such a socket copied, by the kernel's code?"""
    probe = Probe(f"zero_copy.{kind}.suite", record_fact)
    name, iv, assoclen = CIPHERS[kind]
    with (
        probe.searching(),
        keyed(kind, name, bytes(16)).request() as one,
        pages.source("memfd", bytes(PAGE)) as source,
        pages.pipe() as (read_end, write_end),
    ):
        one.send(op=af_alg.ENCRYPT, iv=bytes(iv), assoclen=assoclen, more=True)
        assert source.put(write_end, 0, PAGE) == PAGE
        with handing_over("splice", kind, name):
            assert os.splice(read_end, one.fileno(), PAGE) == PAGE
    if not isinstance(handovers, Handovers):
        record_fact(
            probe.fact,
            state="unreachable",
            evidence=f"no witness of the suite's splices: {handovers}",
            reason=Reason(Cause.NO_WITNESS),
        )
        return
    handovers.close_test(request.node.nodeid)
    ledger = handovers.ledger
    tally = ledger.tallies[kind]
    evidence = tally.describe()
    if ledger.lost:
        evidence += f"; {len(ledger.lost)} tests not heard in full, first {ledger.lost[0]}"
    told = "present" if tally.shared else "absent"
    state = told if tally.splices else "unknown"
    record_fact(
        probe.fact,
        state=state,
        control="fired",
        evidence=evidence,
        reason=Reason(Cause.OTHER) if state == "unknown" else None,
    )
    assert tally.splices, f"expected a splice into {name} seen, saw none"
