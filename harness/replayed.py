"""A run directory -> its result once more, from what was heard of the guests alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import ExitCode, InputError
from harness.guest.replay import replay
from harness.model import SCHEMA, HostInfo, KernelResult, Role, RunResult
from harness.report import results_file
from harness.report.upgrade import with_reasons
from harness.run_directory import KERNELS


def replay_run(run: Path) -> RunResult:
    """The run in the directory ``run``, made from its kernels' files and not judged yet.

    What those files do not tell (roles, specs, packages, configs, arguments, what was
    expected) is taken from ``results.json`` where it is there; without it, the first of
    several kernels is the baseline unless the files say otherwise. Nothing is written.
    Raises InputError, in one line, for what cannot be read.
    """
    stored = results_file.load(run) if (run / results_file.FILE_NAME).exists() else None
    directories = [path for path in sorted((run / KERNELS).glob("*")) if path.is_dir()]
    if stored is None and not directories:
        raise InputError(f"{run}: holds neither {results_file.FILE_NAME} nor {KERNELS}/")
    if stored is None:
        return with_reasons(_bare(_with_roles([replay(path) for path in directories])))
    return with_reasons(replace(stored, kernels=tuple(_kernels(stored, run, directories))))


def _kernels(stored: RunResult, run: Path, directories: Sequence[Path]) -> Iterator[KernelResult]:
    """The kernels of a stored run, in its order, then those that it does not name."""
    unnamed = {path: replay(path) for path in directories}
    for kernel in stored.kernels:
        path = run / kernel.directory if kernel.directory else _of_spec(kernel.spec, unnamed)
        if path is None:  # no guest was started with it
            yield kernel
        elif path in unnamed:
            yield _known(unnamed.pop(path), kernel)
        else:
            raise InputError(f"{path}: not there, and {results_file.FILE_NAME} names it")
    yield from unnamed.values()


def _of_spec(spec: str, replayed: dict[Path, KernelResult]) -> Path | None:
    """Where the kernel of ``spec`` has its files, if the run died before it said so."""
    return next((path for path, kernel in replayed.items() if kernel.spec == spec), None)


def _known(replayed: KernelResult, stored: KernelResult) -> KernelResult:
    """What was heard, with what only the run knew."""
    return replace(
        replayed,
        spec=stored.spec,
        role=stored.role,
        release=replayed.release or stored.release,
        packages=stored.packages or replayed.packages,
        config=stored.config,
        code=stored.code,
        append=stored.append,
        reproduce=stored.reproduce,
        exact=stored.exact,
        settings=stored.settings,
        reused=stored.reused,
        earlier=stored.earlier,
    )


def _with_roles(kernels: Sequence[KernelResult]) -> tuple[KernelResult, ...]:
    if len(kernels) < 2 or any(kernel.role is Role.BASELINE for kernel in kernels):
        return tuple(kernels)
    return (replace(kernels[0], role=Role.BASELINE), *kernels[1:])


def _bare(kernels: tuple[KernelResult, ...]) -> RunResult:
    """A run of which nothing but its kernels is known."""
    accels = dict.fromkeys(boot.accel for kernel in kernels for boot in kernel.boots)
    return RunResult(
        schema=SCHEMA,
        exit_code=int(ExitCode.INFRASTRUCTURE),
        started="",
        command="",
        seed=0,
        host=HostInfo(next(iter(accels), ""), "as recorded", qemu="", vng="", cpus=0),
        kernels=kernels,
    )
