"""Ciphers without authentication against known answers from OpenSSL on the host, or published."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import af_alg
import expect
import pytest
import vectors
from af_alg import DECRYPT, ENCRYPT

if TYPE_CHECKING:
    from conftest import Bind


#: A request of these hands its IV on: what it encrypts in parts is chained as one text.
#: The others start each part anew with the IV that was set last.
CHAINED = [
    name
    for name in vectors.SKCIPHERS
    if name.partition("(")[0] in {"ecb", "cbc", "ctr", "ofb", "cfb", "pcbc"}
]


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
    random = Random(f"{known_answers['seed']}/{name}")
    for case in vectors.cases(known_answers, "skcipher", name):
        transform.set_key(case.key)
        with transform.request() as request:
            how = send_in_pieces(request, case, random)
            seen = request.recv(len(case.message))
        case.check(seen, f"{name} encryption in pieces {how}")


@pytest.mark.parametrize("name", CHAINED)
def test_read_in_parts(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """Output read in uneven parts of whole blocks is chained as if it were read at once."""
    transform = bind("skcipher", name)
    random = Random(f"{known_answers['seed']}/{name}/read")
    for case in vectors.cases(known_answers, "skcipher", name):
        transform.set_key(case.key)
        parts = [
            end // 16 * 16 - start // 16 * 16
            for start, end in vectors.pieces(len(case.message), random)
        ]
        with transform.request() as request:
            request.send(case.message, op=ENCRYPT, iv=case.iv or None)
            seen = b"".join(request.recv(part) for part in parts if part)
            rest = len(case.message) - len(seen)
            seen += request.recv(rest) if rest else b""
        case.check(seen, f"{name} encryption read in parts {parts}")


@pytest.mark.parametrize("name", vectors.CONSISTENT_SKCIPHERS)
def test_consistent(name: str, bind: Bind, known_answers: dict[str, Any]) -> None:
    """No known answer: decryption undoes encryption, pieces agree, key and IV count."""
    key_size, iv_size, unit = vectors.CONSISTENT_SKCIPHERS[name]
    transform = bind("skcipher", name)
    random = Random(f"{known_answers['seed']}/{name}")
    key, iv = random.randbytes(key_size), random.randbytes(iv_size)
    text = random.randbytes(random.randrange(64, 9000) // unit * unit)
    transform.set_key(key)
    ciphertext = crypt(transform, ENCRYPT, iv, text)
    expect.same(text, crypt(transform, DECRYPT, iv, ciphertext), f"{name} decryption")
    with transform.request() as request:
        case = vectors.Case(text, key, iv, b"", 0, ciphertext, "")
        how = send_in_pieces(request, case, random)
        case.check(request.recv(len(text)), f"{name} encryption in pieces {how}")
    other_iv = crypt(transform, ENCRYPT, random.randbytes(iv_size), text)
    transform.set_key(random.randbytes(key_size))
    other_key = crypt(transform, ENCRYPT, iv, text)
    assert len({text, ciphertext, other_iv, other_key}) == 4, f"{name}: key or IV is ignored"


def send_in_pieces(request: af_alg.Request, case: vectors.Case, random: Random) -> str:
    """Send a message for encryption, cut up at random; tells how it was cut."""
    slices = vectors.pieces(len(case.message), random)
    (first, head), *others = slices
    # The end may be an empty piece: it ends the message all the same.
    request.send(case.message[first:head], op=ENCRYPT, iv=case.iv or None, more=bool(others))
    for number, (start, end) in enumerate(others, 1):
        request.send(case.message[start:end], more=number < len(others))
    return str([end for _, end in slices])


def crypt(transform: af_alg.Transform, op: int, iv: bytes, text: bytes) -> bytes:
    """Encrypt or decrypt a whole text with a request of its own."""
    with transform.request() as request:
        request.send(text, op=op, iv=iv or None)
        return request.recv(len(text))
