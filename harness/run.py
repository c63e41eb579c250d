"""The main job: kernel specs in, run directory and verdict out.

Kernels are resolved one after the other while earlier ones already run; each result is
judged and stored the moment it is there.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from harness.again import again
from harness.errors import ExitCode, InputError, Interrupted
from harness.faults import tell
from harness.guest.accel import Accel, choose_accel, qemu_version
from harness.guest.image import guest_image
from harness.guest.observe import Deadlines, observe
from harness.guest.payload import write_payload
from harness.guest.session import GuestSettings
from harness.guest.stacktrace import decoded
from harness.guest.vng import Root
from harness.judge.conclude import conclude
from harness.judge.splats import deadly_report
from harness.kernels.image.config import crypto_config
from harness.kernels.resolve import resolve
from harness.model import (
    SCHEMA,
    BootableKernel,
    HostInfo,
    KernelResult,
    Role,
    RunResult,
    Status,
)
from harness.processes import interruptible
from harness.progress import Progress
from harness.report import results_file
from harness.report.render import render
from harness.run_options import RunOptions
from harness.scratch import sweep
from harness.static.reading import read_code

#: Files written beside results.json at the end of every run.
REPORT_FORMATS = ("junit", "summary")
_KERNELS = "kernels"  # folder of a run directory
_PAYLOAD = "payload.tar"  # what every guest was given to run; vng.txt needs it


def new_run_directory() -> Path:
    """A fresh ``runs/<UTC time>-<id>`` below the working directory (not created)."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("runs") / f"{now}-{secrets.token_hex(2)}"


def planned_roles(options: RunOptions) -> list[tuple[str, Role]]:
    """Each kernel spec with its role, baseline first, no spec twice."""
    baseline = options.baseline
    specs = list(dict.fromkeys(options.specs))
    if baseline is None and len(specs) > 1:
        baseline = specs[0]
    candidates = [(spec, Role.CANDIDATE) for spec in specs if spec != baseline]
    if baseline is not None and not candidates:
        raise InputError(f"{baseline}: a kernel cannot be compared with itself; name another SPEC")
    return ([(baseline, Role.BASELINE)] if baseline is not None else []) + candidates


def refuse_finished(out: Path) -> None:
    """Raise InputError if ``out`` holds a run, finished or not: none is ever written over."""
    try:
        used = [name for name in (results_file.FILE_NAME, _KERNELS) if (out / name).exists()]
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror or error}") from error
    if used:
        raise InputError(f"--out {out}: holds a run already ({used[0]}); name another directory")


class Run:
    """One run. ``stop`` may be set from a signal handler: guests end, results are kept."""

    def __init__(self, options: RunOptions, progress: Progress) -> None:
        self._options = options
        self._progress = progress
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._accel: Accel | None = None
        self._roles = planned_roles(options)
        self._results: dict[str, KernelResult] = {
            spec: KernelResult(
                spec=spec,
                release="",
                role=role,
                status=Status.INTERRUPTED,
                status_reason="not finished",
            )
            for spec, role in self._roles
        }
        self._directories: set[str] = set()
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def execute(self) -> RunResult:
        """Run everything; returns the result, which is also in the run directory.

        Raises HarnessError only for what concerns the whole run (host not fit, output
        not writable); what befalls one kernel is in its result.
        """
        refuse_finished(self._options.out)
        qemu_version()  # before anything is downloaded
        sweep()
        payload = self._options.out.resolve() / _PAYLOAD
        with self._claimed():
            root = self._root()
            write_payload(self._options.selection, payload)
        self._store()
        self._run_kernels(root, payload)
        result = self._store()
        return self._render(result)

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[None]:
        """The run directory is ours; given up again if this block fails: nothing has run."""
        out = self._options.out
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / _KERNELS).mkdir()  # of two runs at once one gets it
        except FileExistsError:
            refuse_finished(out)
            raise InputError(f"--out {out}: no directory") from None
        except OSError as error:
            raise InputError(f"--out {out}: {error.strerror or error}") from error
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                (out / _PAYLOAD).unlink(missing_ok=True)
                (out / _KERNELS).rmdir()
                out.rmdir()
            raise

    def _render(self, result: RunResult) -> RunResult:
        """Write the other reports. One that cannot be made is said, and no run is lost for it."""
        code = result.exit_code
        for name in REPORT_FORMATS:
            try:
                render(result, self._options.out, [name])
            except Exception as error:  # noqa: BLE001  (results.json is there)
                told = tell(error, self._options.out)
                self._progress.finish("afalg-harness", f"no {name} report: {told.line}")
                code = code or int(told.code)
        return replace(result, exit_code=code)

    def _root(self) -> Root:
        wanted = self._options.root
        if wanted == "image":
            sources = self._options.sources
            with interruptible(self.stop):
                image = guest_image(sources.cache, sources.mirror, self._progress)
            return Root("disk", image, isolated=True)
        if wanted == "host":
            # The interpreter that runs us has pytest beside it.
            return Root("directory", Path("/"), python=sys.executable)
        path = Path(wanted).resolve()
        try:
            exists, is_directory = path.exists(), path.is_dir()
        except OSError as error:
            raise InputError(f"--root {wanted}: {error.strerror or error}") from error
        if not exists:
            raise InputError(f"--root {wanted}: neither 'image', 'host' nor a path that exists")
        return Root("directory" if is_directory else "disk", path)

    def _run_kernels(self, root: Root, payload: Path) -> None:
        options = self._options
        with (
            ThreadPoolExecutor(1, thread_name_prefix="resolve") as resolver,
            ThreadPoolExecutor(max(1, options.jobs), thread_name_prefix="guest") as guests,
        ):
            waiting: list[Future[None]] = []
            for spec, role in self._roles:
                kernel = resolver.submit(self._resolve, spec)
                waiting.append(guests.submit(self._run_one, spec, role, kernel, root, payload))
            try:
                for future in waiting:
                    future.result()
            except BaseException:
                self.stop.set()
                raise

    def _resolve(self, spec: str) -> BootableKernel:
        if self.stop.is_set():
            raise Interrupted("stopped before it was fetched")
        with interruptible(self.stop):
            return resolve(spec, self._options.sources, self._progress)

    def _run_one(
        self, spec: str, role: Role, resolving: Future[BootableKernel], root: Root, payload: Path
    ) -> None:
        exact = spec
        try:
            kernel = resolving.result()
            exact = kernel.exact or spec
            if self.stop.is_set():
                return
            result = self._observe(kernel, role, root, payload)
        except Exception as error:  # noqa: BLE001  (the other kernels go on, whatever it is)
            if self.stop.is_set():
                return
            told = tell(error, self._options.out)
            result = replace(
                self._results[spec],
                status=Status.UNAVAILABLE,
                status_reason=told.line,
                status_exit=int(told.code),
            )
        command = again(self._options, exact, result.release)
        with self._lock:
            self._results[spec] = replace(result, append=self._options.append, reproduce=command)
        self._store()
        self._progress.finish(spec, _describe(result))

    def _observe(
        self, kernel: BootableKernel, role: Role, root: Root, payload: Path
    ) -> KernelResult:
        options = self._options
        with self._lock:
            if self._accel is None:
                self._accel = choose_accel(
                    options.accel, kernel.image, options.sources.cache, self._progress
                )
            accel = self._accel
        directory = self._kernel_directory(kernel.release)
        config: dict[str, str] = {}
        if kernel.config is not None:
            with contextlib.suppress(OSError):
                shutil.copyfile(kernel.config, directory / "config")
                config = crypto_config(kernel.config)
        limits = (options.selection.test_seconds, options.suite_timeout)

        def boot() -> KernelResult:
            return observe(
                kernel,
                role,
                GuestSettings(root=root, accel=accel.name, append=options.append),
                payload,
                Deadlines.for_accel(accel.name, *limits),
                directory,
                self.stop,
                self._progress,
            )

        with ThreadPoolExecutor(1, thread_name_prefix="code") as reader:
            reading = reader.submit(read_code, kernel)
            observed = boot()
        code = reading.result()
        if _may_be_the_emulator(observed, accel) and not self.stop.is_set():
            self._progress.report(kernel.spec, f"booting again: {observed.status_reason}")
            observed = boot()  # added to the files of the first: the result has both
        if kernel.symbols is not None and not self.stop.is_set():
            self._progress.report(kernel.spec, "decoding stack traces")
            with interruptible(self.stop):
                observed = decoded(observed, kernel)
        return replace(observed, config=config, code=code)

    def _kernel_directory(self, release: str) -> Path:
        """A directory of this kernel's own, even if two specs have the same release."""
        with self._lock:
            name, number = release, 1
            while name in self._directories:
                number += 1
                name = f"{release}~{number}"
            self._directories.add(name)
        directory = self._options.out / _KERNELS / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _store(self) -> RunResult:
        with self._lock:
            kernels = [self._results[spec] for spec, _ in self._roles]
            result = self._assemble(kernels)
            results_file.save(result, self._options.out / results_file.FILE_NAME)
        return result

    def _assemble(self, kernels: Sequence[KernelResult]) -> RunResult:
        observed = RunResult(
            schema=SCHEMA,
            exit_code=int(ExitCode.INFRASTRUCTURE),
            started=self._started,
            command=self._options.command,
            seed=self._options.selection.seed,
            host=HostInfo(
                accel=self._accel.name if self._accel else "",
                accel_reason=self._accel.reason if self._accel else "no guest was started",
                qemu=qemu_version(),
                vng=importlib.metadata.version("virtme-ng"),
                cpus=os.cpu_count() or 1,
            ),
            kernels=tuple(kernels),
            expectations=self._options.expectations.entries(),
        )
        return conclude(observed, self._options.expectations, self._options.out)


def _may_be_the_emulator(result: KernelResult, accel: Accel) -> bool:
    """Whether to try once more: before it was heard, a kernel died or stood still, or QEMU did.

    QEMU 7.2's TCG now and then lets a CPU run a stale ``int3`` of the kernel's live patching
    ("Oops: int3" at boot), or fails by an assertion of its own (msix_table_mmio_write()) while
    PCI devices are set up. What each boot amounts to is for the judge to say.
    """
    if result.identity is not None:
        return False
    if result.status is not Status.BOOT_FAILED:
        return result.status is Status.INTERRUPTED  # and not by us
    return any(map(deadly_report, result.boots)) or (
        accel.name == "tcg" and result.status_exit is None
    )


def _describe(result: KernelResult) -> str:
    """How one kernel ended, for the progress display."""
    if result.status is not Status.COMPLETED:
        return f"{result.status.replace('_', ' ')}: {result.status_reason}"
    counts: dict[str, int] = {}
    for test in result.tests:
        counts[test.outcome] = counts.get(test.outcome, 0) + 1
    tests = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return f"{result.release}: {tests} ({result.wall_seconds or 0:.1f} s)"
