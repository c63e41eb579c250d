"""Ciphers with authentication against known answers from OpenSSL on the host."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any

import af_alg
import expect
import pytest
import vectors
from af_alg import DECRYPT, ENCRYPT

if TYPE_CHECKING:
    from conftest import Bind


@pytest.mark.parametrize("name", vectors.AEADS)
def test_encrypt(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Ciphertexts and tags, truncated ones too, are right; associated data comes back."""
    transform = bind("aead", name)
    for case in vectors.cases(known_answers, "aead", name):
        case.check(seal(transform, case), f"{name} encryption, {case.tag}-byte tag,")


@pytest.mark.parametrize("name", vectors.AEADS)
def test_decrypt(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Known ciphertexts are authentic and decrypt to their messages."""
    transform = bind("aead", name)
    for case in vectors.cases(known_answers, "aead", name):
        sealed = case.known_output(partial(seal, transform, case), f"{name} encryption")
        with start(transform, case) as request:
            send_sealed(request, case, sealed)
            seen = request.recv(len(case.aad) + len(sealed))
        expect.same(case.aad + case.message, seen, f"{name} decryption, {case.tag}-byte tag")


@pytest.mark.parametrize("name", vectors.AEADS)
def test_forgery(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """A flipped bit of tag or associated data gives EBADMSG; the socket stays usable."""
    transform = bind("aead", name)
    case = next(case for case in vectors.cases(known_answers, "aead", name) if case.aad)
    sealed = case.known_output(partial(seal, transform, case), f"{name} encryption")
    length = len(case.aad) + len(sealed)
    forgeries = {
        "tag": (case.aad, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        "associated data": (bytes([case.aad[0] ^ 0x80]) + case.aad[1:], sealed),
    }
    with start(transform, case) as request:
        for what, (aad, forged) in forgeries.items():
            send_sealed(request, case, forged, aad)
            with expect.refused(errno.EBADMSG, f"{name} with a bit of the {what} flipped"):
                request.recv(length)
            send_sealed(request, case, sealed)
            expect.same(case.aad + case.message, request.recv(length), f"{name} after a forgery")


@pytest.mark.parametrize("name", ["gcm(aes)", "ccm(aes)"])
def test_in_pieces(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Input sent in pieces with MSG_MORE is encrypted as a whole."""
    transform = bind("aead", name)
    for case in vectors.cases(known_answers, "aead", name):
        everything = case.aad + case.message
        third = len(everything) // 3
        with start(transform, case) as request:
            request.send(
                everything[:third], op=ENCRYPT, iv=case.iv, assoclen=len(case.aad), more=True
            )
            request.send(everything[third : third + 1], more=True)
            request.send(everything[third + 1 :])
            seen = request.recv(len(everything) + case.tag)
        case.check(seen[len(case.aad) :], f"{name} encryption in pieces")


def start(transform: af_alg.Transform, case: vectors.Case) -> af_alg.Request:
    """A request with the key and tag size of a case."""
    transform.set_key(case.key)
    transform.set_authsize(case.tag)
    return transform.request()


def seal(transform: af_alg.Transform, case: vectors.Case) -> bytes:
    """Encrypt the message of a case: ciphertext and tag."""
    with start(transform, case) as request:
        request.send(case.aad + case.message, op=ENCRYPT, iv=case.iv, assoclen=len(case.aad))
        seen = request.recv(len(case.aad) + len(case.message) + case.tag)
    expect.same(case.aad, seen[: len(case.aad)], f"{transform.name}: associated data")
    return seen[len(case.aad) :]


def send_sealed(
    request: af_alg.Request, case: vectors.Case, sealed: bytes, aad: bytes | None = None
) -> None:
    """Send associated data, ciphertext and tag for decryption."""
    aad = case.aad if aad is None else aad
    request.send(aad + sealed, op=DECRYPT, iv=case.iv, assoclen=len(aad))
