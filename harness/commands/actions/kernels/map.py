"""Shows the states of zero-copy paths over kernels."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.commands.display import progress_display
from harness.commands.sources import cache_directory
from harness.errors import ExitCode, InfrastructureError, InputError
from harness.files import write_whole
from harness.history.store import Store, store_url
from harness.known_states import in_order, of_cache, of_runs, of_store
from harness.report import results_file
from harness.report.kernel_map import FORMATS, print_map
from harness.report.state_map import KernelStates

_STDOUT = Path("-")


def execute(arguments: argparse.Namespace) -> int:
    """Print or write the map; raises InputError if it would be empty."""
    kernels = _kernels(arguments)
    if not kernels:
        raise InputError(
            "kernels map: no such kernel ran here or is in the cache; run one, or fetch some"
            " (afalg-harness kernels fetch debian:trixie)"
        )
    output = arguments.output or _STDOUT
    if output != _STDOUT:
        _write(kernels, arguments.format, output)
    elif arguments.format == "text":
        print_map(kernels, Console())
    else:
        for piece in FORMATS[arguments.format](kernels):
            sys.stdout.write(piece)
    sys.stdout.flush()
    return ExitCode.OK


def _write(kernels: Sequence[KernelStates], name: str, path: Path) -> None:
    try:
        write_whole(path, FORMATS[name](kernels))
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror}") from error


def _kernels(arguments: argparse.Namespace) -> tuple[KernelStates, ...]:
    globs = [glob.removeprefix("debian:") for glob in arguments.globs] or ["*"]

    def matches(release: str) -> bool:
        return any(fnmatch.fnmatchcase(release, glob) for glob in globs)

    ran = (
        of_runs(results_file.load(run) for run in arguments.run)
        if arguments.run
        else of_store(Store(store_url(arguments.store)))
    )
    found = [kernel for kernel in ran if matches(kernel.release)]
    if not arguments.booted:
        known = {kernel.release for kernel in ran}
        with progress_display(Console(stderr=True), arguments.quiet) as progress:
            found += of_cache(
                cache_directory(arguments),
                lambda release: matches(release) and release not in known,
                progress,
            )
    return in_order(found)
