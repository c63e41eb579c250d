"""Lists what the cache holds."""

from __future__ import annotations

import argparse
import datetime
import json
import time

from rich.console import Console

from harness.commands.sources import cache_directory
from harness.errors import ExitCode
from harness.guest.image import image_contents, image_key
from harness.kernels.cache.contents import Entry, Kind, entries
from harness.report.tables import Column, age_in_words, bytes_in_words, print_table

_KEY_SHOWN = 8

_COLUMNS = (
    Column("KIND", wrap=False),
    Column("KEY", wrap=False),
    Column("SIZE", right=True, wrap=False),
    Column("USED", right=True, wrap=False),
    Column("WHAT"),
)


def execute(arguments: argparse.Namespace) -> int:
    """List."""
    cache = cache_directory(arguments)
    found = entries(cache)
    if arguments.json:
        print(json.dumps([_as_json(entry) for entry in found], indent=2))
        return ExitCode.OK
    console, now = Console(), time.time()
    if found:
        columns = [*_COLUMNS, Column("WHERE")] if arguments.verbose else _COLUMNS
        print_table(columns, [_row(entry, now, arguments.verbose) for entry in found], console)
    total = bytes_in_words(sum(entry.size for entry in found))
    kernels = sum(entry.kind is Kind.KERNEL for entry in found)
    line = f"{cache}: {total} in all, kernels: {kernels}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)
    return ExitCode.OK


def _row(entry: Entry, now: float, verbose: bool) -> list[str]:
    nameless = entry.kind in (Kind.PACKAGE, Kind.UNFINISHED)
    key = "" if nameless else entry.name if verbose else entry.name[:_KEY_SHOWN]
    used = "in use" if entry.in_use else age_in_words(now - entry.used)
    what = entry.name if nameless else entry.release
    if entry.origin == f"debian:{entry.release}":
        what = entry.origin
    elif entry.kind is Kind.IMAGE:
        contents = image_contents(entry.path / "root.ext4")
        ours = contents is not None and entry.name == image_key(contents.suite)
        what = f"of {contents.suite}, " if contents is not None else ""
        what += "of this version" if ours else "of another version"
    elif entry.kind is Kind.BUILD:
        what = f"of {entry.origin}" if entry.origin else ""
    elif entry.origin:
        what = f"{entry.release} from {entry.origin}"
    row = [entry.kind, key, bytes_in_words(entry.size), used, what]
    return [*row, str(entry.path)] if verbose else row


def _as_json(entry: Entry) -> dict[str, object]:
    used = datetime.datetime.fromtimestamp(entry.used, datetime.UTC)
    return {
        "kind": entry.kind,
        "key": entry.name,
        "release": entry.release,
        "origin": entry.origin,
        "version": entry.version,
        "bytes": entry.size,
        "used": used.isoformat(timespec="seconds"),
        "in_use": entry.in_use,
        "path": str(entry.path),
    }
