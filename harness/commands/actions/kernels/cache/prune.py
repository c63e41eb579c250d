"""Deletes from the cache."""

from __future__ import annotations

import argparse
import time

from rich.console import Console

from harness.commands.sources import cache_directory
from harness.errors import ExitCode, InfrastructureError, InputError
from harness.kernels.cache.contents import Entry, entries, prune
from harness.report.tables import bytes_in_words


def execute(arguments: argparse.Namespace) -> int:
    """Prune; raises InfrastructureError if something that was named is in use."""
    cache = cache_directory(arguments)
    names = [name.removeprefix("debian:") for name in arguments.names]
    if names and arguments.all:
        raise InputError("kernels cache prune: --all leaves nothing to name")
    if names:
        there = entries(cache)
        for name in names:
            if not any(_is_named(entry, name) for entry in there):
                raise InputError(
                    f"kernels cache prune: the cache has nothing called {name!r};"
                    " afalg-harness kernels cache list shows what there is"
                )
    age = arguments.older_than
    limit = time.time() - age * 86400 if age is not None else None

    def wanted(entry: Entry) -> bool:
        if limit is not None and entry.used > limit:
            return False
        if names:
            return any(_is_named(entry, name) for name in names)
        return limit is not None or bool(arguments.all)

    console = Console()
    freed, kept = 0, []
    for entry, gone in prune(cache, wanted, arguments.dry_run):
        if gone:
            freed += entry.size
            verb = "would delete" if arguments.dry_run else "deleted"
            _line(console, f"{verb} {_describe(entry, arguments.verbose)}", arguments.quiet)
        else:
            kept.append(entry)
            _line(console, f"in use: {_describe(entry, arguments.verbose)}", arguments.quiet)
    verb = "would free" if arguments.dry_run else "freed"
    _line(console, f"{verb} {bytes_in_words(freed)}", False)
    if names and kept:
        used = ", ".join(entry.release or entry.name for entry in kept)
        raise InfrastructureError(f"kernels cache prune: a process still uses {used}")
    return ExitCode.OK


def _is_named(entry: Entry, name: str) -> bool:
    return entry.release == name or (len(name) >= 6 and entry.name.startswith(name))


def _describe(entry: Entry, verbose: bool) -> str:
    name = f"{entry.release} ({entry.name[:8]})" if entry.release else entry.name
    where = f" at {entry.path}" if verbose else ""
    return f"{entry.kind} {name}, {bytes_in_words(entry.size)}{where}"


def _line(console: Console, text: str, silent: bool) -> None:
    if not silent:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
