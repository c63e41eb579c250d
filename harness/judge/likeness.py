"""Whether two kernels were observed alike, so that what differs is theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.model import KernelResult, Revisions, RunResult


@dataclass(frozen=True)
class Circumstances:
    """In what a kernel was observed; a set is empty where that is not known."""

    accels: frozenset[str]
    cpus: frozenset[str]
    image: str
    suite: str
    own_suites: tuple[str, ...]


def circumstances(kernel: KernelResult, run: RunResult) -> Circumstances:
    """Those of ``kernel``, one of ``run``."""
    revisions = run.revisions or Revisions()
    seen = [boot for boot in kernel.boots if boot.identity is not None]
    identities = [boot.identity for boot in seen] or [kernel.identity]
    accels = [boot.accel for boot in seen] or [run.host.accel]
    return Circumstances(
        accels=_known(accels),
        cpus=_known(identity.cpu for identity in identities if identity is not None),
        image=revisions.image,
        suite=revisions.suite,
        own_suites=revisions.own_suites,
    )


def _known(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word for word in words if word)


def unlikeness(before: Circumstances, after: Circumstances) -> tuple[str, ...]:
    """What differs, a phrase each: ``accelerator tcg and kvm``; () if nothing that is known."""
    return tuple(_differences(before, after))


def _differences(before: Circumstances, after: Circumstances) -> Iterator[str]:
    for name, was, now in (
        ("accelerator", before.accels, after.accels),
        ("CPU model", before.cpus, after.cpus),
    ):
        if was and now and was != now:
            yield f"{name} {_listed(was)} and {_listed(now)}"
    for name, old, new in (
        ("guest image", before.image, after.image),
        ("suite revision", before.suite, after.suite),
    ):
        if old and new and old != new:
            yield f"{name} {old[:12]} and {new[:12]}"
    own = dict(one.split("=", 1) for one in before.own_suites)
    for one in after.own_suites:
        name, revision = one.split("=", 1)
        if own.get(name, revision) != revision:
            yield f"suite {name} {own[name][:12]} and {revision[:12]}"


def _listed(words: frozenset[str]) -> str:
    return " + ".join(sorted(words))
