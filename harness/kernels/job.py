"""One resolving of one kernel spec: where the kernel is kept, and whom to tell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.kernels.cache.kernel_store import FORMAT, KernelStore, Manifest
from harness.model import BootableKernel
from harness.processes import check_interrupted
from harness.progress import Progress

#: Said of every kernel that has none.
NO_MODULES = "the kernel has no modules"


@dataclass(frozen=True)
class Job:
    """What every step of resolving ``spec`` needs."""

    spec: str
    store: KernelStore
    progress: Progress

    def report(self, activity: str, fraction: float | None = None, detail: str = "") -> None:
        """Say what is being done. Raises Interrupted if it shall not be."""
        check_interrupted()
        self.progress.report(self.spec, activity, fraction, detail)

    def waiting(self) -> None:
        """Say that another process is at it."""
        self.report("waiting for another process that prepares it")

    def create(self, key: str, fill: Callable[[Path], Manifest]) -> BootableKernel:
        """The kernel stored under ``key``, made by ``fill`` if need be."""
        return self.store.create(key, self.spec, fill, self.waiting)


def key(content: Iterable[object]) -> str:
    """The key of a kernel that is made of ``content``."""
    text = json.dumps([FORMAT, *map(str, content)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
