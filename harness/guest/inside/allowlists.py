"""The lists of algorithms that af_alg_restrict=1 lets through, variant by variant, as data.

The guest finds out which of them a kernel has; the judge knows which came after which. Each
is the one before it with some names changed, as commits made them in the tables of
crypto/algif_{hash,skcipher,aead,rng}.c. Names are compared whole; drivers and other spellings
are on no list. A new commit is a new entry at the end of ``_STEPS``.

Standard library only: this travels into the guest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Name(NamedTuple):
    """An algorithm as bind() is asked for it."""

    kind: str
    algorithm: str

    def __str__(self) -> str:
        return f"{self.kind} {self.algorithm!r}"


class Access(NamedTuple):
    """Who could bind a name at af_alg_restrict=1."""

    privileged: bool  # CAP_NET_ADMIN or CAP_SYS_ADMIN in the initial user namespace
    everybody: bool

    def __str__(self) -> str:
        return "for everybody" if self.everybody else "for the privileged"


PRIVILEGED = Access(privileged=True, everybody=False)
EVERYBODY = Access(privileged=True, everybody=True)
NOBODY = Access(privileged=False, everybody=False)


@dataclass(frozen=True)
class Variant:
    """One list that kernels have or had."""

    name: str  # what facts call it
    commit: str  # of mainline, which made it
    changed: Mapping[Name, Access]  # what that commit did to the variant before
    names: Mapping[Name, Access]  # the whole list

    def access(self, name: Name) -> Access:
        """Who can bind ``name``, on a kernel that offers it."""
        return self.names.get(name, NOBODY)


#: What a fact says of a kernel that has no list, and of one whose list is none of these.
NO_LIST = "none"
UNKNOWN_LIST = "unknown"

_INITIAL = {
    Name("aead", "ccm(aes)"): PRIVILEGED,  # bluez
    Name("hash", "cmac(aes)"): PRIVILEGED,  # iwd, bluez
    Name("hash", "hmac(md5)"): PRIVILEGED,  # iwd
    Name("hash", "hmac(sha1)"): PRIVILEGED,  # iwd
    Name("hash", "hmac(sha224)"): PRIVILEGED,  # iwd
    Name("hash", "hmac(sha256)"): PRIVILEGED,  # iwd
    Name("hash", "hmac(sha384)"): PRIVILEGED,  # iwd
    Name("hash", "hmac(sha512)"): PRIVILEGED,  # iwd, sha512hmac
    Name("hash", "md4"): PRIVILEGED,  # iwd
    Name("hash", "md5"): PRIVILEGED,  # iwd
    Name("hash", "sha1"): EVERYBODY,  # iwd, iproute2 before 7.0
    Name("hash", "sha224"): PRIVILEGED,  # iwd
    Name("hash", "sha256"): PRIVILEGED,  # iwd
    Name("hash", "sha384"): PRIVILEGED,  # iwd
    Name("hash", "sha512"): PRIVILEGED,  # iwd
    Name("skcipher", "adiantum(xchacha12,aes)"): EVERYBODY,  # cryptsetup
    Name("skcipher", "adiantum(xchacha20,aes)"): EVERYBODY,  # cryptsetup
    Name("skcipher", "cbc(aes)"): PRIVILEGED,  # iwd
    Name("skcipher", "cbc(des)"): PRIVILEGED,  # iwd
    Name("skcipher", "cbc(des3_ede)"): PRIVILEGED,  # iwd
    Name("skcipher", "ctr(aes)"): PRIVILEGED,  # iwd
    Name("skcipher", "ecb(aes)"): PRIVILEGED,  # iwd, bluez
    Name("skcipher", "ecb(des)"): PRIVILEGED,  # iwd
    Name("skcipher", "hctr2(aes)"): EVERYBODY,  # cryptsetup
    Name("skcipher", "xts(aes)"): EVERYBODY,  # cryptsetup benchmark
}
#: Variants, oldest first: name, commit, what it changed. The first four were in no release
#: but 7.3, which has the fourth; "7.3" cannot be told from "paes" without the hardware that
#: offers cbc(paes) (keys which the hardware holds: caam and others).
_STEPS: Sequence[tuple[str, str, Mapping[Name, Access]]] = (
    ("initial", "2f204fe718f5", _INITIAL),
    (
        "cryptsetup",
        "9ad6f337888e",
        {
            Name("skcipher", f"xts({cipher})"): EVERYBODY
            for cipher in ("camellia", "serpent", "twofish")
        },
    ),
    ("paes", "285d8204638c", {Name("skcipher", "cbc(paes)"): EVERYBODY}),
    ("7.3", "d9506e82ced5", {Name("skcipher", "cbc(paes)"): PRIVILEGED}),
    # Not in 7.3.4.
    ("sha512hmac", "80fb9a858071", {Name("hash", "hmac(sha512)"): EVERYBODY}),
)


def _variants() -> Iterator[Variant]:
    names: dict[Name, Access] = {}
    for name, commit, changed in _STEPS:
        names = {**names, **changed}
        yield Variant(name, commit, changed, {one: who for one, who in names.items() if any(who)})


VARIANTS = tuple(_variants())
#: Every name that any of them lists.
ALL_LISTED = tuple(dict.fromkeys(name for variant in VARIANTS for name in variant.names))


@dataclass(frozen=True)
class Match:
    """The variant that a kernel has, or comes nearest to."""

    variant: Variant
    #: Others that answer alike here, because the kernel does not offer what they differ in.
    alike: tuple[Variant, ...]
    #: What the kernel does otherwise than the variant: name -> who can bind it; {}: nothing.
    differing: Mapping[Name, Access]


def match(seen: Mapping[Name, Access], variants: Sequence[Variant] = VARIANTS) -> Match:
    """The variant that ``seen`` shows, the latest of those that cannot be told apart.

    ``seen`` has each name that the kernel offers without a policy, whether or not it is on
    any list, and who could bind it at af_alg_restrict=1.
    """
    differing = {
        variant.name: {name: who for name, who in seen.items() if who != variant.access(name)}
        for variant in variants
    }
    fewest = min(map(len, differing.values()))
    nearest = [variant for variant in variants if len(differing[variant.name]) == fewest]
    best = nearest[-1]
    return Match(best, tuple(nearest[:-1]), differing[best.name])


def steps(before: str, after: str) -> tuple[Variant, ...]:
    """The variants after ``before`` up to ``after``; () unless it is a known way forward.

    Both are words of facts: names of variants, or ``NO_LIST``, from which the first is a step.
    """
    known = [NO_LIST, *(variant.name for variant in VARIANTS)]
    if before not in known or after not in known:
        return ()
    return VARIANTS[known.index(before) : known.index(after)]


def describe_change(changed: Mapping[Name, Access]) -> str:
    """``hash 'hmac(sha512)' for everybody, aead 'gcm(aes)' refused``."""
    return ", ".join(
        f"{name} {who if any(who) else 'refused'}" for name, who in sorted(changed.items())
    )
