"""What there is of zero copy where random numbers come from: a copy, and no input.

_rng_recvmsg() (crypto/algif_rng.c) generates into an array on its stack and copies it with
memcpy_to_msg(). It takes no input: sendmsg() is sock_no_sendmsg(), but for the additional
data of CONFIG_CRYPTO_USER_API_RNG_CAVP, which is copied too.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import af_alg
import pages
import pytest
import userfault
from pages import PAGE
from probing import Probe, Void, untold
from userfault import Output, Region
from witness import Witness

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import RecordFact
    from zero_copy_fixtures import Keyed

#: Tried in this order. The DRBG wants a seed, and is left out of some configs.
GENERATORS = (("jitterentropy_rng", b""), ("stdrng", bytes(48)))
HALF = 32


def test_recv(
    keyed: Keyed, witness: Witness, held_output: userfault.Control, record_fact: RecordFact
) -> None:
    """Are random numbers written into the reader's pages themselves?"""
    probe = Probe("zero_copy.rng.recv", record_fact)
    at = PAGE - HALF

    def receive(region: Region) -> int:
        pieces = [region.memory[at:PAGE], region.memory[PAGE : PAGE + HALF]]
        return request.sock.recvmsg_into(pieces, 0, af_alg.MSG_DONTWAIT)[0]

    def numbers(output: Output) -> bytes:
        # Nobody knows them: whatever has come to the old page, or else to the new one.
        return output.new if any(output.new) else output.old

    with probe.searching():
        request, name = generator(keyed)
        held_output.require()
        with request, witness.watch() as watched:
            output = Output.of(receive, at)
    expected = numbers(output)
    told, testimony = output.state(expected), witness.of_pins(watched, output.thread)
    state = probe.conclude(
        told,
        testimony,
        control=held_output.outcome if output.held else "failed",
        evidence=(
            f"{name}, page replaced while recv waited for the next one: "
            f"{output.describe(expected)}: {told}"
        ),
    )
    assert output.returned == 2 * HALF, f"expected {2 * HALF} bytes, saw {output.returned}"
    assert len(set(expected)) > 1, f"expected random bytes, saw {expected.hex()}"
    if state == "unknown":
        untold(f"the probe says {told}; {testimony}" if output.held else "recv did not wait")


@pytest.mark.parametrize("path", ["sendmsg", "splice"])
def test_input(path: str, keyed: Keyed, record_fact: RecordFact) -> None:
    """Can anything be put into a random number generator, by copy or by reference?"""
    probe = Probe(f"zero_copy.rng.{path}", record_fact)
    with probe.searching():
        request, name = generator(keyed)
        with request, pages.pipe() as (read_end, write_end):
            os.write(write_end, bytes(16))
            try:
                if path == "sendmsg":
                    request.send(bytes(16))
                else:
                    os.splice(read_end, request.fileno(), 16)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                refused = Reason(Cause.OTHER, "rng", name, "EOPNOTSUPP")
            else:
                raise Void(f"{path} to {name} is accepted: no probe of it")
    record_fact(
        probe.fact, state="unreachable", evidence=f"{path} to {name}: EOPNOTSUPP", reason=refused
    )


def generator(keyed: Keyed) -> tuple[af_alg.Request, str]:
    """A request of the first generator that the kernel offers, and its name."""
    refusals = []
    for name, seed in GENERATORS:
        try:
            transform = keyed("rng", name, seed)
        except af_alg.NotOffered as refusal:
            refusals.append(refusal)
            continue
        return transform.request(), name
    raise af_alg.NotOffered(", ".join(map(str, refusals)), refusals[0].reason)
