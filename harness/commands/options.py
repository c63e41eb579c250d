"""Options that several subcommands share."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from harness.errors import InputError
from harness.kernels.resolve import KernelSources
from harness.paths import default_cache_dir
from harness.progress import LineProgress, LiveProgress, Progress, SilentProgress


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """``--cache``, ``--mirror`` and ``--refresh``."""
    group = parser.add_argument_group("where kernels come from")
    group.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="cache directory (default: $AFALG_CACHE, else the XDG cache directory)",
    )
    group.add_argument(
        "--mirror",
        metavar="URL",
        help="Debian mirror (default: $AFALG_MIRROR, else the one this machine's apt uses)",
    )
    group.add_argument(
        "--refresh", action="store_true", help="fetch the package index again, however recent"
    )


def kernel_sources(arguments: argparse.Namespace) -> KernelSources:
    """The sources that the arguments and the environment name."""
    named = arguments.cache or os.environ.get("AFALG_CACHE")
    cache = Path(named) if named else default_cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cache directory {cache}: {error.strerror}; name another with --cache"
        ) from error
    mirror = arguments.mirror or os.environ.get("AFALG_MIRROR") or None
    return KernelSources(cache=cache.resolve(), mirror=mirror, refresh=arguments.refresh)


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """``--accel``, ``--root`` and ``--append``."""
    group = parser.add_argument_group("the guest")
    group.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="KVM, QEMU's TCG emulation, or KVM if a trial boot works (default: auto)",
    )
    group.add_argument(
        "--root",
        default="image",
        metavar="image|host|DIR|IMAGE",
        help="guest's root: the harness's own image (default), the live host, a directory "
        "with python3 and pytest, or an ext4 image with those and kmod",
    )
    group.add_argument(
        "--append",
        action="append",
        default=[],
        metavar="ARG",
        help="add ARG to the kernel command line (repeatable)",
    )


@contextlib.contextmanager
def progress_display(console: Console, quiet: bool) -> Iterator[Progress]:
    """Live display on a terminal, plain lines elsewhere, nothing if ``quiet``."""
    if quiet:
        yield SilentProgress()
    elif console.is_terminal:
        with LiveProgress(console) as live:
            yield live
    else:
        yield LineProgress(console)
