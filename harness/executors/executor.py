"""What a run asks of wherever its guests are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.job import KernelJob
from harness.model import BootableKernel, HostInfo, ImageContents, KernelResult
from harness.progress import Progress
from harness.run_options import RunOptions


@dataclass(frozen=True)
class PinnedKernel:
    """A kernel that is not on this machine: named so that it is the same one anywhere."""

    spec: str  # as it was asked for
    pinned: str  # a spec that goes on naming it
    release: str = ""  # "" while it is not known
    exact: str = ""  # as in BootableKernel
    #: SHA-256 of the files that ``pinned`` names, by their paths.
    files: tuple[tuple[str, str], ...] = ()


Found = BootableKernel | PinnedKernel
#: Where files of a kernel go, by its release. It is made: to be called when there are some.
Directory = Callable[[str], Path]


class Executor(Protocol):
    """Boots kernels for one run. Each method may be called by several threads at once."""

    def check(self) -> None:
        """Raise HostError if no guest could be started, before anything else is done."""

    def prepare(self) -> None:
        """Make the guests' root ready. Raises HarnessError."""

    def load(self, payload: Path) -> None:
        """Have guests run what ``payload`` (an archive) holds."""

    def at_once(self, kernels: int) -> int:
        """For how many of so many kernels ``run`` is to be called at once.

        It may be that more wait in it than have a guest.
        """

    def slots(self) -> int:
        """How many guests there can be at once, as things are."""

    def accel(self) -> str:
        """The accelerator that guests have, or most likely will have: "tcg" or "kvm"."""

    def host(self) -> HostInfo:
        """The machine that ran guests; of several the first."""

    def image(self) -> str:
        """Key of the guest image; "" while it is not known."""

    def image_contents(self) -> ImageContents | None:
        """What it is made of; None of another root, and while it is not known."""

    def find(self, spec: str) -> Found:
        """The kernel that ``spec`` names. Raises HarnessError."""

    def run(
        self, job: KernelJob, kernel: Found, directory: Directory, earlier: Path | None
    ) -> KernelResult:
        """Boot ``kernel`` as often as ``job`` takes, files in its directory; not judged.

        ``earlier`` is that directory if it holds boots already, after which it goes on. Raises
        HarnessError.
        """

    def confirm(
        self,
        job: KernelJob,
        kernel: Found,
        directory: Directory,
        before: KernelResult,
        tests: Sequence[str],
        times: int,
    ) -> KernelResult:
        """Run ``tests`` once more alone, as ``job.confirm_kernel``."""

    def control(self, release: str) -> str | None:
        """A kernel other than ``release`` of which a guest reports there, on the same root and
        with the same kernel arguments; "" if none does, None: not known."""


#: Makes the executor of a run. The event, once it is set, ends its guests.
Executors = Callable[[RunOptions, Progress, threading.Event], Executor]
