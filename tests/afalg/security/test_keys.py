"""Algorithms used without their key, and keys that lie about their own length."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import af_alg
import expect
import pytest
from af_alg import ENCRYPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bind, Provoked


@pytest.mark.regression(cve="CVE-2015-8970", fix="dd504589577d", affected="2.6.38 to 4.4.1")
@pytest.mark.parametrize("name", ["xts(aes)", "lrw(aes)", "cbc(aes)", "ctr(aes)"])
def test_skcipher_without_a_key(name: str, bind: Bind, provoked: Provoked) -> None:
    """A cipher without a key answers ENOKEY to whatever is asked of it."""
    without_a_key("CVE-2015-8970", bind("skcipher", name))
    provoked()


@pytest.mark.regression(cve="CVE-2015-8970", fix="dd504589577d", affected="4.1 to 4.4.1")
@pytest.mark.parametrize("name", ["gcm(aes)", "ccm(aes)"])
def test_aead_without_a_key(name: str, bind: Bind, provoked: Provoked) -> None:
    """An AEAD without a key answers ENOKEY to whatever is asked of it."""
    without_a_key("CVE-2015-8970", bind("aead", name))
    provoked()


@pytest.mark.regression(cve="CVE-2011-4081", fix="7ed47b7d142e", affected="2.6.38 to 3.1")
@pytest.mark.parametrize("name", ["ghash", "cmac(aes)", "hmac(sha256)", "xcbc(aes)", "vmac64(aes)"])
def test_hash_without_a_key(name: str, bind: Bind, provoked: Provoked) -> None:
    """A keyed hash without its key answers ENOKEY to whatever is asked of it."""
    without_a_key("CVE-2011-4081", bind("hash", name))
    provoked()


#: For a key of any length that the algorithms above take.
KEY_LENGTHS = (16, 32, 20)


def without_a_key(cve: str, transform: af_alg.Transform) -> None:
    """All that can be asked of a keyless request is ENOKEY, until there is a key."""
    name = transform.name
    request = transform.request()
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: request.send(bytes(16), op=None if transform.kind == "hash" else ENCRYPT),
        "send of nothing": request.send,
        "recv": lambda: request.recv(64),
    }
    if transform.kind == "hash":
        calls["accept"] = lambda: request.accept().close()
    for what, call in calls.items():
        with expect.refused(errno.ENOKEY, f"{cve}: {what} on {name} without a key"):
            call()
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, bytes(16))
        with expect.refused(errno.ENOKEY, f"{cve}: splice into {name} without a key"):
            os.splice(read_end, request.fileno(), 16)
    finally:
        os.close(read_end)
        os.close(write_end)
    # The control: with a key the same request does what it is asked.
    for length in KEY_LENGTHS:
        with suppress(OSError):
            transform.set_key(bytes(range(length)))
            break
    if name == "ccm(aes)":  # takes no IV of zeros: the first byte is the size of its counter
        request.send(bytes(16), op=ENCRYPT, iv=b"\1" + bytes(15))
    else:
        calls["send"]()
    assert len(request.recv(64)) >= 8, f"{name} with a key gives no output"


@pytest.mark.regression(cve="CVE-2017-17805", fix="ecaaab564978", affected="2.6.25 to 4.14.7")
@pytest.mark.parametrize(
    ("name", "key", "iv"), [("salsa20", 32, 8), ("chacha20", 32, 16), ("ctr(aes)", 16, 16)]
)
def test_stream_of_nothing(name: str, key: int, iv: int, bind: Bind, provoked: Provoked) -> None:
    """A stream cipher given no bytes gives none, and goes on to work."""
    transform = bind("skcipher", name)
    transform.set_key(bytes(range(key)))
    with transform.request() as request:
        request.send(b"", op=ENCRYPT, iv=bytes(iv))
        seen = request.recv(16)
        if name == "salsa20":  # it was a hole of that cipher's code alone
            provoked()
        assert seen == b"", f"CVE-2017-17805: {len(seen)} bytes from none"
        request.send(bytes(16), op=ENCRYPT, iv=bytes(iv))
        assert len(request.recv(16)) == 16


# struct rtattr, then the length of the cipher key as a big-endian number: crypto/authenc.c

PARAMETER = 1  # CRYPTO_AUTHENC_KEYA_PARAM
HASH_KEY, CIPHER_KEY = bytes(range(32)), bytes(range(16))


def authenc_key(length: int = 8, kind: int = PARAMETER, cipher: int = len(CIPHER_KEY)) -> bytes:
    """A key of authenc; ``length`` is what the attribute says of itself."""
    attribute = length.to_bytes(2, "little") + kind.to_bytes(2, "little")
    return attribute + cipher.to_bytes(4, "big") + HASH_KEY + CIPHER_KEY


#: An attribute that ends off a multiple of four led past the key's end (8f9c46934848).
BAD_KEYS = {
    "nothing": b"",
    "part_of_attribute": authenc_key()[:3],
    "attribute_only": authenc_key()[:4],
    "attribute_too_short": authenc_key(length=4),
    "attribute_off_by_one": authenc_key(length=9),
    "attribute_too_long": authenc_key(length=12),
    "attribute_past_the_key": authenc_key(length=200),
    "attribute_of_no_length": authenc_key(length=0),
    "unknown_attribute": authenc_key(kind=2),
    "cipher_key_too_long": authenc_key(cipher=len(HASH_KEY + CIPHER_KEY) + 1),
    "cipher_key_of_2_31": authenc_key(cipher=1 << 31),
    "cipher_key_of_all_ones": authenc_key(cipher=0xFFFFFFFF),
    "cipher_key_of_no_size": authenc_key(cipher=0),
    "misaligned_end": b"\x09\x00\x01\x00" + bytes(4) + b"\x00",
}


@pytest.mark.regression(cve="CVE-2020-10769", fix="8f9c46934848", affected="2.6.25 to 4.20.1")
@pytest.mark.parametrize("template", ["authenc", "authencesn"])
@pytest.mark.parametrize("flaw", BAD_KEYS)
def test_authenc_key(flaw: str, template: str, bind: Bind, provoked: Provoked) -> None:
    """A key whose parts do not fit into it is EINVAL, and a good one is taken afterwards."""
    transform = bind("aead", f"{template}(hmac(sha256),cbc(aes))")
    transform.set_key(authenc_key())
    if flaw == "misaligned_end":  # the others were refused before, too
        provoked()
    with expect.refused(errno.EINVAL, f"CVE-2020-10769: {template} key with {flaw}"):
        transform.set_key(BAD_KEYS[flaw])
    transform.set_key(authenc_key())
