"""Lists the kernels of the archive and of the cache."""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
from dataclasses import asdict

from debian.debian_support import Version
from rich.console import Console

from harness.commands.display import progress_display
from harness.commands.sources import kernel_sources
from harness.errors import ExitCode, InputError
from harness.kernels.archive.debian import ArchiveKernel, flavour_of
from harness.kernels.archive.suites import FLAVOURS
from harness.kernels.cache.contents import Entry, kernels_by_release
from harness.kernels.cache.kernel_store import KernelStore
from harness.kernels.resolve import available, indexed
from harness.kernels.sources import KernelSources
from harness.model import CodeFinding, CodeWord
from harness.report.tables import Column, print_table
from harness.static.witness import ask

_COLUMNS = (
    Column("KERNEL", style="cyan", wrap=False),
    Column("VERSION", wrap=False, dropped_below=72),
    Column("CACHED", wrap=False),
    Column("SUITES"),
)

_FINDINGS = (
    Column("KERNEL", style="cyan", wrap=False),
    Column("INPUT BY REFERENCE"),
    Column("OUTPUT BY REFERENCE"),
    Column("SILENT"),
)


def execute(arguments: argparse.Namespace) -> int:
    """List; raises InputError if nothing matches."""
    first, last = arguments.first, arguments.last
    if first is not None and last is not None and first[: len(last)] > last:
        raise InputError(f"kernels list: --from {_in_words(first)} is after --to {_in_words(last)}")
    sources = kernel_sources(arguments)
    arguments.cached |= arguments.static
    cached = kernels_by_release(sources.cache)
    with progress_display(Console(stderr=True), arguments.quiet) as progress:
        if arguments.cached:
            kernels = _with_unlisted(indexed(sources), cached)
        else:
            kernels = available(sources, progress)
    kernels = tuple(
        kernel
        for kernel in kernels
        if _matches(kernel, arguments)
        and not (arguments.cached and _cached(kernel, cached) != "yes")
    )
    findings = {kernel: _ask(kernel, sources) for kernel in kernels if arguments.static}
    if arguments.json:
        rows = [
            {
                "spec": f"debian:{kernel.release}",
                **asdict(kernel),
                "cached": _cached(kernel, cached) == "yes",
                **({"code": [asdict(each) for each in findings[kernel]]} if findings else {}),
            }
            for kernel in kernels
        ]
        print(json.dumps(rows, indent=2))
    if not kernels:
        where = "the cache" if arguments.cached else "Debian's archive"
        raise InputError(f"kernels list: no kernel of {where} matches; ask for less")
    if findings and not arguments.json:
        _print_findings(findings)
    elif not arguments.json:
        _print(kernels, cached, arguments.verbose)
    sys.stdout.flush()
    return ExitCode.OK


def _in_words(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _with_unlisted(
    listed: tuple[ArchiveKernel, ...], cached: dict[str, Entry]
) -> tuple[ArchiveKernel, ...]:
    """The kernels ``listed``, and those in the cache that the archive no longer has."""
    known = {(kernel.release, kernel.version) for kernel in listed}
    gone = [
        ArchiveKernel(entry.release, entry.version, flavour_of(entry.release), ())
        for entry in cached.values()
        if (entry.release, entry.version) not in known
    ]
    return tuple(sorted((*listed, *gone), key=lambda kernel: Version(kernel.version), reverse=True))


def _matches(kernel: ArchiveKernel, arguments: argparse.Namespace) -> bool:
    number = re.match(r"[0-9.]*[0-9]", kernel.version)
    version = tuple(map(int, number.group().split("."))) if number else ()
    first, last = arguments.first, arguments.last
    return (
        fnmatch.fnmatchcase(kernel.release, arguments.glob.removeprefix("debian:"))
        and (arguments.suite is None or arguments.suite in kernel.suites)
        and (arguments.flavour is None or kernel.flavour == FLAVOURS[arguments.flavour])
        and (first is None or version >= first)
        and (last is None or version[: len(last)] <= last)
    )


def _cached(kernel: ArchiveKernel, cached: dict[str, Entry]) -> str:
    entry = cached.get(kernel.release)
    if entry is None:
        return ""
    return "yes" if entry.version == kernel.version else "other version"


def _ask(kernel: ArchiveKernel, sources: KernelSources) -> tuple[CodeFinding, ...]:
    """What the code of a cached kernel says; nothing if it has just been deleted."""
    spec = f"debian:{kernel.release}"
    bootable = KernelStore(sources.cache).recall(kernel.release, spec, kernel.version)
    return ask(bootable.modules_tree, bootable.image) if bootable is not None else ()


def _print_findings(findings: dict[ArchiveKernel, tuple[CodeFinding, ...]]) -> None:
    rows = []
    for kernel, found in findings.items():
        can = [finding.way for finding in found if finding.word is CodeWord.CAN]
        silent = [finding.way for finding in found if finding.word is CodeWord.SILENT]
        by_reference = [_kinds(direction, can) for direction in ("input", "output")]
        rows.append([f"debian:{kernel.release}", *by_reference, " ".join(silent)])
    print_table(_FINDINGS, rows, Console())


def _kinds(direction: str, ways: list[str]) -> str:
    """The interfaces that have one of ``ways`` in this direction."""
    return " ".join(way.split(".")[0] for way in ways if way.endswith(f".{direction}"))


def _print(kernels: tuple[ArchiveKernel, ...], cached: dict[str, Entry], verbose: bool) -> None:
    columns, rows = list(_COLUMNS), []
    for kernel in kernels:
        suites = " ".join(kernel.suites) or "no longer listed"
        row = [f"debian:{kernel.release}", kernel.version, _cached(kernel, cached), suites]
        rows.append([*row, kernel.flavour] if verbose else row)
    if verbose:
        columns.append(Column("FLAVOUR", wrap=False))
    print_table(columns, rows, Console())
