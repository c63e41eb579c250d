"""Kernel changes on purpose, each with the signature by which it is recognised.

A difference is charged to one of them only if its signature was observed on the two
kernels: in facts, in the reason a test gave for its skip (as data, not in its words for
people), or in the kernels' own configs. A version number is no signature: distributions
backport and revert.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from harness.guest.inside.allowlists import NO_LIST, VARIANTS, Name, Variant, describe_change, steps
from harness.judge.states import told_state
from harness.model import Cause, Control, Fact, KernelResult, Outcome, Reason, State, TestResult


@dataclass(frozen=True)
class Difference:
    """One difference, with the observations of both sides at hand."""

    id: str  # test id, full name of a fact, or "af_alg_restrict"
    baseline: KernelResult
    candidate: KernelResult

    def candidate_test(self) -> TestResult | None:
        """The candidate's test of that id."""
        return next((test for test in self.candidate.tests if test.id == self.id), None)

    def reason(self) -> Reason | None:
        """Why the candidate could not do it: of a test's skip, or of a fact."""
        test = self.candidate_test()
        if test is not None:
            return test.reason if test.outcome is Outcome.SKIPPED else None
        fact = self.candidate_fact()
        told = fact is not None and fact.state in {State.UNREACHABLE, State.FAILS}
        return fact.reason if fact is not None and told else None

    def lost_algorithm(self) -> Reason | None:
        """The reason, if it is an algorithm that the candidate does not know (ENOENT)."""
        reason = self.reason()
        lost = reason and reason.cause is Cause.NOT_BOUND and reason.errno == "ENOENT"
        return reason if lost else None

    def candidate_fact(self) -> Fact | None:
        """The candidate's fact of that name."""
        return self.candidate.facts.named().get(self.id)


@dataclass(frozen=True)
class KnownChange:
    """A change of the kernel, made on purpose.

    ``explains`` gets a difference and returns in one sentence what was observed that
    shows this change at work, or "" if it does not account for the difference.
    """

    name: str
    commit: str  # mainline, "" if it is a choice of the config
    explains: Callable[[Difference], str]

    @property
    def title(self) -> str:
        """Its name, and the commit that made it."""
        return f"{self.name} ({self.commit})" if self.commit else self.name

    def explanation(self, observed: str) -> str:
        """The sentence for people."""
        return f"{self.title}: {observed}"


#: Fact: can an unprivileged process bind, as booted, whatever root can?
_UNPRIVILEGED_BIND = "policy.unprivileged_bind"
#: Fact: which list the kernel has; its value is the name of a variant.
_LIST_FOUND = "policy.allowlist"

#: Options that provide a part of an algorithm's name and are not called after it.
_IRREGULAR: Mapping[str, str] = {
    "authencesn": "CONFIG_CRYPTO_AUTHENC",
    "cbcmac": "CONFIG_CRYPTO_CCM",
    "crc64": "CONFIG_CRYPTO_CRC64_ROCKSOFT",
    "des3_ede": "CONFIG_CRYPTO_DES",
    "drbg_nopr_hmac_sha256": "CONFIG_CRYPTO_DRBG",
    "jitterentropy_rng": "CONFIG_CRYPTO_JITTERENTROPY",
    "kw": "CONFIG_CRYPTO_KEYWRAP",
    "rfc3686": "CONFIG_CRYPTO_CTR",
    "rfc4106": "CONFIG_CRYPTO_GCM",
    "rfc4309": "CONFIG_CRYPTO_CCM",
    "rfc4543": "CONFIG_CRYPTO_GCM",
    "rfc7539": "CONFIG_CRYPTO_CHACHA20POLY1305",
    "rfc7539esp": "CONFIG_CRYPTO_CHACHA20POLY1305",
    "sha224": "CONFIG_CRYPTO_SHA256",
    "sha384": "CONFIG_CRYPTO_SHA512",
    "stdrng": "CONFIG_CRYPTO_DRBG",
    "streebog256": "CONFIG_CRYPTO_STREEBOG",
    "streebog512": "CONFIG_CRYPTO_STREEBOG",
    "vmac64": "CONFIG_CRYPTO_VMAC",
    "wp256": "CONFIG_CRYPTO_WP512",
    "wp384": "CONFIG_CRYPTO_WP512",
    "xchacha12": "CONFIG_CRYPTO_CHACHA20",
    "xchacha20": "CONFIG_CRYPTO_CHACHA20",
    "xeta": "CONFIG_CRYPTO_TEA",
    "xtea": "CONFIG_CRYPTO_TEA",
    "xxhash64": "CONFIG_CRYPTO_XXHASH",
}
#: Options of ciphers and hashes that the kernel marks as obsolete or has since removed.
_OBSOLETE = frozenset(
    f"CONFIG_CRYPTO_{name}"
    for name in (
        "ANSI_CPRNG",
        "ANUBIS",
        "ARC4",
        "CFB",
        "CRC64_ROCKSOFT",
        "CRCT10DIF",
        "FCRYPT",
        "GHASH",
        "KHAZAD",
        "MD4",
        "MICHAEL_MIC",
        "NHPOLY1305",
        "OFB",
        "PCBC",
        "POLY1305",
        "RMD160",
        "SALSA20",
        "SEED",
        "TEA",
        "VMAC",
        "WP512",
    )
)


def lost_option(difference: Difference) -> str:
    """The option behind an algorithm that cannot be bound any more, or "".

    It is set in the baseline's config, and either unset or gone in the candidate's. Both
    configs must be known.
    """
    before, after = difference.baseline.config, difference.candidate.config
    if not before or not after:
        return ""
    return next(
        (
            option
            for option in _options_behind(difference)
            if is_set(before, option) and not is_set(after, option)
        ),
        "",
    )


def _options_behind(difference: Difference) -> list[str]:
    reason = difference.reason()
    lost = difference.lost_algorithm()
    if reason is None or (reason.cause is Cause.NOT_BOUND and lost is None):
        return []
    return options_of(reason)


def options_of(reason: Reason) -> list[str]:
    """The options without any of which what failed for ``reason`` cannot be; may be none.

    "hmac(sha3-256)" is made of hmac, sha3 and 256; what is no option was never set.
    """
    match reason.cause:
        case Cause.NO_SOCKET:
            return ["CONFIG_CRYPTO_USER_API"]
        case Cause.NO_OPTION:
            return [reason.name]
        case Cause.NOT_BOUND:
            parts = re.findall(r"\w+", reason.name)
            named = [_IRREGULAR.get(part, f"CONFIG_CRYPTO_{part.upper()}") for part in parts]
            return [f"CONFIG_CRYPTO_USER_API_{reason.type.upper()}", *named]
        case _:
            return []


def is_set(config: Mapping[str, str], option: str) -> bool:
    """Whether an option is built in or a module; some lost a suffix when their code moved."""
    names = (option, f"{option}_GENERIC")
    return any(config.get(name, "n") in {"y", "m"} for name in names)


def describe_option(option: str, config: Mapping[str, str]) -> str:
    """What became of ``option``: "… is not set" or "… is gone from the config"."""
    return f"{option} is {'not set' if option in config else 'gone'} in the candidate's config"


def _allowlist(difference: Difference) -> str:
    before, after = (
        kernel.facts.af_alg_restrict for kernel in (difference.baseline, difference.candidate)
    )
    if before is not None or after is None:
        return ""
    if difference.id == "af_alg_restrict":
        return f"the sysctl exists on the candidate only, level {after} as booted"
    if difference.id == _LIST_FOUND:
        found = difference.candidate_fact()
        known = found is not None and bool(steps(NO_LIST, found.value))
        return f"the list is {found.value!r}" if found is not None and known else ""
    if difference.id == _UNPRIVILEGED_BIND:
        return _unprivileged_restricted(difference.candidate_fact())
    reason = difference.reason()
    if reason is not None and reason.cause is Cause.PROGRAM_RESTRICTED:
        return f"fails at af_alg_restrict={reason.restrict}, works at 0"
    # With the policy opened an ENOENT has another reason, so the level must be told.
    lost = difference.lost_algorithm()
    if lost is not None and lost.restrict:
        return f"not on the list at af_alg_restrict={lost.restrict}"
    return ""


def _unprivileged_restricted(fact: Fact | None) -> str:
    if fact is None or told_state(_UNPRIVILEGED_BIND, fact) is not State.ABSENT:
        return ""
    reason = fact.reason
    if reason is None or reason.cause is not Cause.UNPRIVILEGED_RESTRICTED:
        return ""
    return f"observed at af_alg_restrict={reason.restrict}"


def _list_changed(variant: Variant, difference: Difference) -> str:
    """Signature: both kernels have a known list, and the candidate's came later.

    ``variant`` is the step that accounts for the difference: the latest one, of the fact, or
    that which took an algorithm away.
    """
    before, after = (
        kernel.facts.named().get(_LIST_FOUND)
        for kernel in (difference.baseline, difference.candidate)
    )
    if before is None or after is None or before.value == NO_LIST:
        return ""
    taken = steps(before.value, after.value)
    if variant not in taken:
        return ""
    if difference.id == _LIST_FOUND:
        changed = {name: who for step in taken for name, who in step.changed.items()}
        return describe_change(changed) if variant == taken[-1] else ""
    lost = difference.lost_algorithm()
    name = Name(lost.type, lost.name) if lost is not None and lost.restrict else None
    return f"{name} was changed" if name in variant.changed else ""


def _without_modules(difference: Difference) -> str:
    before, after = (
        kernel.config.get("CONFIG_MODULES")
        for kernel in (difference.baseline, difference.candidate)
    )
    reason = difference.reason()
    needs_modules = reason is not None and reason.cause is Cause.NO_MODULE
    if before == "y" and after != "y" and needs_modules:
        return "CONFIG_MODULES is not set in the candidate's config"
    return ""


def _drbg_unset(difference: Difference) -> str:
    option = lost_option(difference)
    if option != "CONFIG_CRYPTO_DRBG":
        return ""
    return f"{describe_option(option, difference.candidate.config)}, so 'stdrng' is ENOENT"


def _cbcmac_of_aes_only(difference: Difference) -> str:
    """crypto/aes.c (7.2) has cbcmac(aes) itself; the template over any cipher is gone."""
    aes = "functional/test_hash.py::test_consistent[cbcmac(aes)]"
    passed = {test.id for test in difference.candidate.tests if test.outcome is Outcome.PASSED}
    lost = difference.lost_algorithm()
    template = lost is not None and lost.type == "hash" and lost.name.startswith("cbcmac(")
    if template and aes in passed:
        return "cbcmac(aes) can be bound, cbcmac of another cipher cannot"
    return ""


def _obsolete_dropped(difference: Difference) -> str:
    option = lost_option(difference)
    return describe_option(option, difference.candidate.config) if option in _OBSOLETE else ""


def _aio_removed(difference: Difference) -> str:
    """Signature: a fact named ``aio…`` that was present and is absent, its control fired."""
    before, after = (
        {name: told_state(name, fact) for name, fact in kernel.facts.other.items()}
        for kernel in (difference.baseline, difference.candidate)
    )
    gone = [
        name
        for name, state in before.items()
        if name.startswith("aio") and state == "present" and after.get(name) == "absent"
    ]
    concerned = difference.id in gone or "aio" in difference.id.rpartition("::")[2]
    return f"{gone[0]} was present and is absent" if gone and concerned else ""


def _source_copies(difference: Difference) -> str:
    """Proposals of June 2026 (linux-mm): vmsplice() and splice() copy. Not merged when written.

    The reason is given only where a probe without AF_ALG saw the copy. The baseline must
    have shared: its control fired, or its test could be run.
    """
    reason = difference.reason()
    if reason is None or reason.cause is not Cause.SOURCE_COPIES:
        return ""
    before = difference.baseline.facts.named().get(difference.id)
    shared = before is not None and before.control is Control.FIRED
    shared = shared and told_state(difference.id, before) in {State.PRESENT, State.ABSENT}
    ran = any(
        test.id == difference.id and test.outcome is Outcome.PASSED
        for test in difference.baseline.tests
    )
    return f"{reason.name} hands over copies on the candidate" if shared or ran else ""


KNOWN_CHANGES = (
    KnownChange("pages are copied on their way into a pipe", "", _source_copies),
    KnownChange("allowlist of AF_ALG algorithms", "2f204fe718f5", _allowlist),
    *(
        KnownChange(f"allowlist {variant.name!r}", variant.commit, partial(_list_changed, variant))
        for variant in VARIANTS[1:]
    ),
    KnownChange("socket AIO removed", "fcc77d33a34c", _aio_removed),
    KnownChange("DRBG left out of the config", "", _drbg_unset),
    KnownChange("built without modules", "", _without_modules),
    KnownChange("cbcmac for AES alone", "", _cbcmac_of_aes_only),
    KnownChange("obsolete algorithm dropped", "", _obsolete_dropped),
)


def explain(difference: Difference) -> str:
    """The known change that accounts for a difference, as a sentence; "" if there is none."""
    for change in KNOWN_CHANGES:
        observed = change.explains(difference)
        if observed:
            return change.explanation(observed)
    return ""


def change_behind(explanation: str) -> KnownChange | None:
    """The known change that ``explain`` gave an explanation for; None if it is not one of those."""
    return next(
        (known for known in KNOWN_CHANGES if explanation.startswith(known.explanation(""))), None
    )
