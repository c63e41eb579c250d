"""Options that several subcommands share."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from harness.errors import InputError
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.progress import LineProgress, LiveProgress, Progress, SilentProgress


def add_source_options(parser: argparse.ArgumentParser, *, builds: bool = True) -> None:
    """``--cache``, ``--mirror``, ``--refresh`` and, for what ``builds``, ``--kconfig``."""
    group = parser.add_argument_group("where kernels come from")
    add_cache_option(group)
    group.add_argument(
        "--mirror",
        metavar="URL",
        help="Debian mirror (default: $AFALG_MIRROR, else the one this machine's apt uses)",
    )
    group.add_argument(
        "--refresh", action="store_true", help="fetch the package index again, however recent"
    )
    parser.set_defaults(kconfig=[])
    if not builds:
        return
    default = ", ".join(KernelSources.kconfigs)
    group.add_argument(
        "--kconfig",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="configure git:TREE@REV with this fragment of kconfigs/, or with FILE, instead of"
        f" {default} (repeatable, stacked in order)",
    )


def add_cache_option(container: argparse._ActionsContainer) -> None:
    """``--cache``, for what needs no other source alone."""
    container.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="cache directory (default: $AFALG_CACHE, else the XDG cache directory)",
    )


def cache_directory(arguments: argparse.Namespace) -> Path:
    """The cache that ``--cache`` or the environment names, absolute (not created)."""
    named = arguments.cache or os.environ.get("AFALG_CACHE")
    return (Path(named) if named else default_cache_dir()).resolve()


def kernel_sources(arguments: argparse.Namespace) -> KernelSources:
    """The sources that the arguments and the environment name."""
    cache = cache_directory(arguments)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cache directory {cache}: {error.strerror}; name another with --cache"
        ) from error
    mirror = arguments.mirror or os.environ.get("AFALG_MIRROR") or None
    kconfigs = tuple(arguments.kconfig) or KernelSources.kconfigs
    return KernelSources(cache, mirror, arguments.refresh, kconfigs)


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
