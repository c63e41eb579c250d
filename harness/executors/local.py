"""Guests on this machine."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from harness.capacity import default_jobs, free_memory, guests_in_memory
from harness.errors import InputError
from harness.executors.executor import Directory, Found
from harness.guest.accel import Accel, choose_accel, likely_accel, qemu_version
from harness.guest.bytecode import add_bytecode
from harness.guest.plans import add_known_plan
from harness.guest.root import choose_root, image_key, root_contents
from harness.guest.vng import Root
from harness.job import KernelJob, Workplace, confirm_kernel, reports, run_kernel
from harness.judge.facts import in_first_answer
from harness.kernels.cache.contents import kernels_by_use
from harness.kernels.cache.kernel_store import KernelStore
from harness.kernels.resolve import resolve
from harness.model import BootableKernel, HostInfo, ImageContents, KernelResult
from harness.processes import interruptible
from harness.progress import Progress, SilentProgress
from harness.run_options import RunOptions
from harness.scratch import scratch_directory

_CONTROLS = 2  # kernels that are tried where one does not boot


class LocalExecutor:
    """Boots kernels here, as an ``Executor``."""

    def __init__(self, options: RunOptions, progress: Progress, stop: threading.Event) -> None:
        self._options = options
        self._progress = progress
        self._stop = stop
        self._lock = threading.Lock()
        self._accel: Accel | None = None
        self._root: Root | None = None
        self._payload = Path()
        self._guests = 1  # of one kernel at once

    def check(self) -> None:
        """Raise HostError without QEMU."""
        qemu_version()

    def prepare(self) -> None:
        """Build the guest image if need be."""
        sources = self._options.sources
        with interruptible(self._stop):
            self._root = choose_root(
                self._options.root,
                sources.cache,
                sources.mirror,
                self._progress,
                suite=self._options.guest_suite,
                refresh=sources.refresh,
            )

    def load(self, payload: Path) -> None:
        """Add bytecode and, if it is known, the plan to ``payload``, which stays where it is."""
        assert self._root is not None
        self._payload = payload
        add_bytecode(payload, self._root, self._progress)
        add_known_plan(payload, self._root, in_first_answer)

    def at_once(self, kernels: int) -> int:
        """How many guests at once: what was asked for, be it more than fits, or what fits."""
        options = self._options
        free = free_memory()
        fit = guests_in_memory(free)
        # More than one of a kernel only where there is room, whatever was asked for.
        self._guests = max(1, min(self.slots(), fit) // max(1, kernels))
        if options.jobs is None:
            return default_jobs()
        wanted = min(options.jobs, kernels)
        if wanted > max(1, fit):
            room = f"{free / (1 << 30):.1f} GiB of free memory are enough for {fit}"
            self._progress.finish("afalg-harness", f"{wanted} guests at once as asked for: {room}")
        return options.jobs

    def slots(self) -> int:
        """As many as were asked for, or fit by default."""
        return self._options.jobs or default_jobs()

    def accel(self) -> str:
        """What was chosen, or most likely will be."""
        if self._accel is not None:
            return self._accel.name
        return likely_accel(self._options.accel, self._options.sources.cache)

    def host(self) -> HostInfo:
        """This machine."""
        return HostInfo(
            accel=self._accel.name if self._accel else "",
            accel_reason=self._accel.reason if self._accel else "no guest was started",
            qemu=qemu_version(),
            vng=importlib.metadata.version("virtme-ng"),
            cpus=os.cpu_count() or 1,
        )

    def image(self) -> str:
        """The cache keeps each image under its key."""
        return image_key(self._root) if self._root is not None else ""

    def image_contents(self) -> ImageContents | None:
        """As it says itself."""
        return root_contents(self._root) if self._root is not None else None

    def find(self, spec: str) -> BootableKernel:
        """Fetch, build and prepare the kernel."""
        with interruptible(self._stop):
            return resolve(spec, self._options.sources, self._progress)

    def run(
        self, job: KernelJob, kernel: Found, directory: Directory, earlier: Path | None
    ) -> KernelResult:
        """Boot it."""
        assert isinstance(kernel, BootableKernel)
        return run_kernel(job, kernel, self._workplace(directory(kernel.release)))

    def confirm(
        self,
        job: KernelJob,
        kernel: Found,
        directory: Directory,
        before: KernelResult,
        tests: Sequence[str],
        times: int,
    ) -> KernelResult:
        """Boot it once more."""
        assert isinstance(kernel, BootableKernel)
        place = self._workplace(directory(kernel.release))
        return confirm_kernel(job, kernel, place, before, tests, times)

    def control(self, release: str) -> str | None:
        """Boot another kernel of the cache, on the same root and with the same arguments."""
        if self._root is None:
            return None
        cache, append = self._options.sources.cache.absolute(), self._options.append
        store = KernelStore(cache)
        others = [one for one in kernels_by_use(cache) if one.release != release]
        with interruptible(self._stop), scratch_directory() as scratch:
            for number, entry in enumerate(others[:_CONTROLS]):
                kernel = store.load(entry.name, entry.origin or entry.release)
                if kernel is None:
                    continue
                (place := scratch / str(number)).mkdir()
                with contextlib.suppress(InputError):
                    if reports(kernel, append, self._workplace(place, SilentProgress())):
                        return entry.release
        return ""

    def _workplace(self, directory: Path, progress: Progress | None = None) -> Workplace:
        assert self._root is not None
        return Workplace(
            self._root,
            self._payload,
            directory,
            self._choose_accel,
            self._stop,
            progress or self._progress,
            self._options.dump_memory,
            self._guests,
        )

    def _choose_accel(self, kernel: BootableKernel) -> Accel:
        options = self._options
        with self._lock:
            if self._accel is None:
                self._accel = choose_accel(
                    options.accel, kernel.image, options.sources.cache, self._progress
                )
            return self._accel
