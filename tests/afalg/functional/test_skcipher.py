"""Ciphers without authentication against known answers from OpenSSL on the host."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import af_alg
import expect
import pytest
import vectors
from af_alg import DECRYPT, ENCRYPT

if TYPE_CHECKING:
    from conftest import Bind


@pytest.mark.parametrize("name", vectors.SKCIPHERS)
def test_encrypt(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Ciphertexts of all legal key sizes and of several lengths are right."""
    transform = bind("skcipher", name)
    for case in vectors.cases(known_answers, "skcipher", name):
        transform.set_key(case.key)
        seen = crypt(transform, ENCRYPT, case.iv, case.message)
        case.check(seen, f"{name} encryption, {len(case.key)}-byte key,")


@pytest.mark.parametrize("name", vectors.SKCIPHERS)
def test_decrypt(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Known ciphertexts decrypt to their messages."""
    transform = bind("skcipher", name)
    for case in vectors.cases(known_answers, "skcipher", name):
        transform.set_key(case.key)
        ciphertext = case.known_output(
            partial(crypt, transform, ENCRYPT, case.iv, case.message),
            f"{name} encryption",
        )
        seen = crypt(transform, DECRYPT, case.iv, ciphertext)
        expect.same(case.message, seen, f"{name} decryption, {len(case.key)}-byte key")


@pytest.mark.parametrize("name", ["cbc(aes)", "ctr(aes)", "xts(aes)"])
def test_in_pieces(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Input sent in uneven pieces with MSG_MORE and read at once is encrypted as a whole."""
    transform = bind("skcipher", name)
    for case in vectors.cases(known_answers, "skcipher", name):
        transform.set_key(case.key)
        third = len(case.message) // 3
        with transform.request() as request:
            request.send(case.message[:third], op=ENCRYPT, iv=case.iv, more=True)
            request.send(case.message[third : third + 1], more=True)
            request.send(case.message[third + 1 :])
            case.check(request.recv(len(case.message)), f"{name} encryption in pieces")


def crypt(transform: af_alg.Transform, op: int, iv: bytes, text: bytes) -> bytes:
    """Encrypt or decrypt a whole text with a request of its own."""
    with transform.request() as request:
        request.send(text, op=op, iv=iv or None)
        return request.recv(len(text))
