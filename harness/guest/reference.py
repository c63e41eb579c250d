"""Checksums and modes of operation that neither Python nor OpenSSL has, for the oracle.

The modes are built on a block cipher in ECB mode, given as a function that encrypts any
number of blocks, so that they share no code with the kernel that is judged either.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

Blocks = Callable[[bytes], bytes]  # encrypts whole blocks, each by itself

_BLOCK = 16
_GF128 = 0x87  # x^128 = x^7 + x^2 + x + 1


def xor(one: bytes, other: bytes) -> bytes:
    """Exclusive or; as long as the shorter of the two."""
    length = min(len(one), len(other))
    number = int.from_bytes(one[:length], "big") ^ int.from_bytes(other[:length], "big")
    return number.to_bytes(length, "big")


def _blocks(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


# Checksums, with the seed and the byte order that the kernel's hashes have


def crc32(text: bytes, seed: int = 0) -> bytes:
    """CRC-32 of IEEE 802.3, not inverted at the end (crypto/crc32.c)."""
    inverted = 0xFFFFFFFF
    return (zlib.crc32(text, seed ^ inverted) ^ inverted).to_bytes(4, "little")


def crc32c(text: bytes, seed: int = 0xFFFFFFFF) -> bytes:
    """CRC-32C of Castagnoli, RFC 3720 B.4 (crypto/crc32c.c)."""
    crc = seed
    for byte in text:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "little")


def crct10dif(text: bytes) -> bytes:
    """CRC-16 of the T10 Data Integrity Field, in the byte order of x86 (crypto/crct10dif.c)."""
    crc = 0
    for byte in text:
        crc = crc << 8 & 0xFFFF ^ _CRCT10DIF[crc >> 8 ^ byte]
    return crc.to_bytes(2, "little")


def _reflected(byte: int, polynomial: int) -> int:
    """What a CRC whose lowest bit comes first makes of one byte."""
    for _ in range(8):
        byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
    return byte


def _highest_first(byte: int, polynomial: int) -> int:
    """What a CRC of 16 bits whose highest bit comes first makes of one byte."""
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ (polynomial if crc & 0x8000 else 0)
    return crc


_CRC32C = [_reflected(byte, 0x82F63B78) for byte in range(256)]
_CRCT10DIF = [_highest_first(byte, 0x18BB7) for byte in range(256)]


# Codes that authenticate


def cmac(encrypt: Blocks, size: int, text: bytes) -> bytes:
    """NIST SP 800-38B, for blocks of 8 or 16 bytes."""
    bits, polynomial = size * 8, {8: 0x1B, 16: 0x87}[size]

    def double(block: bytes) -> bytes:
        doubled = int.from_bytes(block, "big") << 1
        if doubled >> bits:
            doubled ^= 1 << bits | polynomial
        return doubled.to_bytes(size, "big")

    whole = double(encrypt(bytes(size)))
    return _cbc_mac(encrypt, size, text, whole, double(whole))


def xcbc(with_key: Callable[[bytes], Blocks], key: bytes, text: bytes) -> bytes:
    """RFC 3566: three keys derived from the one."""
    one, whole, padded = (with_key(key)(bytes([i]) * _BLOCK) for i in (1, 2, 3))
    return _cbc_mac(with_key(one), _BLOCK, text, whole, padded)


def _cbc_mac(encrypt: Blocks, size: int, text: bytes, whole: bytes, padded: bytes) -> bytes:
    """CBC-MAC whose last block is masked, by ``padded`` if it had to be padded."""
    *blocks, last = _blocks(text, size) or [b""]
    state = bytes(size)
    for block in blocks:
        state = encrypt(xor(state, block))
    mask = whole if len(last) == size else padded
    last = last if len(last) == size else (last + b"\x80").ljust(size, b"\0")
    return encrypt(xor(state, xor(last, mask)))


# Modes of operation


def ctr(encrypt: Blocks, iv: bytes, text: bytes) -> bytes:
    """NIST SP 800-38A 6.5: the whole IV is a big-endian counter."""
    size, first = len(iv), int.from_bytes(iv, "big")
    counters = ((first + i) % (1 << size * 8) for i in range(-(-len(text) // size)))
    return xor(text, encrypt(b"".join(one.to_bytes(size, "big") for one in counters)))


def xctr(encrypt: Blocks, iv: bytes, text: bytes) -> bytes:
    """XCTR of "Length-preserving encryption with HCTR2": IV xor little-endian number from 1."""
    size = len(iv)
    numbers = ((i + 1).to_bytes(size, "little") for i in range(-(-len(text) // size)))
    return xor(text, encrypt(b"".join(xor(iv, number) for number in numbers)))


def ofb(encrypt: Blocks, iv: bytes, text: bytes) -> bytes:
    """NIST SP 800-38A 6.4."""
    stream = b""
    while len(stream) < len(text):
        iv = encrypt(iv)
        stream += iv
    return xor(text, stream)


def cfb(encrypt: Blocks, iv: bytes, text: bytes) -> bytes:
    """NIST SP 800-38A 6.3, with segments of a block."""
    output = b""
    for block in _blocks(text, len(iv)):
        iv = xor(block, encrypt(iv))
        output += iv
    return output


def cts(encrypt_cbc: Callable[[bytes], bytes], text: bytes) -> bytes:
    """Ciphertext stealing of NIST SP 800-38A Addendum, CBC-CS3, over a CBC."""
    whole = encrypt_cbc(text.ljust(-(-len(text) // _BLOCK) * _BLOCK, b"\0"))
    if len(text) <= _BLOCK:
        return whole
    head, last_but_one, last = whole[: -2 * _BLOCK], whole[-2 * _BLOCK : -_BLOCK], whole[-_BLOCK:]
    return (head + last + last_but_one)[: len(text)]


def lrw(encrypt: Blocks, tweak_key: bytes, iv: bytes, text: bytes) -> bytes:
    """LRW-32 of IEEE P1619 draft 00: the IV is the big-endian index of the first block."""
    index, key = int.from_bytes(iv, "big"), int.from_bytes(tweak_key, "big")
    mask, masks = _multiply(key, index), b""
    for _ in range(len(text) // _BLOCK):
        masks += mask.to_bytes(_BLOCK, "big")
        following = (index + 1) % (1 << 128)
        # The product of an exclusive or is that of the products; few of its bits are set.
        mask ^= _multiply(key, index ^ following)
        index = following
    return xor(encrypt(xor(text, masks)), masks)


def xts(encrypt: Blocks, encrypt_tweak: Blocks, iv: bytes, text: bytes) -> bytes:
    """XTS of IEEE 1619, of whole blocks."""
    mask, masks = int.from_bytes(encrypt_tweak(iv), "little"), b""
    for _ in range(len(text) // _BLOCK):
        masks += mask.to_bytes(_BLOCK, "little")
        mask = _double(mask)
    return xor(encrypt(xor(text, masks)), masks)


def _double(value: int) -> int:
    value <<= 1
    return value ^ (1 << 128 | _GF128) if value >> 128 else value


def _multiply(one: int, other: int) -> int:
    product = 0
    while other:
        if other & 1:
            product ^= one
        one, other = _double(one), other >> 1
    return product
