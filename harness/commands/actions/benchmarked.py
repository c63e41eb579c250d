"""Prints what a benchmark found, writes its page, and holds kernels against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from harness.benchmark.changes import changes, not_compared, worst
from harness.benchmark.crossing import bytes_told
from harness.benchmark.file import load
from harness.benchmark.page import FILE_NAME, page
from harness.benchmark.table import (
    between_rounds,
    print_benchmark,
    print_changes,
    print_failures,
)
from harness.benchmark.values import Benchmark, KernelCosts, Row
from harness.errors import ExitCode, InfrastructureError, InputError
from harness.files import write_whole
from harness.guest.inside.counting import INSTRUCTIONS
from harness.output import reader_may_leave

#: What became dearer did so, whatever else is not known.
_WORST_FIRST = (ExitCode.REGRESSION, ExitCode.INFRASTRUCTURE, ExitCode.OK)


def deliver(benchmark: Benchmark, most: float | None, out: Path, *, verbose: bool = False) -> int:
    """Print it, and write the page to ``out``; returns the exit code.

    ``most`` is the slowdown that is allowed, as a share; None: none is judged.
    """
    findings = tuple(judged(benchmark, most))
    write_whole(out / FILE_NAME, page(benchmark))
    with reader_may_leave():
        console = Console(emoji=False)  # "debian:a:" would become one
        print_benchmark(benchmark, console, verbose=verbose)
        console.print(f"{out}: {FILE_NAME}, benchmark.json", markup=False, soft_wrap=True)
        _print_findings(findings, console)
    if any(one.interrupted for one in benchmark.failures):
        return int(ExitCode.INTERRUPTED)
    return _exit_code(benchmark, findings)


@dataclass(frozen=True)
class Finding:
    """What ``--max-slowdown`` says of a kernel."""

    kernel: KernelCosts
    code: ExitCode
    what: str


def judged(benchmark: Benchmark, most: float | None) -> Iterator[Finding]:
    """The kernels that are slower than the first by more than ``most`` (REGRESSION), and those of
    which that is not known (INFRASTRUCTURE).
    """
    first = benchmark.first
    if most is None or first is None:
        return
    for kernel in benchmark.others:
        before, after = first.main, kernel.main
        unknown = not_compared(before, after)
        if unknown:
            row = unknown[0]
            yield Finding(
                kernel,
                ExitCode.INFRASTRUCTURE,
                f"{len(unknown)} of {len(before.rows)} rows of {first.release} have nothing to"
                f" compare with, first {_named(row)}: {row.missing or 'not asked for'}",
            )
        found = changes(before, after)
        dearest = worst(found)
        if dearest is not None and dearest.share > most:
            what = f"{_named(dearest.before)}: {dearest.share:+.1%}, more than {most:.1%}"
            yield Finding(kernel, ExitCode.REGRESSION, what)
        hidden = [one for way in found for one in way.rows if one.is_undecided(most)]
        if hidden:
            one = hidden[0]
            yield Finding(
                kernel,
                ExitCode.INFRASTRUCTURE,
                f"{len(hidden)} of {len(before.rows)} rows: too noisy, or too few rounds, to tell"
                f" whether dearer by more than {most:.1%}, first {_named(one.before)}:"
                f" {one.share:+.1%}{between_rounds(one)}",
            )


def _exit_code(benchmark: Benchmark, findings: Sequence[Finding]) -> int:
    """1 if a kernel is slower than is allowed, else 3 if one could not be measured or judged."""
    codes = {ExitCode.OK, *(one.code for one in findings)}
    if benchmark.failures:
        codes.add(ExitCode.INFRASTRUCTURE)
    return int(next(code for code in _WORST_FIRST if code in codes))


def _named(row: Row) -> str:
    return f"{row.algorithm} by {row.way}, {bytes_told(row.size)}"


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    for one in findings:
        text = f"{one.kernel.release}: {one.what}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def compare(runs: Sequence[Path], most: float | None, *, verbose: bool = False) -> int:
    """Hold kernels of stored benchmarks against the first one's first; returns the exit code.

    Of a run alone its kernels; of several the first's first one, and of each later one those that
    are compared with its own first, or that if it is alone. Raises InputError, and
    InfrastructureError if the first kernel could not be measured.
    """
    loaded = [load(run) for run in runs]
    told = sorted({_how(one) for one in loaded})
    if len(told) > 1:
        raise InputError(f"compare: not measured alike: {', '.join(told)}")
    in_turn = len(loaded) == 1
    if most is not None and loaded[0].unit != INSTRUCTIONS and not in_turn:
        raise InputError(
            f"--max-slowdown: {loaded[0].unit} of different runs differ by what the machine did"
            " meanwhile, too: benchmark both kernels in one run"
        )
    whole = _joined(loaded)
    if whole.first is None:
        raise InfrastructureError(f"{runs[0]}: {whole.baseline} could not be measured")
    if not whole.others and not whole.failures:
        raise InputError(f"{runs[0]}: name a benchmark to compare it with")
    findings = tuple(judged(whole, most))
    with reader_may_leave():
        console = Console(emoji=False)  # "debian:a:" would become one
        for kernel in whole.others:
            print_changes(
                whole.first, kernel, whole.unit, console, verbose=verbose, in_turn=in_turn
            )
        print_failures(whole, console)
        _print_findings(findings, console)
    return _exit_code(whole, findings)


def _how(benchmark: Benchmark) -> str:
    """What two benchmarks have to have in common to be compared."""
    text = f"{benchmark.unit} by QEMU {benchmark.qemu}"
    if benchmark.unit != INSTRUCTIONS:
        text += f" under {benchmark.accel.upper()} on {benchmark.host_cpu}"
    return text


def _joined(loaded: Sequence[Benchmark]) -> Benchmark:
    """The first one, with the kernels of the others that are to be compared with its first.

    What could not be measured is in it as far as it would have been compared.
    """
    first, *others = loaded
    failures = tuple(
        one
        for run in others or loaded
        for one in run.failures
        if not one.part and one.spec != run.baseline
    )
    kernels = first.kernels
    if others and first.first is not None:
        kernels = (first.first, *(one for run in others for one in run.others or run.kernels))
    return replace(first, kernels=kernels, failures=failures)
