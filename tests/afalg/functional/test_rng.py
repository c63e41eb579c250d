"""Random number generators: how much a read gives, seeding, and one that can be predicted.

A read gives 128 bytes at most (MAXSIZE in crypto/algif_rng.c), all requests of a bound socket
share the state of one generator, and ALG_SET_KEY seeds it. ``stdrng`` and ``drbg_*`` need
CONFIG_CRYPTO_DRBG and a seed. ``ansi_cprng`` is ANSI X9.31, determined by its seed, hence the
known answers; later kernels are without it. ``jitterentropy_rng`` takes a seed and ignores it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import af_alg
import expect
import libc
import pages
import pytest
import vectors
from af_alg import MSG_DONTWAIT
from credentials import NOBODY, run_as

if TYPE_CHECKING:
    from conftest import Bind

LONGEST = 128
DRBGS = ("stdrng", "drbg_nopr_hmac_sha256")
NAMES = (*DRBGS, "jitterentropy_rng")


def seeded(bind: Bind, name: str) -> af_alg.Transform:
    """A generator that gives output: a DRBG does not before it has a seed."""
    transform = bind("rng", name)
    transform.set_key(bytes(48))
    return transform


@pytest.mark.parametrize("name", DRBGS)
def test_without_seed(name: str, bind: Bind) -> None:
    """A DRBG without a seed is EINVAL; an empty seed will do."""
    transform = bind("rng", name)
    with transform.request() as request, expect.refused(errno.EINVAL, "recv before any seed"):
        request.recv(16)
    transform.set_key(b"")
    with transform.request() as request:
        assert len(request.recv(16)) == 16


@pytest.mark.parametrize("name", NAMES)
def test_sizes(name: str, bind: Bind) -> None:
    """A read gives what it asks for up to 128 bytes, 128 above, and writes no further."""
    request = seeded(bind, name).request()
    for asked in (0, 1, 128, 129, 300):
        given = min(asked, LONGEST)
        buffers = [bytearray(b"\xaa" * 3), bytearray(b"\xaa" * (asked - 3))] if asked > 3 else []
        buffers = buffers or [bytearray(b"\xaa" * asked)]
        got = request.sock.recvmsg_into(buffers, 0, MSG_DONTWAIT)[0]
        assert got == given, f"{name}, recv of {asked} bytes gave {got}"
        beyond = b"".join(buffers)[given:]
        expect.same(b"\xaa" * (asked - given), beyond, f"{name}, beyond what recv({asked}) gave")


@pytest.mark.parametrize("name", NAMES)
def test_never_the_same(name: str, bind: Bind) -> None:
    """Reads of one request, of another and of another socket differ, all bytes are drawn."""
    one, other = seeded(bind, name), seeded(bind, name)
    with one.request() as first, one.request() as second, other.request() as third:
        reads = [bytearray(LONGEST) for _ in range(6)]
        for number, read in enumerate(reads):
            got = (first, second, third)[number % 3].sock.recv_into(read, LONGEST, MSG_DONTWAIT)
            assert got == LONGEST, f"{name}, recv of {LONGEST} bytes gave {got}"
    blocks = [bytes(read[at : at + 16]) for read in reads for at in range(0, LONGEST, 16)]
    assert len(set(blocks)) == len(blocks), f"{name}: 16 bytes came twice in {len(reads)} reads"
    # Six bytes at random are all the same once in 2**40 times.
    stuck = [at for at in range(LONGEST) if len({read[at] for read in reads}) == 1]
    assert not stuck, f"{name}: bytes {stuck} of each read are always the same"


@pytest.mark.parametrize("name", NAMES)
def test_seed(name: str, bind: Bind) -> None:
    """A seed is taken, not while a request is open; the same seed does not repeat the output."""
    transform = bind("rng", name)
    seen = []
    for seed in (bytes(48), bytes(48), b"x"):
        transform.set_key(seed)
        with transform.request() as request:
            seen.append(request.recv(32))
            with expect.refused(errno.EBUSY, "seed under an open request"):
                transform.set_key(seed)
            seen.append(request.recv(32))
    assert len(set(seen)) == len(seen), f"{name}: output came twice, {[s.hex() for s in seen]}"


@pytest.mark.parametrize("name", NAMES)
def test_takes_no_input(name: str, bind: Bind) -> None:
    """send, and accept on a request, are EOPNOTSUPP; recv into unmapped memory EFAULT."""
    request = seeded(bind, name).request()
    with expect.refused(errno.EOPNOTSUPP, "send to a generator"):
        request.send(b"additional input")
    with expect.refused(errno.EOPNOTSUPP, "accept on a request"):
        request.accept()
    hole = libc.map_memory(pages.PAGE)
    libc.unmap_memory(hole, pages.PAGE)
    with expect.refused(errno.EFAULT, "recv into unmapped memory"):
        libc.recvmsg(request.fileno(), [(hole, 16)])
    assert len(request.recv(16)) == 16, f"{name} does not work after it"


@pytest.mark.parametrize("name", DRBGS)
def test_entropy(name: str, bind: Bind) -> None:
    """ALG_SET_DRBG_ENTROPY is ENOPROTOOPT; with CONFIG_CRYPTO_USER_API_RNG_CAVP it is taken once.

    Requests then take additional input, which the next read uses up. A generator that is no
    DRBG has no function for it (set_ent): do not try it there.
    """
    transform = seeded(bind, name)
    option = (af_alg.SOL_ALG, af_alg.ALG_SET_DRBG_ENTROPY)
    try:
        transform.sock.setsockopt(*option, b"")  # none at all, which counts for nothing
    except OSError as error:
        assert error.errno == errno.ENOPROTOOPT, f"entropy: {af_alg.errno_name(error)}"
        with transform.request() as request:
            assert len(request.recv(16)) == 16, f"{name} does not work after it"
        return
    hole = libc.map_memory(pages.PAGE)
    libc.unmap_memory(hole, pages.PAGE)
    with expect.refused(errno.EMSGSIZE, "entropy of 129 bytes"):
        transform.sock.setsockopt(*option, bytes(LONGEST + 1))
    with expect.refused(errno.EFAULT, "entropy out of unmapped memory"):
        libc.setsockopt(transform.sock.fileno(), *option, hole, 48)

    def refusal() -> int | None:
        try:
            transform.sock.setsockopt(*option, bytes(48))
        except OSError as error:
            return error.errno
        return None

    assert run_as(NOBODY, refusal) == errno.EACCES, "entropy from nobody"
    assert refusal() is None, "entropy of 48 bytes"
    assert refusal() == errno.EINVAL, "entropy, a second time"
    with transform.request() as request:
        with expect.refused(errno.EMSGSIZE, "additional input of 129 bytes"):
            request.send(bytes(LONGEST + 1))
        with expect.refused(errno.EFAULT, "additional input out of unmapped memory"):
            libc.sendmsg(request.fileno(), [(hole, 16)])
        for length in (LONGEST, 0, 1, LONGEST):
            assert request.send(bytes(length)) == length
            assert len(request.recv(16)) == 16, f"recv after {length} bytes of additional input"
        assert len(request.recv(16)) == 16, "recv without additional input"
        assert request.send(bytes(LONGEST)) == LONGEST  # freed with the request


def test_known_answer(bind: Bind, known_answers: dict[str, Any]) -> None:
    """ansi_cprng gives what X9.31 makes of its seed, in whatever reads, to all requests."""
    transform = bind("rng", "ansi_cprng")
    with transform.request() as request, expect.refused(errno.EINVAL, "recv before any seed"):
        request.recv(16)
    for case in vectors.cases(known_answers, "rng", "ansi_cprng"):
        length = len(case.known_output(bytes, "ansi_cprng"))
        for parts in ((length,), (1, length - 1), (length // 2, length - length // 2)):
            transform.set_key(case.key)
            with transform.request() as one, transform.request() as other:
                reads = zip((one, other), parts, strict=False)
                seen = b"".join(request.recv(part) for request, part in reads if part)
            case.check(seen, f"ansi_cprng, reads of {parts} bytes")
    with expect.refused(errno.EINVAL, "seed of 31 bytes"):
        transform.set_key(bytes(31))
