"""The oracle: right by published vectors, determined by its seed, small, and complete."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from harness.guest import oracle, reference
from harness.guest.published import PUBLISHED
from harness.locations import suite_dir


@pytest.fixture(scope="module")
def vectors() -> ModuleType:
    """The suite's own module that reads the answers."""
    return suite_module("vectors")


def suite_module(name: str) -> ModuleType:
    """Import a helper module of the suite, and what it needs from its side."""
    directory = str(suite_dir())
    sys.path.insert(0, directory)
    try:
        spec = importlib.util.spec_from_file_location(name, Path(directory) / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(directory)


def answers(seed: int = 1) -> dict[str, Any]:
    """The known answers as the guest gets them: through JSON."""
    loaded: dict[str, Any] = json.loads(json.dumps(oracle.known_answers(seed)))
    return loaded


def test_same_seed_gives_the_same_answers() -> None:
    assert answers(7) == answers(7)


def test_other_seed_gives_other_keys_and_messages() -> None:
    one, other = answers(1), answers(2)
    assert one["hash"]["sha256"]["message"] != other["hash"]["sha256"]["message"]
    keys = [a["skcipher"]["cbc(aes)"]["cases"][0]["key"] for a in (one, other)]
    assert keys[0] != keys[1]


def test_is_small_enough_to_travel() -> None:
    assert len(json.dumps(answers())) < 200_000


def test_message_is_a_prefix_of_the_xof() -> None:
    assert oracle.message("x", 4) == hashlib.shake_256(b"x").digest(64)[:4]


def test_covers_every_algorithm_of_the_suite(vectors: ModuleType) -> None:
    known = answers()
    assert set(known["hash"]) == set(vectors.HASHES)
    assert set(known["keyed_hash"]) == set(vectors.KEYED_HASHES)
    assert set(known["skcipher"]) == set(vectors.SKCIPHERS)
    assert set(known["aead"]) == set(vectors.AEADS)


def test_every_output_has_the_length_of_its_input_and_tag(vectors: ModuleType) -> None:
    known = answers()
    spelt_out = 0
    for section in ("skcipher", "aead"):
        for name in known[section]:
            for case in vectors.cases(known, section, name):
                if case.output is not None:
                    assert len(case.output) == len(case.message) + case.tag, name
                    spelt_out += 1
    assert spelt_out > 50


def test_case_tells_expected_from_seen(vectors: ModuleType) -> None:
    case = vectors.cases(answers(), "hash", "sha256")[1]
    case.check(hashlib.sha256(case.message).digest(), "sha256")
    with pytest.raises(AssertionError, match="sha256 of 1 bytes: first difference at byte 0"):
        case.check(bytes(32), "sha256")


def test_case_of_a_long_output_is_checked_by_its_digest(vectors: ModuleType) -> None:
    case = vectors.cases(answers(), "skcipher", "ctr(aes)")[-1]
    assert case.output is None
    with pytest.raises(AssertionError, match="expected output of SHA-256"):
        case.check(bytes(len(case.message)), "ctr(aes)")


# One published vector for each composition that the oracle makes itself. Plain calls of
# OpenSSL and hashlib are taken on trust.


def test_rfc3686_vector() -> None:
    """RFC 3686, test vector 1."""
    key = bytes.fromhex("ae6852f8121067cc4bf7a5765577f39e00000030")
    cipher = oracle._skciphers()["rfc3686(ctr(aes))"]
    seen = cipher.encrypt(key, bytes(8), b"Single block msg")
    assert seen.hex() == "e4095d4fb7a7b3792d6175a3261311b8"


def test_chacha20_vector() -> None:
    """RFC 8439, 2.4.2: the IV is the block counter and the nonce."""
    iv = (1).to_bytes(4, "little") + bytes.fromhex("000000000000004a00000000")
    text = b"Ladies and Gentl"
    seen = oracle._skciphers()["chacha20"].encrypt(bytes(range(32)), iv, text)
    assert seen.hex() == "6e2e359a2568f98041ba0728dd0d6981"


def test_ccm_vector() -> None:
    """RFC 3610, packet vector 1, with the IV as the kernel has it."""
    iv = b"\x01" + bytes.fromhex("00000003020100a0a1a2a3a4a5") + bytes(2)
    seen = oracle._seal_ccm(bytes(range(0xC0, 0xD0)), iv, bytes(range(8)), bytes(range(8, 31)), 8)
    assert seen.hex() == "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"


def test_rfc4106_is_gcm_with_the_salt_in_the_nonce() -> None:
    """RFC 4106, sections 4 and 5; the kernel's associated data ends with the IV."""
    key, salt, iv, aad = bytes(16), b"salt", b"explicit", b"SPI.SEQ."
    seen = oracle._seal_rfc4106(key + salt, iv, aad + iv, b"text", 16)
    assert seen == oracle._seal_gcm(key, salt + iv, aad, b"text", 16)


def test_authenc_is_cbc_and_then_the_hmac_of_all() -> None:
    """The ciphertext is RFC 3602, case 2."""
    cipher_key = bytes.fromhex("c286696d887c9aa0611bbb3e2025a45a")
    iv = bytes.fromhex("562e17996d093d28ddb3ba695a2e6f58")
    key = b"\x08\x00\x01\x00\x00\x00\x00\x10" + bytes(32) + cipher_key
    sealed = oracle._aeads()["authenc(hmac(sha256),cbc(aes))"].seal(
        key, iv, b"aad", bytes(range(32)), 32
    )
    ciphertext, tag = sealed[:32], sealed[32:]
    assert ciphertext.hex() == "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"
    assert tag == hmac.digest(bytes(32), b"aad" + ciphertext, "sha256")


def test_authencesn_authenticates_the_high_sequence_number_last() -> None:
    """RFC 4303, 2.2.1: it is not transmitted, but goes into the integrity check at the end."""
    key = b"\x08\x00\x01\x00\x00\x00\x00\x10" + bytes(32) + bytes(16)
    sealed = oracle._aeads()["authencesn(hmac(sha256),cbc(aes))"].seal(
        key, bytes(16), b"SPI.HIGHLOW.", bytes(16), 32
    )
    assert sealed[16:] == hmac.digest(bytes(32), b"SPI.LOW." + sealed[:16] + b"HIGH", "sha256")


# The modes and checksums of harness/guest/reference.py, by published vectors.


def test_checksums_of_the_check_string() -> None:
    """The check values of the catalogue of parametrised CRC algorithms; the first uninverted."""
    text = b"123456789"
    inverted = bytes(0xFF - byte for byte in reference.crc32(text, 0xFFFFFFFF))
    assert inverted.hex() == "2639f4cb"
    assert reference.crc32c(text).hex() == "839206e3"
    assert reference.crct10dif(text).hex() == "dbd0"


def test_checksum_goes_on_from_its_seed() -> None:
    head = int.from_bytes(reference.crc32(b"12345"), "little")
    assert reference.crc32(b"6789", head) == reference.crc32(b"123456789")
    head = int.from_bytes(reference.crc32c(b"12345"), "little") ^ 0xFFFFFFFF
    assert reference.crc32c(b"6789", head) == reference.crc32c(b"123456789")


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
    ],
)
def test_cmac_vector(length: int, expected: str) -> None:
    """RFC 4493, section 4: what OpenSSL does, done by the composition for other ciphers."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    text = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"
    )
    encrypt = oracle._ecb(AES, key)
    assert reference.cmac(encrypt, 16, text[:length]).hex() == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "75f0251d528ac01c4573dfd584d79f29"),
        (3, "5b376580ae2f19afe7219ceef172756f"),
        (16, "d2a246fa349b68a79998a4394ff7a263"),
        (20, "47f51b4564966215b8985c63055ed308"),
    ],
)
def test_xcbc_vector(length: int, expected: str) -> None:
    """RFC 3566, section 4.6."""
    digest = oracle._keyed_hashes()["xcbc(aes)"].digest
    assert digest(bytes(range(16)), bytes(range(length))).hex() == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("ofb(aes)", "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"),
        ("cfb(aes)", "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"),
    ],
)
def test_mode_vector(mode: str, expected: str) -> None:
    """NIST SP 800-38A, F.4.1 and F.3.13."""
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    text = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    assert oracle._skciphers()[mode].encrypt(key, bytes(range(16)), text).hex() == expected


def test_xctr_vector() -> None:
    """crypto/testmgr.h, xctr(aes), made with github.com/google/hctr2."""
    key = bytes.fromhex("4403bf4c30f0a7d6bd54bb668ea60e8a")
    iv = bytes.fromhex("e6f726df8c3caa88cec1bd433b0962ad")
    text = bytes.fromhex("3ce346b98f9d3f8deff253ab24e22908f87e1da66d867d60976393297194b4")
    seen = oracle._skciphers()["xctr(aes)"].encrypt(key, iv, text)
    assert seen.hex() == "d4a3c6b8c16f701a520ced4caf5156234845071034c5ba71e5f81ed8cba6e7"


def test_composed_counter_mode_is_that_of_openssl() -> None:
    key, iv, text = bytes(16), b"\xff" * 16, bytes(range(70))
    expected = oracle._block(AES, modes.CTR)(key, iv, text)
    assert oracle._skciphers()["ctr(aes)"].encrypt(key, iv, text) == expected


def test_composed_xts_is_that_of_openssl() -> None:
    key, iv, text = bytes(range(32)), bytes(range(16)), bytes(range(64))
    half = (oracle._ecb(AES, key[:16]), oracle._ecb(AES, key[16:]))
    expected = oracle._skciphers()["xts(aes)"].encrypt(key, iv, text)
    assert reference.xts(*half, iv, text) == expected


def test_des_vector() -> None:
    """FIPS 46 by way of Triple DES: the classic example."""
    key, text = bytes.fromhex("0123456789abcdef"), b"Now is the time for all "
    seen = oracle._skciphers()["ecb(des)"].encrypt(key, b"", text)
    assert seen.hex() == "3fa40e8a984d48156a271787ab8883f9893d51ec4b563b53"


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
        (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
    ],
)
def test_ciphertext_stealing_vector(length: int, expected: str) -> None:
    """RFC 3962, appendix B."""
    text = b"I would like the General Gau's Chicken, please, and wonton soup."[:length]
    seen = oracle._skciphers()["cts(cbc(aes))"].encrypt(b"chicken teriyaki", bytes(16), text)
    assert seen.hex() == expected


def test_lrw_vector() -> None:
    """IEEE P1619 draft, LRW-32-AES 1, as in crypto/testmgr.h."""
    key = bytes.fromhex("4562ac25f828176d4c268414b5680185258e2a05e73e9d03ee5a830ccc094c87")
    seen = oracle._skciphers()["lrw(aes)"].encrypt(
        key, (1).to_bytes(16, "big"), b"0123456789ABCDEF"
    )
    assert seen.hex() == "f1b273cd65a3df5fe95d489254634eb8"


@pytest.mark.parametrize("index", [0, 6, (1 << 64) - 3, (1 << 128) - 4])
def test_lrw_masks_each_block_with_the_product_of_its_index(index: int) -> None:
    """Also where the index carries far, and where it begins anew."""
    key = Random(index).getrandbits(128)
    masks = reference.lrw(
        lambda text: bytes(len(text)),
        key.to_bytes(16, "big"),
        index.to_bytes(16, "big"),
        bytes(160),
    )
    for number in range(10):
        expected = reference._multiply(key, (index + number) % (1 << 128))
        assert masks[16 * number : 16 * (number + 1)] == expected.to_bytes(16, "big")


def test_ecb_takes_whole_blocks_only() -> None:
    with pytest.raises(ValueError, match="17 bytes"):
        oracle._ecb(AES, bytes(16))(bytes(17))


def test_essiv_vector() -> None:
    """crypto/testmgr.h, essiv(cbc(aes),sha256), the second."""
    key = bytes.fromhex("c286696d887c9aa0611bbb3e2025a45a")
    iv = bytes.fromhex("562e17996d093d280000000000000000")
    seen = oracle._skciphers()["essiv(cbc(aes),sha256)"].encrypt(key, iv, bytes(range(32)))
    assert seen.hex() == "c8599afe79e67b20067d550a5ec7b5a70b9c80d215a1b86dc6ab7b65d9fd88eb"


def test_rfc4543_leaves_the_text_in_the_clear() -> None:
    """RFC 4543, section 5: the tag is over associated data, IV and text."""
    aad, iv, key = b"SPI.SEQ.explicit", b"explicit", bytes(16) + b"salt"
    seen = oracle._seal_rfc4543(key, iv, aad, b"text", 16)
    assert seen[:4] == b"text"
    assert seen[4:] == oracle._seal_gcm(bytes(16), b"salt" + iv, aad + b"text", b"", 16)


def test_x931_first_block() -> None:
    """ANSI X9.31 A.2.4: R = E(I xor V) with I = E(DT)."""
    encrypt = oracle._ecb(AES, b"k" * 16)
    seen = oracle._x931(b"v" * 16 + b"k" * 16 + b"d" * 16, 16)
    assert seen == encrypt(reference.xor(encrypt(b"d" * 16), b"v" * 16))


def test_published_and_computed_do_not_overlap() -> None:
    known = answers()
    for section, table in PUBLISHED.items():
        for name in table:
            assert "message" not in known[section][name], f"{name} is computed as well"


def test_published_case_brings_its_message(vectors: ModuleType) -> None:
    (empty, abc, _) = vectors.cases(answers(), "hash", "md4")
    assert (empty.message, abc.message) == (b"", b"abc")


def test_pieces_cover_the_whole(vectors: ModuleType) -> None:
    random = Random(1)
    for length in (0, 1, 100):
        for _ in range(20):
            slices = vectors.pieces(length, random)
            text = bytes(range(length))
            assert b"".join(text[start:end] for start, end in slices) == text
