"""The guest's root, by the arguments of a command."""

from __future__ import annotations

import argparse

from harness.guest.root import choose_root
from harness.guest.vng import Root
from harness.kernels.sources import KernelSources
from harness.progress import Progress


def guest_root(arguments: argparse.Namespace, sources: KernelSources, progress: Progress) -> Root:
    """The root that the arguments name; raises as ``choose_root`` does."""
    return choose_root(
        arguments.root,
        sources.cache,
        sources.mirror,
        progress,
        suite=arguments.guest_suite,
        refresh=sources.refresh,
    )
