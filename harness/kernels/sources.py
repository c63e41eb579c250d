"""Where kernels may come from, as the options of a command say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KernelSources:
    """Where kernels may come from."""

    cache: Path  # cache root directory, created when needed
    mirror: str | None = None  # URL of a Debian mirror; None: the one this machine's apt uses
    refresh: bool = False  # fetch the package index again even if it is recent
    #: What git revisions are configured with: names of fragments of ours, or paths, in order.
    kconfigs: tuple[str, ...] = ("base", "afalg")
