"""Fetches and prepares kernels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from harness.commands.actions.refusals import refuse_bad_kernels
from harness.commands.display import progress_display
from harness.commands.sources import kernel_sources
from harness.errors import ExitCode, HarnessError
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.model import BootableKernel


def execute(arguments: argparse.Namespace) -> int:
    """Fetch; if one of them fails the others are fetched all the same."""
    return obtain(
        arguments.specs, kernel_sources(arguments), arguments.quiet, verbose=arguments.verbose
    )


def obtain(specs: Sequence[str], sources: KernelSources, quiet: bool, *, verbose: bool) -> int:
    """Resolve each spec and print a line for it; returns the exit code of the worst failure.

    Raises InputError, before any is resolved, for one that cannot be.
    """
    code = ExitCode.OK
    ready: list[BootableKernel] = []
    with progress_display(Console(stderr=True), quiet) as progress:
        refuse_bad_kernels(specs, sources, progress)
        for spec in dict.fromkeys(specs):
            try:
                ready.append(resolve(spec, sources, progress))
            except HarnessError as error:
                progress.finish(spec, "failed")
                print(f"afalg-harness: {error}", file=sys.stderr)
                code = max(code, error.exit_code)
            else:
                progress.finish(spec, "ready")
    for kernel in ready:
        print(f"{kernel.spec}  {kernel.release}  {kernel.image}")
        if not verbose:
            continue
        for package in kernel.packages:
            print(f"  {package.name} {package.version} ({package.trust}) {package.sha256}")
        for note in kernel.notes:
            print(f"  {note}")
    return code
