"""The kernels that a bisect over the archive goes through, in order of their versions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

from debian.debian_support import Version

from harness.errors import InputError
from harness.kernels.archive.debian import ArchiveKernel
from harness.kernels.archive.suites import SUITES

_RELEASE = re.compile(r"debian:([0-9].*)")
_FLAVOUR = re.compile(r"-((?:cloud-|rt-)?amd64)$")


@dataclass(frozen=True)
class Candidate:
    """One kernel to choose from; ``version`` is its package's, "" outside the archive."""

    spec: str
    version: str = ""


@dataclass(frozen=True)
class Candidates:
    """All of them, oldest first; the first and the last are the ends."""

    kernels: tuple[Candidate, ...]
    #: Whether the end that was named first (good, old) is the older kernel.
    forward: bool


def is_listed(among: Sequence[str]) -> bool:
    """Whether ``among`` names every kernel itself: an order that needs no archive."""
    return bool(among) and not any(_is_pattern(item) for item in among)


def _is_pattern(item: str) -> bool:
    name = item.removeprefix("debian:")
    return item.startswith("debian:") and (
        "*" in name or "?" in name or ".." in name or name.partition("/")[0] in SUITES
    )


def split_among(items: Sequence[str]) -> tuple[str, ...]:
    """``--among`` may be repeated, and hold several specs with commas."""
    specs: list[str] = []
    for item in items:
        # The packages of one kernel are joined by commas as well.
        packages = any(part.endswith((".deb", ".rpm", ".zst")) for part in item.split(","))
        specs += [item] if packages else [part for part in item.split(",") if part]
    return tuple(specs)


def listed(specs: Sequence[str], first: str, second: str) -> Candidates:
    """The kernels ``specs`` in the order in which they are given, with both ends.

    Raises InputError if both ends are one kernel.
    """
    if first == second:
        raise InputError(f"{first}: both ends are the same kernel")
    order = list(dict.fromkeys(specs))
    if first not in order and second not in order:
        order = [first, *order, second]
    elif first not in order:
        order = [first, *order] if order[-1] == second else [*order, first]
    elif second not in order:
        order = [*order, second] if order[0] == first else [second, *order]
    begin, end = sorted((order.index(first), order.index(second)))
    kernels = tuple(Candidate(spec) for spec in order[begin : end + 1])
    return Candidates(kernels, order.index(first) < order.index(second))


def from_archive(
    kernels: Sequence[ArchiveKernel], among: Sequence[str], first: str, second: str
) -> Candidates:
    """The archive's kernels between two ends, of their flavour, that match ``among``.

    ``among`` holds globs (debian:6.12.*), ranges (debian:6.12.43..6.12.117) and suites
    (debian:trixie); empty stands for all. Raises InputError for ends that are not releases
    of the archive, or of two flavours, and for a pattern that no kernel matches.
    """
    newest: dict[str, ArchiveKernel] = {}
    for kernel in kernels:  # newest first: a release may come in several package versions
        newest.setdefault(kernel.release, kernel)
    ends = [_end(spec, newest) for spec in (first, second)]
    if ends[0].flavour != ends[1].flavour:
        raise InputError(
            f"{first} and {second} are of two flavours ({ends[0].flavour}, {ends[1].flavour})"
        )
    if ends[0].release == ends[1].release:
        raise InputError(f"{first}: both ends are the same kernel")
    older, newer = sorted(ends, key=lambda kernel: Version(kernel.version))
    between = [
        kernel
        for kernel in newest.values()
        if kernel.flavour == older.flavour
        and Version(older.version) < Version(kernel.version) < Version(newer.version)
    ]
    for item in among:
        if not any(_wanted(kernel, [item]) for kernel in (*between, *ends)):
            raise InputError(f"--among {item}: no kernel from {first} to {second} matches")
    chosen = [kernel for kernel in between if _wanted(kernel, among)]
    order = sorted(chosen, key=lambda kernel: Version(kernel.version))
    return Candidates(
        tuple(
            Candidate(f"debian:{kernel.release}", kernel.version)
            for kernel in (older, *order, newer)
        ),
        forward=older is ends[0],
    )


def _end(spec: str, known: dict[str, ArchiveKernel]) -> ArchiveKernel:
    match = _RELEASE.fullmatch(spec)
    if match is None:
        raise InputError(f"{spec}: an end of a bisect over the archive is a debian:RELEASE")
    if match[1] not in known:
        raise InputError(f"{spec}: the archive does not list it")
    return known[match[1]]


def _wanted(kernel: ArchiveKernel, among: Sequence[str]) -> bool:
    if not among:
        return True
    return any(_matches(kernel, item.removeprefix("debian:")) for item in among)


def _matches(kernel: ArchiveKernel, name: str) -> bool:
    if ".." in name:
        begin, _, end = name.partition("..")
        upstream = re.split(r"[+-]", kernel.release)[0]
        return Version(_bare(begin)) <= Version(upstream) <= Version(_bare(end))
    if name.partition("/")[0] in SUITES:
        return name.partition("/")[0] in kernel.suites
    # A glob may leave the flavour out: it is that of the ends anyway.
    return fnmatch.fnmatchcase(kernel.release, name) or fnmatch.fnmatchcase(
        _FLAVOUR.sub("", kernel.release), name
    )


def _bare(release: str) -> str:
    return re.split(r"[+-]", release)[0]


def check_patterns(among: Sequence[str]) -> None:
    """Raise InputError for what is neither a pattern of the archive's kernels nor a range."""
    for item in among:
        if not _is_pattern(item) and not _RELEASE.fullmatch(item):
            raise InputError(
                f"--among {item}: kernels are named one by one, or by debian:GLOB,"
                " debian:VERSION..VERSION and debian:SUITE, not both"
            )
