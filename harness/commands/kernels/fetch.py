"""download and prepare kernels, booting none

examples:
  afalg-harness kernels fetch debian:6.12.95+deb13-amd64 debian:trixie-backports/cloud
  afalg-harness kernels fetch -q debian:sid
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from harness.commands.options import add_source_options, kernel_sources, progress_display
from harness.errors import ExitCode, HarnessError
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.model import BootableKernel

VERBOSE = "name the packages, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels fetch``."""
    parser.add_argument("specs", nargs="+", metavar="SPEC", help="a kernel, as run takes it")
    add_source_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Fetch; the rest is fetched even if one cannot be."""
    return obtain(
        arguments.specs, kernel_sources(arguments), arguments.quiet, verbose=arguments.verbose
    )


def obtain(specs: Sequence[str], sources: KernelSources, quiet: bool, *, verbose: bool) -> int:
    """Resolve each spec and print a line for it; returns the exit code of the worst failure."""
    code = ExitCode.OK
    ready: list[BootableKernel] = []
    with progress_display(Console(stderr=True), quiet) as progress:
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
        for package in kernel.packages if verbose else ():
            print(f"  {package.name} {package.version} ({package.trust}) {package.sha256}")
    return code
