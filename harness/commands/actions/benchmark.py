"""Measures what messages cost."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import shlex
import sys
import threading
from pathlib import Path

from harness.benchmark.plan import Plan, plan_of
from harness.capacity import default_jobs
from harness.commands.actions.guest_root import guest_root
from harness.commands.actions.refusals import refuse_bad_kernels
from harness.commands.display import ProgressConsole, progress_display
from harness.commands.signals import stopping
from harness.commands.sources import kernel_sources
from harness.errors import (
    HostError,
    InfrastructureError,
    InputError,
    Interrupted,
)
from harness.guest.accel import qemu_version
from harness.guest.bytecode import add_bytecode
from harness.guest.inside.ways import MODULES
from harness.guest.payload import write_programs
from harness.guest.root import refuse_bad_root
from harness.kernels.resolve import resolve
from harness.model import BootableKernel
from harness.progress import Progress
from harness.run_directory import KERNELS, kernel_directory, new_run_directory, refuse_finished
from harness.scratch import scratch_directory, sweep

#: Packages of the extra ``benchmark``.
_EXTRA = ("numpy", "scipy", "matplotlib")


def refuse_without_extra(doing: str) -> None:
    """Raise HostError where what statistics and pictures are made with is not installed."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise HostError(
            f"{doing}: needs {', '.join(missing)}: pip install 'afalg-harness[benchmark]'"
        )


def execute(arguments: argparse.Namespace) -> int:
    """Measure; returns the exit code."""
    refuse_without_extra("benchmark")
    sweep()
    plan = plan_of(arguments.algorithm, arguments.way, arguments.size)
    out = arguments.out or new_run_directory()
    refuse_finished(out)
    refuse_bad_root(arguments.root, arguments.guest_suite)
    qemu_version()  # before anything is downloaded
    given = ([arguments.baseline] if arguments.baseline else []) + arguments.specs
    specs = list(dict.fromkeys(given))
    if arguments.max_slowdown is not None and len(specs) < 2:
        raise InputError("--max-slowdown: there is no second kernel to compare with")
    stop = threading.Event()
    with progress_display(ProgressConsole(), arguments.quiet) as progress, stopping(stop, progress):
        code = _run(arguments, specs, plan, out, stop, progress)
    return code


def _run(
    arguments: argparse.Namespace,
    specs: list[str],
    plan: Plan,
    out: Path,
    stop: threading.Event,
    progress: Progress,
) -> int:
    # Slow to import, and not to be had without the extra.
    from harness.benchmark import file, run, values  # noqa: PLC0415

    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    sources = kernel_sources(arguments)
    refuse_bad_kernels(specs, sources, progress)
    kernels: list[BootableKernel] = []
    failures: list[values.Failure] = []
    for spec in specs:
        try:
            kernels.append(resolve(spec, sources, progress))
        except InfrastructureError as error:
            failures.append(run.failure(spec, "", error))
    root = guest_root(arguments, sources, progress)
    with scratch_directory() as scratch:
        payload = scratch / "payload.tar"
        write_programs(MODULES, payload)
        add_bytecode(payload, root, progress)
        jobs = arguments.jobs or default_jobs()
        guests = run.Guests(
            root, payload, tuple(arguments.append), plan, jobs, one_count=arguments.one_count
        )
        found = run.run(_places(kernels, out), guests, stop, progress)
    failures += found.failures
    if not found.kernels:
        if stop.is_set():
            raise Interrupted("benchmark: interrupted")
        raise InfrastructureError("; ".join(f"{one.spec}: {one.reason}" for one in failures))
    benchmark = values.Benchmark(
        schema=values.SCHEMA,
        command=shlex.join(["afalg-harness", *sys.argv[1:]]),
        started=started,
        unit="instructions",
        harness=run.version(),
        qemu=qemu_version(),
        kernels=found.kernels,
        failures=tuple(failures),
        baseline=specs[0],
    )
    file.save(benchmark, out / file.FILE_NAME)
    from harness.commands.actions.benchmarked import deliver  # noqa: PLC0415

    return deliver(benchmark, arguments.max_slowdown, out, verbose=arguments.verbose)


def _places(kernels: list[BootableKernel], out: Path) -> list[tuple[BootableKernel, Path]]:
    """The kernels with directories of their own."""
    places: dict[str, BootableKernel] = {}
    for kernel in kernels:
        places[kernel_directory(kernel.release, places)] = kernel
    return [(kernel, out / KERNELS / name) for name, kernel in places.items()]
