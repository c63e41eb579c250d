"""Prints what a benchmark found, writes its page, and holds kernels against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.benchmark.changes import changes, not_compared, worst
from harness.benchmark.crossing import bytes_told
from harness.benchmark.file import load
from harness.benchmark.page import FILE_NAME, page
from harness.benchmark.table import print_benchmark, print_changes
from harness.benchmark.values import MAIN, Benchmark, KernelCosts, Row
from harness.errors import ExitCode, InputError
from harness.files import write_whole

#: What became dearer did so, whatever else is not known.
_WORST_FIRST = (ExitCode.REGRESSION, ExitCode.INFRASTRUCTURE, ExitCode.OK)


def deliver(
    benchmark: Benchmark, most: float | None, out: Path | None, *, verbose: bool = False
) -> int:
    """Print it, and write the page to ``out``; returns the exit code.

    ``most`` is the slowdown that is allowed, as a share; None: nothing is judged.
    """
    console = Console()
    print_benchmark(benchmark, console, verbose=verbose)
    if out is not None:
        write_whole(out / FILE_NAME, page(benchmark))
        console.print(f"{out}: {FILE_NAME}, benchmark.json", markup=False, soft_wrap=True)
    return judged(benchmark, most, console)


def judged(benchmark: Benchmark, most: float | None, console: Console) -> int:
    """1 if any kernel is slower than the first by more than ``most``, 3 if of any that is not
    known; says by what row.
    """
    if most is None:
        return int(ExitCode.OK)
    codes = {ExitCode.OK}
    first, *others = benchmark.kernels
    for kernel in others:
        before, after = first.count(MAIN), kernel.count(MAIN)
        unknown = not_compared(before, after)
        if unknown:
            codes.add(ExitCode.INFRASTRUCTURE)
            row = unknown[0]
            _say(
                console,
                kernel,
                f"{len(unknown)} of {len(before.rows)} rows of {first.release} have nothing to"
                f" compare with, first {_named(row)}: {row.missing or 'not asked for'}",
            )
        found = worst(changes(before, after))
        if found is not None and found.share > most:
            codes.add(ExitCode.REGRESSION)
            _say(
                console,
                kernel,
                f"{_named(found.before)}: {found.share:+.1%}, more than {most:.1%}",
            )
    return int(next(code for code in _WORST_FIRST if code in codes))


def _named(row: Row) -> str:
    return f"{row.algorithm} by {row.way}, {bytes_told(row.size)}"


def _say(console: Console, kernel: KernelCosts, what: str) -> None:
    console.print(f"{kernel.release}: {what}", markup=False, highlight=False, soft_wrap=True)


def compare(runs: Sequence[Path], most: float | None, *, verbose: bool = False) -> int:
    """Hold kernels of stored benchmarks against the first one's first; returns the exit code.

    Of a run alone its kernels; of several the first's first one, and of each later one those that
    are compared with its own first, or that if it is alone. Raises InputError.
    """
    loaded = [load(run) for run in runs]
    first = loaded[0].kernels[0]
    others = list(loaded[0].kernels[1:]) if len(loaded) == 1 else []
    for benchmark in loaded[1:]:
        others += benchmark.kernels[1:] or benchmark.kernels
    if not others:
        raise InputError(f"{runs[0]}: name a benchmark to compare it with")
    if len({(one.unit, one.qemu) for one in loaded}) > 1:
        told = ", ".join(sorted({f"{one.unit} by QEMU {one.qemu}" for one in loaded}))
        raise InputError(f"compare: not measured alike: {told}")
    console = Console()
    for kernel in others:
        print_changes(first, kernel, console, verbose=verbose)
    return judged(replace(loaded[0], kernels=(first, *others)), most, console)
