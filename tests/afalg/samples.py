"""Keyed sockets, and messages for them, that tests of many properties share."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from af_alg import ENCRYPT

if TYPE_CHECKING:
    import af_alg
    from conftest import Bind

KEY = bytes(range(16))
IV = bytes(range(16, 32))
NONCE = bytes(range(32, 44))
TEXT = bytes(range(64))
AAD = bytes(range(100, 116))
TAG = 16


def pattern(length: int) -> bytes:
    """Bytes that differ from page to page and within each page."""
    return array("I", range(length // 4 + 1)).tobytes()[:length]


def cbc(bind: Bind, key: bytes = KEY) -> af_alg.Transform:
    """A keyed cbc(aes)."""
    transform = bind("skcipher", "cbc(aes)")
    transform.set_key(key)
    return transform


def gcm(bind: Bind, key: bytes = KEY) -> af_alg.Transform:
    """A keyed gcm(aes) with a tag of 16 bytes."""
    transform = bind("aead", "gcm(aes)")
    transform.set_key(key)
    transform.set_authsize(TAG)
    return transform


def encrypt(transform: af_alg.Transform, text: bytes, iv: bytes = IV) -> bytes:
    """One skcipher encryption by a request of its own."""
    with transform.request() as request:
        request.send(text, op=ENCRYPT, iv=iv)
        return request.recv(len(text))


def seal(
    transform: af_alg.Transform, text: bytes, aad: bytes = b"", iv: bytes = NONCE, tag: int = TAG
) -> bytes:
    """One AEAD encryption by a request of its own: ciphertext and tag."""
    with transform.request() as request:
        request.send(aad + text, op=ENCRYPT, iv=iv, assoclen=len(aad))
        return request.recv(len(aad) + len(text) + tag)[len(aad) :]
