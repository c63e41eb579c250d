"""Refuses what cannot work, before anything is booted or written for it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.commands.sources import cache_directory
from harness.errors import InputError
from harness.executors.names import is_elsewhere
from harness.guest.accel import refuse_missing_kvm
from harness.guest.payload import parts_of
from harness.guest.root import refuse_bad_root
from harness.guest.vng import APPEND_BYTES, appended_bytes
from harness.kernels.resolve import refuse_impossible
from harness.kernels.source.fragments import load_fragment
from harness.kernels.sources import KernelSources
from harness.progress import Progress
from harness.run_options import RunOptions
from harness.selectable import refuse_what_selects_nothing


def refuse_bad_guest(arguments: argparse.Namespace) -> None:
    """Raise HarnessError for options of the guest that cannot be had on this host."""
    refuse_bad_root(arguments.root, arguments.guest_suite)
    refuse_missing_kvm(arguments.accel, cache_directory(arguments))


def refuse_long_append(arguments: argparse.Namespace) -> None:
    """Raise InputError for more kernel arguments than a kernel has room for beside ours."""
    root = arguments.root
    on_directory = root == "host" or (root != "image" and Path(root).is_dir())
    room = APPEND_BYTES["directory" if on_directory else "disk"]
    length = appended_bytes(arguments.append)
    if length > room:
        raise InputError(
            f"--append: {length} bytes with blanks and quotes, and a kernel's command line has"
            f" {room} left for them with --root {root}: give fewer or shorter ones"
        )


def refuse_bad_kernels(specs: Iterable[str], sources: KernelSources, progress: Progress) -> None:
    """Raise InputError if one of ``specs``, or a fragment to build with, is not there."""
    for name in sources.kconfigs:
        load_fragment(name)
    refuse_impossible(specs, sources, progress)


def _refuse_what_is_here(options: RunOptions, specs: Sequence[str]) -> None:
    """Raise InputError for what other machines do not have."""
    if "host" in specs:
        raise InputError(f"host: is another kernel on each machine of {options.executor}")
    if options.dump_memory is not None:
        raise InputError(f"--dump-guest-memory: not with {options.executor}")


def refuse_bad_run(options: RunOptions, specs: Iterable[str], progress: Progress) -> None:
    """Raise InputError if the run of ``options`` cannot come to anything."""
    parts_of(options.selection)
    dump = options.dump_memory
    if dump is not None and dump.exists() and not dump.is_dir():
        raise InputError(f"--dump-guest-memory {dump}: not a directory")
    specs = list(specs)
    if is_elsewhere(options.executor):
        _refuse_what_is_here(options, specs)
    refuse_bad_kernels(specs, options.sources, progress)
    if options.selection.arguments:
        progress.report("suite", "looking for the tests that -k selects")
    refuse_what_selects_nothing(options.selection)
