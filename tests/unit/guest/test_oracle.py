"""The oracle: right by published vectors, determined by its seed, small, and complete."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.guest import oracle
from harness.paths import suite_dir


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
    assert len(json.dumps(answers())) < 100_000


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
