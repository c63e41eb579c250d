"""Measures what messages cost."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import shlex
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from harness.benchmark.plan import Plan, plan_of, rounds_for
from harness.benchmark.values import Failure
from harness.capacity import default_jobs
from harness.commands.actions.guest_root import guest_root
from harness.commands.actions.refusals import refuse_bad_kernels, refuse_long_append
from harness.commands.display import ProgressConsole, progress_display
from harness.commands.signals import stopping
from harness.commands.sources import cache_directory, kernel_sources
from harness.errors import (
    HostError,
    InfrastructureError,
    InputError,
    Interrupted,
)
from harness.guest.accel import choose_accel, kvm_problem_known, qemu_version
from harness.guest.bytecode import add_bytecode
from harness.guest.inside.agent import read_cpu_model
from harness.guest.inside.counting import CYCLES, INSTRUCTIONS
from harness.guest.inside.ways import MODULES
from harness.guest.payload import write_programs
from harness.guest.root import refuse_bad_root
from harness.guest.unbootable import refuse_unbootable
from harness.kernels.resolve import resolve
from harness.model import BootableKernel
from harness.processes import interruptible
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
    plan = plan_of(arguments.algorithm, arguments.way, arguments.size, arguments.unit)
    rounds = _rounds(arguments, plan)
    out = arguments.out or new_run_directory()
    refuse_finished(out)
    refuse_bad_root(arguments.root, arguments.guest_suite)
    refuse_long_append(arguments)
    qemu_version()  # before anything is downloaded
    if plan.unit == CYCLES:
        _refuse_without_kvm(kvm_problem_known(cache_directory(arguments)))
    given = ([arguments.baseline] if arguments.baseline else []) + arguments.specs
    specs = list(dict.fromkeys(given))
    if arguments.max_slowdown is not None and len(specs) < 2:
        raise InputError("--max-slowdown: there is no second kernel to compare with")
    stop = threading.Event()
    with progress_display(ProgressConsole(), arguments.quiet) as progress, stopping(stop, progress):
        code = _run(arguments, specs, plan, rounds, out, stop, progress)
    return code


def _rounds(arguments: argparse.Namespace, plan: Plan) -> int:
    """How often each kernel is booted for a count. Raises InputError."""
    if arguments.unit == INSTRUCTIONS:
        if arguments.rounds is not None:
            raise InputError("--rounds: instructions are the same in each boot")
        return 1
    if arguments.jobs not in (None, 1):
        raise InputError(f"--jobs: guests that count {arguments.unit} run one at a time")
    if arguments.one_count:
        raise InputError(f"--one-count: there is no second count of {arguments.unit}")
    least = rounds_for(plan.rows())
    rounds: int = arguments.rounds or least
    if rounds < least:
        raise InputError(
            f"--rounds: in fewer than {least} one of {plan.rows()} rows may differ by chance alone"
        )
    return rounds


def _refuse_without_kvm(problem: str | None) -> None:
    if problem is not None:
        raise HostError(f"--unit cycles: needs KVM: {problem}; instructions need none")


def _accel(plan: Plan, image: Path, arguments: argparse.Namespace, progress: Progress) -> str:
    """The accelerator for ``plan``; ``image`` is a kernel to try. Raises HostError."""
    if plan.unit == INSTRUCTIONS:
        return "tcg"
    accel = choose_accel("auto", image, cache_directory(arguments), progress)
    if plan.unit == CYCLES and accel.name != "kvm":
        _refuse_without_kvm(accel.reason)
    return accel.name


def _run(
    arguments: argparse.Namespace,
    specs: list[str],
    plan: Plan,
    rounds: int,
    out: Path,
    stop: threading.Event,
    progress: Progress,
) -> int:
    # Slow to import, and not to be had without the extra.
    from harness.benchmark import file, run, values  # noqa: PLC0415

    # What may fail does so before anything is measured.
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    version, qemu = run.version(), qemu_version()
    sources = kernel_sources(arguments)
    refuse_bad_kernels(specs, sources, progress)
    kernels: list[BootableKernel] = []
    failures: list[Failure] = []
    with interruptible(stop):
        for spec in specs:
            try:
                kernels.append(resolve(spec, sources, progress))
            except InfrastructureError as error:
                failures.append(run.failure(spec, "", error))
        if not kernels:
            raise InfrastructureError(_told(failures))
        accel = _accel(plan, kernels[0].image, arguments, progress)
        root = guest_root(arguments, sources, progress)
    for kernel in kernels:
        refuse_unbootable(kernel, root)
    with scratch_directory() as scratch:
        payload = scratch / "payload.tar"
        write_programs(MODULES, payload)
        add_bytecode(payload, root, progress)
        guests = run.Guests(
            root=root,
            payload=payload,
            append=tuple(arguments.append),
            plan=plan,
            jobs=arguments.jobs or (default_jobs() if plan.unit == INSTRUCTIONS else 1),
            accel=accel,
            rounds=rounds,
            one_count=arguments.one_count,
        )
        found = run.run(_places(kernels, out), guests, stop, progress)
    failures += found.failures
    if not found.kernels:
        if stop.is_set():
            raise Interrupted("benchmark: interrupted")
        raise InfrastructureError(_told(failures))
    benchmark = values.Benchmark(
        schema=values.SCHEMA,
        command=shlex.join(["afalg-harness", *sys.argv[1:]]),
        started=started,
        unit=plan.unit,
        harness=version,
        qemu=qemu,
        kernels=found.kernels,
        failures=tuple(failures),
        baseline=specs[0],
        accel=accel,
        host_cpu=read_cpu_model(),
    )
    file.save(benchmark, out / file.FILE_NAME)
    from harness.commands.actions.benchmarked import deliver  # noqa: PLC0415

    return deliver(benchmark, arguments.max_slowdown, out, verbose=arguments.verbose)


def _told(failures: Sequence[Failure]) -> str:
    """Why nothing could be measured."""
    return "; ".join(f"{one.spec}: {one.reason}" for one in failures)


def _places(kernels: list[BootableKernel], out: Path) -> list[tuple[BootableKernel, Path]]:
    """The kernels with directories of their own."""
    places: dict[str, BootableKernel] = {}
    for kernel in kernels:
        places[kernel_directory(kernel.release, places)] = kernel
    return [(kernel, out / KERNELS / name) for name, kernel in places.items()]
