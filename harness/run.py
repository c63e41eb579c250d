"""The main job: kernel specs in, run directory and verdict out.

Kernels are resolved while others already run, and of those that are ready the one that took
longest before is run first; each result is judged and stored the moment it is there.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import importlib.metadata
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from harness import inuse
from harness.again import again, exact_spec, settings
from harness.durations import recall, remember, selection_key
from harness.errors import ExitCode, InputError, Interrupted
from harness.executors.executor import Directory, Executors, Found
from harness.executors.local import LocalExecutor
from harness.faults import tell
from harness.files import full_disk_named
from harness.guest.payload import own_revisions, revision, write_payload
from harness.guest.schedule import Limits, next_order
from harness.history.keeping import LookUp
from harness.history.reuse import Reuse, Wanted
from harness.job import KernelJob
from harness.judge.conclude import conclude
from harness.judge.confirmation import tests_behind
from harness.judge.exit_code import compared_candidate, losses
from harness.model import (
    SCHEMA,
    BootableKernel,
    HostInfo,
    KernelResult,
    Revisions,
    Role,
    RunResult,
    Status,
)
from harness.pipeline import Pipeline
from harness.progress import Progress
from harness.report import results_file
from harness.run_directory import (
    KERNELS,
    PAYLOAD,
    REPORT_FORMATS,
    kernel_directory,
    refuse_finished,
)
from harness.run_options import RunOptions
from harness.scratch import sweep


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


class Run:
    """One run. ``stop`` may be set from a signal handler: guests end, results are kept."""

    def __init__(
        self,
        options: RunOptions,
        progress: Progress,
        earlier: RunResult | None = None,
        look_up: LookUp | None = None,
        reuse: Reuse | None = None,
        *,
        executors: Executors = LocalExecutor,
        stop: threading.Event | None = None,
    ) -> None:
        """``earlier`` is what the run directory holds of this very run, to be gone on with.

        ``look_up`` says what other runs say of its tests, ``executors`` where guests are;
        ``reuse`` has results of kernels that need not be booted again.
        """
        self._look_up, self._reuse = look_up, reuse
        self._options = options
        self._progress = progress
        self.stop = stop or threading.Event()
        self._lock = threading.Lock()
        self._executor = executors(options, progress, self.stop)
        self._reused_with = ""  # the accelerator of results that were reused
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
        #: Why a kernel could not be run, by spec.
        self.errors: dict[str, Exception] = {}
        self._resumed = earlier is not None
        #: Directories of this run's kernels, by spec.
        self._placed: dict[str, Path] = {}
        #: What can be booted again, by spec.
        self._booted: dict[str, Found] = {}
        self._id = secrets.token_hex(8)
        self._control = ""
        self._guests = 1  # at once
        self._started = _now()
        self._revisions = Revisions(harness=importlib.metadata.version("afalg-harness"))
        if earlier is not None:
            self._take_up(earlier)
        self._directories = {path.name for path in self._placed.values()}

    def _take_up(self, earlier: RunResult) -> None:
        """Go on where an interrupted run ended."""
        self._id, self._started = earlier.id or self._id, earlier.started or self._started
        for kernel in earlier.kernels:
            if kernel.spec not in self._results:
                continue
            self._results[kernel.spec] = kernel
            if kernel.directory:
                self._placed[kernel.spec] = self._options.out / kernel.directory

    def execute(self) -> RunResult:
        """Run everything; returns the result, which is also in the run directory.

        Raises HarnessError only for what concerns the whole run (host not fit, output
        not writable); what befalls one kernel is in its result.
        """
        if not self._resumed:
            refuse_finished(self._options.out)
        self._executor.check()  # before anything is downloaded
        sweep()
        payload = self._options.out.resolve() / PAYLOAD
        with contextlib.nullcontext() if self._resumed else self._claimed():
            self._executor.prepare()
            with full_disk_named(self._options.out, "name another place with --out"):
                write_payload(self._options.selection, payload)
                self._revisions = replace(
                    self._revisions,
                    suite=revision(payload),  # of what is run, not of how it was compiled
                    own_suites=own_revisions(payload),
                )
                self._executor.load(payload)
        with _alone_in(self._options.out):
            self._store()
            self._run_kernels()
            self._remember_durations()
            self._try_another_kernel()
            if self._options.confirm:
                self._confirm()
            self._ask_earlier_runs()
            result = self._store(ended="" if self.stop.is_set() else _now())
        return self._render(result)

    @contextlib.contextmanager
    def _claimed(self) -> Iterator[None]:
        """The run directory is ours; given up again if this block fails: nothing has run."""
        out = self._options.out
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / KERNELS).mkdir()  # of two runs at once one gets it
        except FileExistsError:
            refuse_finished(out)
            raise InputError(f"--out {out}: no directory") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InputError(f"--out {out}: {error.strerror or error}") from error
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                (out / PAYLOAD).unlink(missing_ok=True)
                (out / KERNELS).rmdir()
                out.rmdir()
            raise

    def _render(self, result: RunResult) -> RunResult:
        """Write the other reports. One that cannot be made is said, and no run is lost for it."""
        code = result.exit_code
        for name in REPORT_FORMATS:
            try:
                from harness.report.render import render  # noqa: PLC0415  (80 ms that no guest waits for)

                render(result, self._options.out, [name])
            except Exception as error:  # noqa: BLE001  (results.json is there)
                told = tell(error, self._options.out)
                self._progress.finish("afalg-harness", f"no {name} report: {told.line}")
                code = code or int(told.code)
        return replace(result, exit_code=code)

    def _run_kernels(self) -> None:
        unfinished = [(spec, role) for spec, role in self._roles if not self._is_finished(spec)]
        self._guests = self._executor.at_once(len(unfinished))
        known = recall(self._options.sources.cache, self._duration_key())
        self._progress.begin([spec for spec, _ in unfinished], self._executor.slots(), known.each)
        roles = dict(unfinished)

        def work(spec: str, kernel: Future[Found]) -> None:
            self._run_one(spec, roles[spec], kernel)

        Pipeline(self._resolve, work, known.of).run(list(roles), self._guests, self.stop)

    def _duration_key(self) -> str:
        selection = self._options.selection
        return selection_key(self._executor.accel(), selection.suites, selection.arguments)

    def _remember_durations(self) -> None:
        """For the next run: how long a kernel took here, with all its boots."""
        took = {
            kernel.spec: kernel.wall_seconds
            for kernel in self._results.values()
            if kernel.status is Status.COMPLETED and kernel.wall_seconds
        }
        if took and not self.stop.is_set():
            remember(self._options.sources.cache, self._duration_key(), took)

    def _resolve(self, spec: str) -> Found:
        if self.stop.is_set():
            raise Interrupted("stopped before it was fetched")
        known = self._results[spec]
        # An interrupted run goes on with the very kernel that it had.
        wanted = exact_spec(known.exact or spec, known.release)
        kernel = self._executor.find(wanted)
        if known.release and kernel.release not in ("", known.release):
            raise InputError(f"{spec}: is {kernel.release} now, and was {known.release}")
        return replace(kernel, spec=spec, release=kernel.release or known.release)

    def _is_finished(self, spec: str) -> bool:
        """Whether nothing is left to run of a kernel, in a run that is gone on with."""
        known = self._results[spec]
        limits = Limits(self._options.boots, self._options.repeat)
        return bool(known.boots) and next_order(known.plan, known.boots, limits) is None

    def _run_one(self, spec: str, role: Role, resolving: Future[Found]) -> None:
        exact = spec
        try:
            kernel = resolving.result()
            exact = kernel.exact or spec
            if self.stop.is_set():
                return
            directory = functools.partial(self._kernel_directory, spec)
            earlier = self._placed.get(spec)
            stored = self._stored(kernel, directory) if earlier is None else None
            if stored is not None:
                result = replace(stored, spec=spec, role=role)
            else:
                result = self._executor.run(self._job(spec, role), kernel, directory, earlier)
            exact = result.exact or exact
            self._booted[spec] = kernel
        except Exception as error:  # noqa: BLE001  (the other kernels go on, whatever it is)
            if self.stop.is_set():
                return
            told = tell(error, self._options.out)
            self.errors[spec] = error
            result = replace(
                self._results[spec],
                status=Status.UNAVAILABLE,
                status_reason=told.line,
                status_exit=int(told.code),
            )
        with self._lock:
            self._results[spec] = replace(
                result,
                append=self._options.append,
                reproduce=again(self._options, exact, result.release),
                settings=settings(self._options),
            )
        self._store()
        self._progress.finish(spec, _describe(result))

    def _stored(self, kernel: Found, directory: Directory) -> KernelResult | None:
        """The stored result of a kernel that need not be booted again."""
        # What another root than our image holds is told by its path alone, and may have changed;
        # of a kernel that is not here its files are not known.
        ours = self._options.root == "image"
        if self._reuse is None or not ours or not isinstance(kernel, BootableKernel):
            return None
        accel = self._executor.accel()
        wanted = Wanted(
            kernel,
            replace(self._revisions, image=self._executor.image()),
            replace(self._executor.host(), accel=accel),
            self._options.append,
            settings(self._options),
        )
        found = self._reuse(wanted, functools.partial(directory, kernel.release))
        if found is None:
            return None
        self._reused_with = accel
        place = directory(kernel.release)
        return replace(found, directory=str(place.relative_to(self._options.out)))

    def _host(self) -> HostInfo:
        """The machine that ran guests, or, if none did, that runs them as those that are reused."""
        host = self._executor.host()
        return host if host.accel else replace(host, accel=self._reused_with)

    def _job(self, spec: str, role: Role) -> KernelJob:
        options = self._options
        return KernelJob(
            spec=spec,
            role=role,
            test_seconds=options.selection.test_seconds,
            suite_seconds=options.suite_timeout,
            append=options.append,
            limits=Limits(options.boots, options.repeat),
        )

    def _try_another_kernel(self) -> None:
        """Where a kernel died in each boot and none of the run's boots, see whether any does."""
        results = list(self._results.values())
        dead = [
            kernel
            for kernel in results
            if kernel.status is Status.BOOT_FAILED
            and len(kernel.boots) > 1
            and all(boot.deadly_report for boot in kernel.boots)
        ]
        booted = any(kernel.identity is not None for kernel in results)
        if not dead or booted or self.stop.is_set():
            return
        self._progress.report(dead[0].spec, "does not boot; trying another kernel on this host")
        try:
            control = self._executor.control(dead[0].release)
        except Interrupted:
            return
        except Exception as error:  # noqa: BLE001  (it says nothing then, and results stand)
            told = tell(error, self._options.out)
            said = f"does not boot; no other kernel could be tried: {told.line}"
            self._progress.finish(dead[0].spec, said)
            return
        if control is None:
            return
        self._control = control
        said = f"{self._control} boots here" if self._control else "no other one boots here either"
        self._progress.finish(dead[0].spec, f"does not boot; {said}")

    def _confirm(self) -> None:
        """Run once more what was lost against the baseline, before it is said."""
        result = self._store()
        baselines = [kernel for kernel in result.kernels if kernel.role is Role.BASELINE]
        wanted: dict[str, set[str]] = {}
        for comparison in result.comparisons:
            candidate = compared_candidate(comparison, result.kernels)
            lost = losses(comparison, result.kernels)
            if candidate is None or not lost:
                continue
            pair = (*baselines, candidate)
            if len({kernel.reused for kernel in pair}) == 1 and candidate.reused is not None:
                continue  # of one run, which confirmed it
            for kernel in pair:
                if kernel.boots:
                    tests = tests_behind(lost, kernel, pair)
                    wanted.setdefault(kernel.spec, set()).update(tests)
        plans = {kernel.spec: kernel.plan for kernel in result.kernels}
        with ThreadPoolExecutor(self._guests, thread_name_prefix="guest") as guests:
            for spec, tests_of_it in wanted.items():
                tests = tuple(test for test in plans[spec] if test in tests_of_it)
                if tests and not self.stop.is_set():
                    guests.submit(self._confirm_one, spec, tests)

    def _ask_earlier_runs(self) -> None:
        """Whether what failed or differs is known to come and go."""
        if self._look_up is None or self.stop.is_set():
            return
        kernels = self._look_up(self._store())
        with self._lock:
            for (spec, _), kernel in zip(self._roles, kernels, strict=True):
                self._results[spec] = replace(self._results[spec], earlier=kernel.earlier)

    def _confirm_one(self, spec: str, tests: Sequence[str]) -> None:
        before = self._results[spec]
        job = self._job(spec, before.role)
        try:
            # It may have finished before the run was interrupted.
            kernel = self._booted.get(spec) or self._resolve(spec)
            directory = functools.partial(self._kernel_directory, spec)
            times = self._options.confirm
            result = self._executor.confirm(job, kernel, directory, before, tests, times)
        except Exception as error:  # noqa: BLE001  (what was observed before stands)
            told = tell(error, self._options.out)
            note = f"what was lost could not be run again: {told.line}"
            result = replace(before, notes=(*before.notes, note))
        with self._lock:
            self._results[spec] = replace(
                result,
                append=before.append,
                reproduce=before.reproduce,
                settings=before.settings,
                reused=before.reused,
            )
        self._store()
        self._progress.finish(spec, f"{len(tests)} of its tests were run again")

    def _kernel_directory(self, spec: str, release: str) -> Path:
        """A directory of this kernel's own, even if two specs have the same release."""
        with self._lock:
            if spec in self._placed:
                return self._placed[spec]
            name = kernel_directory(release, self._directories)
            self._directories.add(name)
            directory = self._options.out / KERNELS / name
            self._placed[spec] = directory
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _store(self, ended: str = "") -> RunResult:
        with self._lock:
            kernels = [self._results[spec] for spec, _ in self._roles]
            result = self._assemble(kernels, ended)
            results_file.save(result, self._options.out / results_file.FILE_NAME)
        return result

    def _assemble(self, kernels: Sequence[KernelResult], ended: str) -> RunResult:
        observed = RunResult(
            schema=SCHEMA,
            exit_code=int(ExitCode.INFRASTRUCTURE),
            started=self._started,
            command=self._options.command,
            seed=self._options.selection.seed,
            host=self._host(),
            kernels=tuple(kernels),
            id=self._id,
            control=self._control,
            ended=ended,
            revisions=replace(
                self._revisions,
                image=self._executor.image(),
                image_contents=self._executor.image_contents(),
            ),
            shard=self._options.shard,
            expectations=self._options.expectations.entries(),
        )
        return conclude(observed, self._options.expectations, self._options.out)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """No other run writes into ``out``. Raises InputError if one does."""
    with inuse.alone(out) as alone:
        if not alone:
            raise InputError(f"{out}: a run is still writing into it")
        yield


def _describe(result: KernelResult) -> str:
    """How one kernel ended, for the progress display."""
    if result.status is not Status.COMPLETED:
        return f"{result.status.replace('_', ' ')}: {result.status_reason}"
    counts: dict[str, int] = {}
    for test in result.tests:
        counts[test.outcome] = counts.get(test.outcome, 0) + 1
    tests = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    took = f"{result.wall_seconds or 0:.1f} s"
    if result.reused is not None:
        took = f"of run {result.reused.run} of {result.reused.started}, not booted"
    return f"{result.release}: {tests} ({took})"
