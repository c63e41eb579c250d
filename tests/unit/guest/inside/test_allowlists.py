"""Which of the known lists of af_alg_restrict=1 a kernel has."""

from __future__ import annotations

import pytest

from harness.guest.inside import allowlists
from harness.guest.inside.allowlists import (
    EVERYBODY,
    NO_LIST,
    NOBODY,
    PRIVILEGED,
    UNKNOWN_LIST,
    VARIANTS,
    Access,
    Name,
    Variant,
    describe_change,
    match,
    steps,
)
from tests.unit.guest.test_oracle import suite_module

GCM = Name("aead", "gcm(aes)")
PAES = Name("skcipher", "cbc(paes)")
SHA512HMAC = Name("hash", "hmac(sha512)")
LATEST = VARIANTS[-1]


def kernel_with(variant: Variant, *, paes: bool = True) -> dict[Name, Access]:
    """What a kernel with that list shows; without the hardware it has no cbc(paes)."""
    offered = {GCM, *allowlists.ALL_LISTED} - (set() if paes else {PAES})
    return {name: variant.access(name) for name in offered}


def by_name(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_each_variant_is_told(variant: Variant) -> None:
    found = match(kernel_with(variant))
    assert (found.variant, found.alike, dict(found.differing)) == (variant, (), {})


def test_what_cannot_be_told_apart_is_the_latest_and_says_so() -> None:
    found = match(kernel_with(by_name("7.3"), paes=False))
    assert found.variant is by_name("7.3")
    assert [other.name for other in found.alike] == ["cryptsetup", "paes"]


def test_the_nearest_list_and_each_name_that_differs() -> None:
    seen = kernel_with(LATEST) | {GCM: EVERYBODY, SHA512HMAC: NOBODY}
    found = match(seen)
    assert found.differing == {GCM: EVERYBODY, SHA512HMAC: NOBODY}
    assert describe_change(found.differing) == (
        "aead 'gcm(aes)' for everybody, hash 'hmac(sha512)' refused"
    )


def test_what_a_kernel_does_not_offer_says_nothing() -> None:
    assert not match({Name("hash", "sha1"): EVERYBODY}).differing
    assert match({Name("hash", "sha1"): PRIVILEGED}).differing


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        ("7.3", "sha512hmac", ["sha512hmac"]),
        ("paes", "sha512hmac", ["7.3", "sha512hmac"]),
        (NO_LIST, "cryptsetup", ["initial", "cryptsetup"]),
        ("sha512hmac", "7.3", []),
        ("initial", NO_LIST, []),
        ("7.3", "7.3", []),
        ("7.3", UNKNOWN_LIST, []),
        (UNKNOWN_LIST, "7.3", []),
        ("", "7.3", []),
    ],
)
def test_steps(before: str, after: str, taken: list[str]) -> None:
    assert [variant.name for variant in steps(before, after)] == taken


def test_names() -> None:
    """80fb9a858071 gave hmac(sha512) to everybody; 9ad6f337888e listed three ciphers."""
    assert by_name("7.3").access(SHA512HMAC) == PRIVILEGED
    assert by_name("sha512hmac").access(SHA512HMAC) == EVERYBODY
    assert by_name("initial").access(Name("skcipher", "xts(twofish)")) == NOBODY
    words = {NO_LIST, UNKNOWN_LIST, *(variant.name for variant in VARIANTS)}
    assert len(words) == len(VARIANTS) + 2, "a word is used twice"


def test_names_tried_beside_the_lists_are_on_none() -> None:
    tried = suite_module("allowlist")
    others = (*tried.UNLISTED, *tried.OTHER_SPELLINGS, *tried.MORE_NAMES, *tried.RARELY_LOADED)
    assert not set(others) & set(allowlists.ALL_LISTED)
