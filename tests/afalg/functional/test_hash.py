"""Digests against known answers from hashlib and OpenSSL on the host, or published ones."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import expect
import pytest
import vectors

if TYPE_CHECKING:
    import af_alg
    from conftest import Bind

LONGEST_DIGEST = 64


def test_sha256(bind: Bind) -> None:
    """SHA-256 of "abc" is the value of FIPS 180-4."""
    request = bind("hash", "sha256").request()
    request.send(b"abc")
    expected = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    expect.same(expected, request.recv(32), 'SHA-256 of "abc"')


@pytest.mark.parametrize("name", vectors.HASHES)
def test_known_answer(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Digests of messages around the block and padding boundaries are right."""
    transform = bind("hash", name)
    request = transform.request()
    for case in vectors.cases(known_answers, "hash", name):
        case.check(digest(request, case.message), name)


@pytest.mark.parametrize("name", vectors.KEYED_HASHES)
def test_keyed_known_answer(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Keyed digests are right, with keys from one byte to longer than a block."""
    transform = bind("hash", name)
    for case in vectors.cases(known_answers, "keyed_hash", name):
        transform.set_key(case.key)
        with transform.request() as request:
            case.check(digest(request, case.message), f"{name}, {len(case.key)}-byte key,")


@pytest.mark.parametrize("name", vectors.HASHES)
def test_in_pieces(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """A message sent in pieces with MSG_MORE has the digest of the whole."""
    request = bind("hash", name).request()
    random = Random(f"{known_answers['seed']}/{name}")
    for case in vectors.cases(known_answers, "hash", name):
        seen, how = digest_of_pieces(request, case.message, random)
        case.check(seen, f"{name} in pieces {how}")


@pytest.mark.parametrize("name", vectors.KEYED_HASHES)
def test_keyed_in_pieces(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """A message sent in pieces with MSG_MORE has the keyed digest of the whole."""
    transform = bind("hash", name)
    random = Random(f"{known_answers['seed']}/{name}/keyed")
    for case in vectors.cases(known_answers, "keyed_hash", name):
        transform.set_key(case.key)
        with transform.request() as request:
            seen, how = digest_of_pieces(request, case.message, random)
        case.check(seen, f"{name}, {len(case.key)}-byte key, in pieces {how}")


@pytest.mark.parametrize("name", vectors.CONSISTENT_HASHES)
def test_consistent(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """No known answer: pieces give the digest of the whole, a changed bit gives another."""
    transform = bind("hash", name)
    random = Random(f"{known_answers['seed']}/{name}")
    if vectors.CONSISTENT_HASHES[name]:
        transform.set_key(random.randbytes(vectors.CONSISTENT_HASHES[name]))
    request = transform.request()
    for length in (16, 64, 65, random.randint(100, 9000)):
        message = random.randbytes(length)
        whole = digest(request, message)
        assert any(whole), f"{name} of {length} bytes: a digest of zeros"
        seen, how = digest_of_pieces(request, message, random)
        expect.same(whole, seen, f"{name} of {length} bytes in pieces {how}")
        changed = bytes([message[0] ^ 1]) + message[1:]
        assert digest(request, changed) != whole, f"{name} of {length} bytes: one bit is ignored"


def digest_of_pieces(request: af_alg.Request, message: bytes, random: Random) -> tuple[bytes, str]:
    """Send a message cut up at random and read its digest; tells how it was cut."""
    slices = vectors.pieces(len(message), random)
    for start, end in slices[:-1]:
        request.send(message[start:end], more=True)
    start, end = slices[-1]
    request.send(message[start:end])
    return request.recv(LONGEST_DIGEST), str([end for _, end in slices])


def digest(request: af_alg.Request, message: bytes) -> bytes:
    """Send a whole message and read its digest."""
    request.send(message)
    return request.recv(LONGEST_DIGEST)
