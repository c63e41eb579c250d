"""Digests against known answers from hashlib and OpenSSL on the host."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512", "sha3-256"])
def test_in_pieces(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """A message sent in pieces with MSG_MORE has the digest of the whole."""
    request = bind("hash", name).request()
    for case in vectors.cases(known_answers, "hash", name):
        third = len(case.message) // 3
        request.send(case.message[:third], more=True)
        request.send(case.message[third : third + 1], more=True)
        request.send(case.message[third + 1 :])
        case.check(request.recv(LONGEST_DIGEST), f"{name} in pieces")


def digest(request: af_alg.Request, message: bytes) -> bytes:
    """Send a whole message and read its digest."""
    request.send(message)
    return request.recv(LONGEST_DIGEST)
