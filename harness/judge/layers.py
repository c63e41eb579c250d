"""Which layer of a kernel keeps AF_ALG, or a part of it, from being used.

The config that it was built with, its own policy (``af_alg_restrict``) as booted, or the
arguments that it was booted with. What an installed system adds (modprobe.d, sysctl.d, its
boot loader) is not in a guest, so nothing is told of it. What is told was observed: a config
alone blocks nothing that a test could use all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.judge.findings import first_line, listed
from harness.judge.known_changes import is_set, options_of
from harness.model import Cause, Fact, KernelResult, Reason, State

_NAMED = 8  # names that a line lists


class Layer(StrEnum):
    """What can block AF_ALG, from the inside to the outside."""

    CONFIG = "kernel config"
    POLICY = "policy"
    BOOT = "boot argument"


@dataclass(frozen=True)
class Barrier:
    """Something that is blocked, and by what."""

    layer: Layer
    by: str  # "crypto.af_alg_restrict=1"
    what: str


_INTERFACES = ("hash", "skcipher", "aead", "rng")
_API = "CONFIG_CRYPTO_USER_API"
#: Arguments that can block AF_ALG, and what they do to it.
_ARGUMENTS = (
    (
        re.compile(
            r"(?:module_blacklist|(?:modprobe\.)?blacklist|initcall_blacklist)=\S*(?:af_?alg|algif)\S*"
        ),
        "keeps code of AF_ALG from being loaded",
    ),
    (re.compile(r"sysctl\.crypto\.af_alg_restrict=\S+"), "sets the policy"),
    (re.compile(r"fips=[1-9]\d*"), "refuses algorithms that FIPS 140 does not approve"),
    (re.compile(r"lockdown=\S+|module\.sig_enforce\S*"), "refuses modules that are not signed"),
)


def barriers(kernel: KernelResult) -> tuple[Barrier, ...]:
    """What is blocked in ``kernel`` and by which layer; () if nothing is, or nothing is known."""
    return (*_config(kernel), *_policy(kernel), *_arguments(kernel))


def _config(kernel: KernelResult) -> Iterator[Barrier]:
    if kernel.config:
        if not is_set(kernel.config, _API):
            yield Barrier(Layer.CONFIG, f"{_API} is not set", "all of AF_ALG")
            return
        for interface in _INTERFACES:
            option = f"{_API}_{interface.upper()}"
            if not is_set(kernel.config, option):
                yield Barrier(Layer.CONFIG, f"{option} is not set", f"the interface {interface}")
    unset: dict[str, None] = {}
    gone: dict[str, None] = {}
    for reason in _reasons(kernel):
        # With the policy opened; else it might be the policy's refusal.
        if reason.cause is Cause.NOT_BOUND and reason.errno == "ENOENT" and not reason.restrict:
            found = unset if any(_is_off(kernel, one) for one in options_of(reason)[1:]) else gone
            found[reason.name] = None
    if unset:
        yield Barrier(Layer.CONFIG, "their options are not set", listed(sorted(unset), _NAMED))
    if gone:
        by = "not in this kernel, by no option of their name"
        yield Barrier(Layer.CONFIG, by, listed(sorted(gone), _NAMED))


def _is_off(kernel: KernelResult, option: str) -> bool:
    """Whether the source has an option, and the config does without it."""
    return "n" in (kernel.config.get(option), kernel.config.get(f"{option}_GENERIC"))


def _reasons(kernel: KernelResult) -> Iterator[Reason]:
    """Why tests were skipped, and facts could not be had."""
    yield from (test.reason for test in kernel.tests if test.reason is not None)
    yield from (fact.reason for fact in kernel.facts.named().values() if fact.reason is not None)


def _policy(kernel: KernelResult) -> Iterator[Barrier]:
    level = kernel.facts.af_alg_restrict
    if not level:
        return
    by = f"crypto.af_alg_restrict={level} as booted"
    facts = kernel.facts.named()
    told = False
    listing, unprivileged = facts.get("policy.allowlist"), facts.get("policy.unprivileged_bind")
    if listing is not None and listing.state is State.PRESENT:
        told = True
        yield Barrier(Layer.POLICY, by, f"names not on the list, which is that of {listing.value}")
    if unprivileged is not None and unprivileged.state is State.ABSENT:
        told = True
        said = first_line(unprivileged.evidence).removeprefix(f"af_alg_restrict={level}: ")
        yield Barrier(Layer.POLICY, by, f"the unprivileged: {said}")
    programs = sorted(
        name.removeprefix("consumers.") for name, fact in facts.items() if _is_restricted(fact)
    )
    if programs:
        told = True
        what = f"programs that work at 0: {listed(programs, _NAMED)}"
        yield Barrier(Layer.POLICY, by, what)
    if not told:
        yield Barrier(Layer.POLICY, by, "what it refuses was not tried")


def _is_restricted(fact: Fact) -> bool:
    return fact.reason is not None and fact.reason.cause is Cause.PROGRAM_RESTRICTED


def _arguments(kernel: KernelResult) -> Iterator[Barrier]:
    given = kernel.identity.cmdline.split() if kernel.identity is not None else []
    given += [word for item in kernel.append for word in item.split()]
    for word in dict.fromkeys(given):
        for pattern, effect in _ARGUMENTS:
            if pattern.fullmatch(word) and word not in kernel.ignored_arguments:
                yield Barrier(Layer.BOOT, word, effect)
