"""Digests of AF_ALG against known answers from hashlib and OpenSSL on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import af_alg

if TYPE_CHECKING:
    from conftest import Bind


def test_sha256(bind: Bind) -> None:
    """SHA-256 of "abc" is the value of FIPS 180-4."""
    request = bind("hash", "sha256").request()
    request.send(b"abc")
    expected = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    seen = request.recv(32)
    assert seen == expected, af_alg.difference(expected, seen)
