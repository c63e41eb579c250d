"""Options that several subcommands share."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from harness.errors import InputError
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.mirror import given_mirror

_LONGEST = 10.0**6  # seconds, eleven days: no poll() or timer takes much more


def positive_seconds(text: str) -> float:
    """Argparse type: a finite duration above 0, in seconds. What else ends with exit code 2."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST:  # nan is neither
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be a number of seconds above 0, and {_LONGEST:.0f} at most"
        )
    return seconds


def positive_integer(text: str) -> int:
    """Argparse type: a count of 1 or more."""
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return number


def count(text: str) -> int:
    """Argparse type: a count of 0 or more."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 0 or more")
    return int(text)


def _mirror(text: str) -> str:
    """Argparse type: the URL of a mirror."""
    try:
        given_mirror(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_source_options(parser: argparse.ArgumentParser, *, builds: bool = True) -> None:
    """``--cache``, ``--mirror``, ``--refresh`` and, for what ``builds``, ``--kconfig``."""
    group = parser.add_argument_group("where kernels come from")
    add_cache_option(group)
    group.add_argument(
        "--mirror",
        type=_mirror,
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
    if mirror is not None:
        given_mirror(mirror)
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
