"""Known answers for the in-guest suite, computed here with hashlib and OpenSSL.

An oracle inside the guest would be AF_ALG again, or whatever the guest image happens to
carry; this one shares no code with the kernel that is judged. The answers follow from the
seed alone, travel as JSON, and are checked by ``tests/afalg/functional``.

The form, by section (``hash``, ``keyed_hash``, ``skcipher``, ``aead``, ``stream`` for long
texts of an skcipher, ``rng``) and the kernel's name for the algorithm::

    {"message": LABEL, "cases": [{"length": N, "key": HEX, "iv": HEX, ..., "output": HEX}]}

The message of a case is not in it: it is the first ``length`` bytes of SHAKE-256(LABEL).
Published vectors of what cannot be computed here (harness/guest/published.py) do bring
their message, as ``text``.
Of an output longer than 128 bytes only the SHA-256 is given, as ``output_sha256``.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from cryptography.hazmat.decrepit.ciphers.algorithms import (
    CAST5,
    Blowfish,
    Camellia,
    TripleDES,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES, SM4, ChaCha20
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.poly1305 import Poly1305

from harness.guest import reference
from harness.guest.published import PUBLISHED

LONGEST_OUTPUT_SPELT_OUT = 128
LONGEST_RANDOM_LENGTH = 9000

Case = dict[str, object]
Mode = modes.CBC | modes.CTR | modes.ECB | modes.XTS
Draw = Callable[[Random, int], bytes]  # a source of randomness, the number of the case
_BLOCK = 16

Encrypt = Callable[[bytes, bytes, bytes], bytes]  # key, IV, text
Seal = Callable[[bytes, bytes, bytes, bytes, int], bytes]  # key, IV, AAD, text, tag size

#: Around the block and padding boundaries of MD5 to SHA-512 and the rates of SHA-3.
HASH_LENGTHS = (0, 1, 3, 55, 56, 63, 64, 111, 112, 128, 135, 136, 1000, 4096)
KEYED_HASH_LENGTHS = (0, 1, 63, 64, 65, 4096)
STREAM_LENGTHS = (1, 15, 16, 17, 63, 64, 65, 4096)
BLOCK_LENGTHS = (16, 32, 48, 256, 4096)
XTS_LENGTHS = (16, 17, 31, 32, 512, 4096)
#: What one request streams: 100 and 160 pages fill one and two lists of the kernel's
#: (MAX_SGL_ENTS in include/crypto/if_alg.h is some 126).
LONG_LENGTHS = (2048, 20_000, 100 * 4096, 160 * 4096)
#: Associated data and text.
AEAD_LENGTHS = ((0, 0), (16, 0), (0, 16), (20, 1), (8, 15), (13, 64), (32, 4096))
ESP_LENGTHS = ((16, 0), (20, 1), (16, 16), (20, 64), (16, 4096))
AUTHENC_LENGTHS = ((0, 16), (8, 16), (20, 64), (16, 4096))
AUTHENCESN_LENGTHS = ((8, 16), (12, 64), (12, 4096))


def known_answers(seed: int) -> dict[str, object]:
    """All known answers that follow from this seed, JSON-serialisable."""
    sections: dict[str, Mapping[str, _Hash | _KeyedHash | _Skcipher | _Aead | _Rng]] = {
        "hash": _hashes(),
        "keyed_hash": _keyed_hashes(),
        "skcipher": _skciphers(),
        "aead": _aeads(),
        "stream": _streams(),
        "rng": {"ansi_cprng": _Rng()},
    }
    answers: dict[str, object] = {"seed": seed}
    for section, table in sections.items():
        labels = {name: f"{seed}/{section}/{name}" for name in table}
        answers[section] = {
            **{name: {"cases": vectors} for name, vectors in PUBLISHED.get(section, {}).items()},
            **{
                name: {"message": labels[name], "cases": list(algorithm.cases(labels[name]))}
                for name, algorithm in table.items()
            },
        }
    return answers


def message(label: str, length: int) -> bytes:
    """The message that a label and a length stand for."""
    return hashlib.shake_256(label.encode()).digest(length)


def _output(output: bytes) -> Case:
    if len(output) <= LONGEST_OUTPUT_SPELT_OUT:
        return {"output": output.hex()}
    return {"output_sha256": hashlib.sha256(output).hexdigest()}


def _random_lengths(random: Random, unit: int = 1, least: int = 0) -> list[int]:
    """Two lengths that are multiples of ``unit``."""
    return [
        random.randrange(-(-least // unit), LONGEST_RANDOM_LENGTH // unit) * unit for _ in range(2)
    ]


def _bytes(*lengths: int) -> Draw:
    """Draws random bytes, the cases taking turns with the lengths."""
    return lambda random, number: random.randbytes(lengths[number % len(lengths)])


# Hashes


@dataclass(frozen=True)
class _Hash:
    """A digest without a key."""

    digest: Callable[[bytes], bytes]
    shortest: int = 0

    def cases(self, label: str) -> Iterator[Case]:
        random_lengths = _random_lengths(Random(label), least=self.shortest)
        for length in (*HASH_LENGTHS, *random_lengths):
            if length >= self.shortest:
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
        "blake2b-160": _Hash(lambda text: hashlib.blake2b(text, digest_size=20).digest()),
        "blake2b-256": _Hash(lambda text: hashlib.blake2b(text, digest_size=32).digest()),
        "blake2b-384": _Hash(lambda text: hashlib.blake2b(text, digest_size=48).digest()),
        "blake2b-512": _hashlib("blake2b"),
        "sm3": _Hash(_digest_sm3),
        "crc32": _Hash(reference.crc32),
        "crc32c": _Hash(reference.crc32c),
        "crct10dif": _Hash(reference.crct10dif),
        # The kernel takes the key of Poly1305 from the beginning of the message.
        "poly1305": _Hash(lambda text: Poly1305.generate_tag(text[:32], text[32:]), shortest=32),
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
        random_lengths = _random_lengths(Random(label))
        for number, length in enumerate((*KEYED_HASH_LENGTHS, *random_lengths)):
            key = self.key(random, number)
            output = self.digest(key, message(label, length))
            yield {"length": length, "key": key.hex(), **_output(output)}


def _keyed_hashes() -> dict[str, _KeyedHash]:
    return {
        "hmac(md5)": _hmac("md5"),
        "hmac(sha1)": _hmac("sha1"),
        "hmac(sha224)": _hmac("sha224"),
        "hmac(sha256)": _hmac("sha256"),
        "hmac(sha384)": _hmac("sha384"),
        "hmac(sha512)": _hmac("sha512"),
        "hmac(sha3-256)": _hmac("sha3_256"),
        "hmac(sha3-512)": _hmac("sha3_512"),
        "cmac(aes)": _KeyedHash(_bytes(16, 24, 32), _digest_cmac_aes),
        "cmac(camellia)": _KeyedHash(
            _bytes(16, 24, 32), lambda key, text: reference.cmac(_ecb(Camellia, key), 16, text)
        ),
        "cmac(des3_ede)": _KeyedHash(
            _bytes(24), lambda key, text: reference.cmac(_ecb(TripleDES, key), 8, text)
        ),
        "xcbc(aes)": _KeyedHash(
            _bytes(16),
            lambda key, text: reference.xcbc(functools.partial(_ecb, AES), key, text),
        ),
        # The key of a checksum is where it starts.
        "crc32": _KeyedHash(
            _bytes(4), lambda key, text: reference.crc32(text, int.from_bytes(key, "little"))
        ),
        "crc32c": _KeyedHash(
            _bytes(4), lambda key, text: reference.crc32c(text, int.from_bytes(key, "little"))
        ),
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
    unit: int = 0  # of random lengths; 0 for none

    def cases(self, label: str) -> Iterator[Case]:
        random, lengths = Random(label), list(self.lengths)
        if self.unit:
            lengths += _random_lengths(Random(label), self.unit, least=_BLOCK)
        for number, length in enumerate(lengths):
            key, iv = self.key(random, number), self.iv(random, number)
            yield {
                "length": length,
                "key": key.hex(),
                "iv": iv.hex(),
                **_output(self.encrypt(key, iv, message(label, length))),
            }


@dataclass(frozen=True)
class _BlockCipher:
    """A block cipher of OpenSSL, and its modes by the names that the kernel has for them."""

    algorithm: Callable[[bytes], CipherAlgorithm]
    size: int
    key: Draw

    def ecb(self) -> _Skcipher:
        return self._blocks(_bytes(0), lambda key, _iv, text: _ecb(self.algorithm, key)(text))

    def cbc(self) -> _Skcipher:
        return self._blocks(_bytes(self.size), _cbc(self.algorithm))

    def stream(self, mode: Callable[[reference.Blocks, bytes, bytes], bytes]) -> _Skcipher:
        """A mode of harness/guest/reference.py that takes any length."""
        iv = _bytes(self.size)
        return _Skcipher(STREAM_LENGTHS, self.key, iv, self._composed(mode), unit=1)

    def _composed(self, mode: Callable[[reference.Blocks, bytes, bytes], bytes]) -> Encrypt:
        return lambda key, iv, text: mode(_ecb(self.algorithm, key), iv, text)

    def _blocks(self, iv: Draw, encrypt: Encrypt) -> _Skcipher:
        lengths = BLOCK_LENGTHS if self.size == _BLOCK else (self.size, *BLOCK_LENGTHS)
        return _Skcipher(lengths, self.key, iv, encrypt, unit=self.size)


_AES_KEYS = _bytes(16, 24, 32)
_BLOCK_CIPHERS = {
    "aes": _BlockCipher(AES, 16, _AES_KEYS),
    "camellia": _BlockCipher(Camellia, 16, _AES_KEYS),
    "des3_ede": _BlockCipher(TripleDES, 8, _bytes(24)),
    # DES is Triple DES with three equal keys.
    "des": _BlockCipher(lambda key: TripleDES(key * 3), 8, _bytes(8)),
    "blowfish": _BlockCipher(Blowfish, 8, _bytes(4, 16, 56)),
    "cast5": _BlockCipher(CAST5, 8, _bytes(5, 16)),
    "sm4": _BlockCipher(SM4, 16, _bytes(16)),
}


def _skciphers() -> dict[str, _Skcipher]:
    iv, aes = _bytes(_BLOCK), _BLOCK_CIPHERS["aes"]
    return {
        **{
            f"ecb({name})": cipher.ecb() for name, cipher in _BLOCK_CIPHERS.items() if name != "sm4"
        },
        **{f"cbc({name})": cipher.cbc() for name, cipher in _BLOCK_CIPHERS.items()},
        **{
            f"ctr({name})": cipher.stream(reference.ctr)
            for name, cipher in _BLOCK_CIPHERS.items()
            if name in {"aes", "camellia", "des3_ede"}
        },
        "ofb(aes)": aes.stream(reference.ofb),
        "cfb(aes)": aes.stream(reference.cfb),
        "xctr(aes)": aes.stream(reference.xctr),
        "cts(cbc(aes))": _Skcipher(XTS_LENGTHS, _AES_KEYS, iv, _encrypt_cts, unit=1),
        "xts(aes)": _Skcipher(XTS_LENGTHS, _bytes(32, 64), iv, _block(AES, modes.XTS), unit=1),
        "xts(camellia)": _Skcipher(BLOCK_LENGTHS, _bytes(32, 48, 64), iv, _xts_camellia, unit=16),
        "lrw(aes)": _Skcipher(BLOCK_LENGTHS, _bytes(32, 40, 48), iv, _lrw(AES), unit=16),
        "lrw(camellia)": _Skcipher(BLOCK_LENGTHS, _bytes(32, 40, 48), iv, _lrw(Camellia), unit=16),
        "rfc3686(ctr(aes))": _Skcipher(
            STREAM_LENGTHS, _bytes(20, 28, 36), _bytes(8), _encrypt_rfc3686, unit=1
        ),
        "essiv(cbc(aes),sha256)": _Skcipher(BLOCK_LENGTHS, _AES_KEYS, iv, _encrypt_essiv, unit=16),
        "chacha20": _Skcipher(STREAM_LENGTHS, _bytes(32), _chacha20_iv, _encrypt_chacha20, unit=1),
    }


def _streams() -> dict[str, _Skcipher]:
    """Long texts: what a request gives out in many reads must add up to their ciphertext."""
    iv = _bytes(_BLOCK)
    return {
        "cbc(aes)": _Skcipher(LONG_LENGTHS, _AES_KEYS, iv, _block(AES, modes.CBC)),
        "ctr(aes)": _Skcipher(LONG_LENGTHS, _AES_KEYS, iv, _block(AES, modes.CTR)),
    }


def _ecb(algorithm: Callable[[bytes], CipherAlgorithm], key: bytes) -> reference.Blocks:
    encryptor = Cipher(algorithm(key), modes.ECB()).encryptor()  # once for all blocks

    def encrypt(text: bytes) -> bytes:
        output = encryptor.update(text)
        if len(output) != len(text):
            raise ValueError(f"{len(text)} bytes are no whole blocks")
        return output

    return encrypt


def _cbc(algorithm: Callable[[bytes], CipherAlgorithm]) -> Encrypt:
    return _block(algorithm, modes.CBC)


def _encrypt_cts(key: bytes, iv: bytes, text: bytes) -> bytes:
    return reference.cts(lambda padded: _cbc(AES)(key, iv, padded), text)


def _encrypt_essiv(key: bytes, iv: bytes, text: bytes) -> bytes:
    """The IV is encrypted under the hash of the key (crypto/essiv.c)."""
    return _cbc(AES)(key, _ecb(AES, hashlib.sha256(key).digest())(iv), text)


def _xts_camellia(key: bytes, iv: bytes, text: bytes) -> bytes:
    half = len(key) // 2
    return reference.xts(_ecb(Camellia, key[:half]), _ecb(Camellia, key[half:]), iv, text)


def _lrw(algorithm: Callable[[bytes], CipherAlgorithm]) -> Encrypt:
    """The key of the tweak comes last, 16 bytes."""
    return lambda key, iv, text: reference.lrw(_ecb(algorithm, key[:-16]), key[-16:], iv, text)


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
        "rfc4543(gcm(aes))": _Aead(ESP_LENGTHS, (16,), _bytes(20, 36), _bytes(8), _seal_rfc4543),
        "rfc4309(ccm(aes))": _Aead(
            ESP_LENGTHS, (16, 12, 8), _bytes(19, 35), _bytes(8), _seal_rfc4309
        ),
        "rfc7539esp(chacha20,poly1305)": _Aead(
            ESP_LENGTHS, (16,), _bytes(36), _bytes(8), _seal_rfc7539esp
        ),
        "authenc(hmac(sha1),cbc(aes))": _authenc(AUTHENC_LENGTHS, "sha1", 20),
        "authenc(hmac(sha256),cbc(aes))": _authenc(AUTHENC_LENGTHS, "sha256", 32),
        "authenc(hmac(sha384),cbc(aes))": _authenc(AUTHENC_LENGTHS, "sha384", 48),
        "authenc(hmac(sha512),cbc(aes))": _authenc(AUTHENC_LENGTHS, "sha512", 64),
        "authenc(hmac(sha1),cbc(des3_ede))": _authenc(
            AUTHENC_LENGTHS, "sha1", 20, cipher=_skciphers()["cbc(des3_ede)"].encrypt, sizes=(24, 8)
        ),
        "authenc(hmac(sha256),ctr(aes))": _authenc(
            AUTHENC_LENGTHS, "sha256", 32, cipher=_block(AES, modes.CTR)
        ),
        "authenc(hmac(sha256),rfc3686(ctr(aes)))": _authenc(
            AUTHENC_LENGTHS, "sha256", 32, cipher=_encrypt_rfc3686, sizes=(20, 8)
        ),
        "authencesn(hmac(sha1),cbc(aes))": _authenc(
            AUTHENCESN_LENGTHS, "sha1", 20, extended_sequence_number=True
        ),
        "authencesn(hmac(sha512),cbc(aes))": _authenc(
            AUTHENCESN_LENGTHS, "sha512", 64, extended_sequence_number=True
        ),
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


def _seal_rfc4543(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    """GMAC: the text is not encrypted, and all is associated data, the IV included."""
    return text + AESGCM(key[:-4]).encrypt(key[-4:] + iv, b"", aad + text)[:tag]


def _seal_rfc4309(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    """The key ends with three bytes of salt; associated data as in RFC 4106."""
    return AESCCM(key[:-3], tag_length=tag).encrypt(key[-3:] + iv, text, aad[:-8])


def _seal_rfc7539esp(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
    """RFC 7634: the key ends with a salt; associated data as in RFC 4106."""
    return _seal_rfc7539(key[:-4], key[-4:] + iv, aad[:-8], text, tag)


def _authenc(
    lengths: tuple[tuple[int, int], ...],
    digest: str,
    digest_size: int,
    *,
    extended_sequence_number: bool = False,
    cipher: Encrypt | None = None,
    sizes: tuple[int, int] | None = None,
) -> _Aead:
    """Encrypt-then-MAC as IPsec has it, by default with AES-CBC.

    The MAC key is of the digest's size; ``sizes`` are those of the cipher's key and IV.

    The key begins with a ``struct rtattr`` (crypto/authenc.c): length 8 and type
    CRYPTO_AUTHENC_KEYA_PARAM in the byte order of x86, the length of the cipher key
    big-endian; the MAC key and the cipher key follow. With extended sequence numbers,
    bytes 4 to 7 of the associated data (the high half) are authenticated last.
    """

    def draw_key(random: Random, number: int) -> bytes:
        size = sizes[0] if sizes else (16, 32)[number % 2]
        head = b"\x08\x00\x01\x00" + size.to_bytes(4, "big")
        return head + random.randbytes(digest_size + size)

    def seal(key: bytes, iv: bytes, aad: bytes, text: bytes, tag: int) -> bytes:
        mac_key, cipher_key = key[8 : 8 + digest_size], key[8 + digest_size :]
        ciphertext = (cipher or _cbc(AES))(cipher_key, iv, text)
        covered = aad + ciphertext
        if extended_sequence_number:
            covered = aad[:4] + aad[8:] + ciphertext + aad[4:8]
        return ciphertext + hmac.digest(mac_key, covered, digest)[:tag]

    iv = _bytes(sizes[1] if sizes else _BLOCK)
    return _Aead(lengths, (digest_size, digest_size // 2), draw_key, iv, seal)


# Random number generators


@dataclass(frozen=True)
class _Rng:
    """ANSI X9.31 Appendix A.2.4 with AES-128: the key of a case is the seed, V, key and DT.

    crypto/ansi_cprng.c gives out what the outputs of the blocks, in a row, are.
    """

    def cases(self, label: str) -> Iterator[Case]:
        random = Random(label)
        for length in (1, 16, 40, 128):
            seed = random.randbytes(48)
            yield {"length": length, "key": seed.hex(), **_output(_x931(seed, length))}


def _x931(seed: bytes, length: int) -> bytes:
    value, encrypt, time = seed[:16], _ecb(AES, seed[16:32]), seed[32:]
    output = b""
    while len(output) < length:
        intermediate = encrypt(time)
        block = encrypt(reference.xor(intermediate, value))
        value = encrypt(reference.xor(block, intermediate))
        time = ((int.from_bytes(time, "big") + 1) % (1 << 128)).to_bytes(16, "big")
        output += block
    return output[:length]
