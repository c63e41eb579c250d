"""Where kernels come from, by the arguments of a command and the environment."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from harness.errors import InputError
from harness.kernels.sources import KernelSources
from harness.locations import own_cache_dir
from harness.mirror import given_mirror


def cache_directory(arguments: argparse.Namespace) -> Path:
    """The cache that ``--cache`` or the environment names, absolute (not created)."""
    return Path(arguments.cache).resolve() if arguments.cache else own_cache_dir()


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
