"""Known answers for the in-guest suite, computed here with hashlib and OpenSSL.

An oracle inside the guest would be AF_ALG again, or whatever the guest image happens to
carry; this one shares no code with the kernel that is judged. The answers follow from the
seed alone, travel as JSON, and are checked by ``tests/afalg/functional``.

The form, by section (``hash``, ``keyed_hash``, ``skcipher``, ``aead``) and the kernel's
name for the algorithm::

    {"message": LABEL, "cases": [{"length": N, "key": HEX, "iv": HEX, ..., "output": HEX}]}

The message of a case is not in it: it is the first ``length`` bytes of SHAKE-256(LABEL).
Of an output longer than 128 bytes only the SHA-256 is given, as ``output_sha256``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia, TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.cmac import CMAC

LONGEST_OUTPUT_SPELT_OUT = 128

Case = dict[str, object]
Mode = modes.CBC | modes.CTR | modes.ECB | modes.XTS
Draw = Callable[[Random, int], bytes]  # a source of randomness, the number of the case
Encrypt = Callable[[bytes, bytes, bytes], bytes]  # key, IV, text
Seal = Callable[[bytes, bytes, bytes, bytes, int], bytes]  # key, IV, AAD, text, tag size

#: Around the block and padding boundaries of MD5 to SHA-512 and the rates of SHA-3.
HASH_LENGTHS = (0, 1, 3, 55, 56, 63, 64, 111, 112, 128, 135, 136, 1000, 4096)
KEYED_HASH_LENGTHS = (0, 1, 63, 64, 65, 4096)
STREAM_LENGTHS = (1, 15, 16, 17, 63, 64, 65, 4096)
BLOCK_LENGTHS = (16, 32, 48, 256, 4096)
XTS_LENGTHS = (16, 17, 31, 32, 512, 4096)
DES_LENGTHS = (8, 16, 24, 256, 4096)
#: Associated data and text.
AEAD_LENGTHS = ((0, 0), (16, 0), (0, 16), (20, 1), (8, 15), (13, 64), (32, 4096))
ESP_LENGTHS = ((16, 0), (20, 1), (16, 16), (20, 64), (16, 4096))
AUTHENC_LENGTHS = ((0, 16), (8, 16), (20, 64), (16, 4096))
AUTHENCESN_LENGTHS = ((8, 16), (12, 64), (12, 4096))


def known_answers(seed: int) -> dict[str, object]:
    """All known answers that follow from this seed, JSON-serialisable."""
    sections: dict[str, Mapping[str, _Hash | _KeyedHash | _Skcipher | _Aead]] = {
        "hash": _hashes(),
        "keyed_hash": _keyed_hashes(),
        "skcipher": _skciphers(),
        "aead": _aeads(),
    }
    answers: dict[str, object] = {"seed": seed}
    for section, table in sections.items():
        labels = {name: f"{seed}/{section}/{name}" for name in table}
        answers[section] = {
            name: {"message": labels[name], "cases": list(algorithm.cases(labels[name]))}
            for name, algorithm in table.items()
        }
    return answers


def message(label: str, length: int) -> bytes:
    """The message that a label and a length stand for."""
    return hashlib.shake_256(label.encode()).digest(length)


def _output(output: bytes) -> Case:
    if len(output) <= LONGEST_OUTPUT_SPELT_OUT:
        return {"output": output.hex()}
    return {"output_sha256": hashlib.sha256(output).hexdigest()}


def _bytes(*lengths: int) -> Draw:
    """Draws random bytes, the cases taking turns with the lengths."""
    return lambda random, number: random.randbytes(lengths[number % len(lengths)])


# Hashes


@dataclass(frozen=True)
class _Hash:
    """A digest without a key."""

    digest: Callable[[bytes], bytes]

    def cases(self, label: str) -> Iterator[Case]:
        for length in HASH_LENGTHS:
            yield {"length": length, **_output(self.digest(message(label, length)))}


def _hashes() -> dict[str, _Hash]:
    return {
        "md5": _hashlib("md5"),
        "sha1": _hashlib("sha1"),
        "sha224": _hashlib("sha224"),
        "sha256": _hashlib("sha256"),
        "sha384": _hashlib("sha384"),
        "sha512": _hashlib("sha512"),
        "sha3-224": _hashlib("sha3_224"),
        "sha3-256": _hashlib("sha3_256"),
        "sha3-384": _hashlib("sha3_384"),
        "sha3-512": _hashlib("sha3_512"),
        "blake2b-512": _hashlib("blake2b"),
        "sm3": _Hash(_digest_sm3),
    }


def _hashlib(name: str) -> _Hash:
    return _Hash(lambda text: hashlib.new(name, text, usedforsecurity=False).digest())


def _digest_sm3(text: bytes) -> bytes:
    state = hashes.Hash(hashes.SM3())
    state.update(text)
    return state.finalize()


@dataclass(frozen=True)
class _KeyedHash:
    """A digest with a key, and how its keys are drawn."""

    key: Draw
    digest: Callable[[bytes, bytes], bytes]  # key, message

    def cases(self, label: str) -> Iterator[Case]:
        random = Random(label)
        for number, length in enumerate(KEYED_HASH_LENGTHS):
            key = self.key(random, number)
            output = self.digest(key, message(label, length))
            yield {"length": length, "key": key.hex(), **_output(output)}


def _keyed_hashes() -> dict[str, _KeyedHash]:
    return {
        "hmac(md5)": _hmac("md5"),
        "hmac(sha1)": _hmac("sha1"),
        "hmac(sha256)": _hmac("sha256"),
        "hmac(sha384)": _hmac("sha384"),
        "hmac(sha512)": _hmac("sha512"),
        "hmac(sha3-256)": _hmac("sha3_256"),
        "cmac(aes)": _KeyedHash(_bytes(16, 24, 32), _digest_cmac_aes),
        "blake2b-512": _KeyedHash(
            _bytes(1, 32, 64), lambda key, text: hashlib.blake2b(text, key=key).digest()
        ),
    }


def _hmac(name: str) -> _KeyedHash:
    """Keys from one byte to longer than any block."""
    return _KeyedHash(
        _bytes(1, 20, 64, 65, 128, 200), lambda key, text: hmac.digest(key, text, name)
    )


def _digest_cmac_aes(key: bytes, text: bytes) -> bytes:
    state = CMAC(AES(key))
    state.update(text)
    return state.finalize()


# Ciphers without authentication


@dataclass(frozen=True)
class _Skcipher:
    """A cipher, the lengths to try it at, and how its keys and IVs are drawn."""

    lengths: tuple[int, ...]
    key: Draw
    iv: Draw
    encrypt: Encrypt

    def cases(self, label: str) -> Iterator[Case]:
        random = Random(label)
        for number, length in enumerate(self.lengths):
            key, iv = self.key(random, number), self.iv(random, number)
            yield {
                "length": length,
                "key": key.hex(),
                "iv": iv.hex(),
                **_output(self.encrypt(key, iv, message(label, length))),
            }


def _skciphers() -> dict[str, _Skcipher]:
    aes, des = _bytes(16, 24, 32), _bytes(24)
    iv, no_iv = _bytes(16), _bytes(0)
    return {
        "ecb(aes)": _Skcipher(BLOCK_LENGTHS, aes, no_iv, _block(AES, lambda _: modes.ECB())),
        "cbc(aes)": _Skcipher(BLOCK_LENGTHS, aes, iv, _block(AES, modes.CBC)),
        "ctr(aes)": _Skcipher(STREAM_LENGTHS, aes, iv, _block(AES, modes.CTR)),
        "xts(aes)": _Skcipher(XTS_LENGTHS, _bytes(32, 64), iv, _block(AES, modes.XTS)),
        "rfc3686(ctr(aes))": _Skcipher(
            STREAM_LENGTHS, _bytes(20, 28, 36), _bytes(8), _encrypt_rfc3686
        ),
        "cbc(camellia)": _Skcipher(BLOCK_LENGTHS, aes, iv, _block(Camellia, modes.CBC)),
        "cbc(des3_ede)": _Skcipher(DES_LENGTHS, des, _bytes(8), _block(TripleDES, modes.CBC)),
        "chacha20": _Skcipher(STREAM_LENGTHS, _bytes(32), _chacha20_iv, _encrypt_chacha20),
    }


def _encrypt(algorithm: CipherAlgorithm, mode: Mode | None, text: bytes) -> bytes:
    encryptor = Cipher(algorithm, mode).encryptor()
    return encryptor.update(text) + encryptor.finalize()


def _block(algorithm: Callable[[bytes], CipherAlgorithm], mode: Callable[[bytes], Mode]) -> Encrypt:
    return lambda key, iv, text: _encrypt(algorithm(key), mode(iv), text)


def _encrypt_rfc3686(key: bytes, iv: bytes, text: bytes) -> bytes:
    """The last four bytes of the key are the nonce; the block counter starts at 1."""
    return _encrypt(AES(key[:-4]), modes.CTR(key[-4:] + iv + b"\0\0\0\1"), text)


def _chacha20_iv(random: Random, _number: int) -> bytes:
    """A little-endian block counter, far from its end (implementations differ there), a nonce."""
    return random.randrange(1 << 16).to_bytes(4, "little") + random.randbytes(12)


def _encrypt_chacha20(key: bytes, iv: bytes, text: bytes) -> bytes:
    return _encrypt(ChaCha20(key, iv), None, text)


# Ciphers with authentication: the output is the ciphertext and then the tag


@dataclass(frozen=True)
class _Aead:
    """An AEAD, the lengths and tag sizes to try it at, how its keys and IVs are drawn."""

    lengths: tuple[tuple[int, int], ...]  # of the associated data and the text
    tags: tuple[int, ...]
    key: Draw
    iv: Draw
    seal: Seal

    def cases(self, label: str) -> Iterator[Case]:
        random = Random(label)
        for number, (aad_length, length) in enumerate(self.lengths):
            key, iv = self.key(random, number), self.iv(random, number)
            aad, tag = random.randbytes(aad_length), self.tags[number % len(self.tags)]
            yield {
                "length": length,
                "key": key.hex(),
                "iv": iv.hex(),
                "aad": aad.hex(),
                "tag": tag,
                **_output(self.seal(key, iv, aad, message(label, length), tag)),
            }


def _aeads() -> dict[str, _Aead]:
    aes = _bytes(16, 24, 32)
    return {
        "gcm(aes)": _Aead(AEAD_LENGTHS, (16, 12, 8, 4), aes, _bytes(12), _seal_gcm),
        "ccm(aes)": _Aead(AEAD_LENGTHS, (16, 10, 8, 4), aes, _ccm_iv, _seal_ccm),
        "rfc7539(chacha20,poly1305)": _Aead(
            AEAD_LENGTHS, (16,), _bytes(32), _bytes(12), _seal_rfc7539
        ),
        "rfc4106(gcm(aes))": _Aead(
            ESP_LENGTHS, (16, 12, 8), _bytes(20, 36), _bytes(8), _seal_rfc4106
        ),
        "authenc(hmac(sha1),cbc(aes))": _authenc(AUTHENC_LENGTHS, "sha1", 20),
        "authenc(hmac(sha256),cbc(aes))": _authenc(AUTHENC_LENGTHS, "sha256", 32),
        "authencesn(hmac(sha256),cbc(aes))": _authenc(
            AUTHENCESN_LENGTHS, "sha256", 32, extended_sequence_number=True
        ),
    }


def _seal_gcm(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    return AESGCM(key).encrypt(iv, text, aad)[: len(text) + tag]


def _ccm_iv(random: Random, _number: int) -> bytes:
    """RFC 3610: size of the length field less one, an 11-byte nonce, the counter at zero."""
    return b"\x03" + random.randbytes(11) + bytes(4)


def _seal_ccm(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    return AESCCM(key, tag_length=tag).encrypt(iv[1 : 15 - iv[0]], text, aad)


def _seal_rfc7539(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    return ChaCha20Poly1305(key).encrypt(iv, text, aad)[: len(text) + tag]


def _seal_rfc4106(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    """The key ends with a salt; the kernel's associated data ends with room for the IV."""
    return _seal_gcm(key[:-4], key[-4:] + iv, aad[:-8], text, tag)


def _authenc(
    lengths: tuple[tuple[int, int], ...],
    digest: str,
    digest_size: int,
    *,
    extended_sequence_number: bool = False,
) -> _Aead:
    """Encrypt-then-MAC as IPsec has it, with AES-CBC and a MAC key of the digest's size.

    The key begins with a ``struct rtattr`` (crypto/authenc.c): length 8 and type
    CRYPTO_AUTHENC_KEYA_PARAM in the byte order of x86, the length of the cipher key
    big-endian; the MAC key and the cipher key follow. With extended sequence numbers,
    bytes 4 to 7 of the associated data (the high half) are authenticated last.
    """

    def draw_key(random: Random, number: int) -> bytes:
        size = (16, 32)[number % 2]
        head = b"\x08\x00\x01\x00" + size.to_bytes(4, "big")
        return head + random.randbytes(digest_size + size)

    def seal(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
        mac_key, cipher_key = key[8 : 8 + digest_size], key[8 + digest_size :]
        ciphertext = _encrypt(AES(cipher_key), modes.CBC(iv), text)
        covered = aad + ciphertext
        if extended_sequence_number:
            covered = aad[:4] + aad[8:] + ciphertext + aad[4:8]
        return ciphertext + hmac.digest(mac_key, covered, digest)[:tag]

    return _Aead(lengths, (digest_size, digest_size // 2), draw_key, _bytes(16), seal)
