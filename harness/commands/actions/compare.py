"""Compares kernels of stored runs."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from harness.benchmark.file import find
from harness.commands.actions.benchmark import refuse_without_extra
from harness.commands.actions.reporting import deliver, given_expectations
from harness.compared import compared_result, stored_runs
from harness.errors import InputError


def execute(arguments: argparse.Namespace) -> int:
    """Compare; returns the exit code of a run of these kernels."""
    benchmarks = stored_benchmarks(arguments.kernels)
    if benchmarks:
        return _compare_benchmarks(benchmarks, arguments)
    if arguments.max_slowdown is not None:
        raise InputError("--max-slowdown: is for what benchmark measured")
    runs = stored_runs(arguments.kernels)
    result = compared_result(
        arguments.kernels,
        runs,
        given_expectations(arguments, tuple(runs.values())),
        shlex.join(["afalg-harness", *sys.argv[1:]]),
        unlike=arguments.unlike,
    )
    deliver(result, arguments, None)
    return result.exit_code


def stored_benchmarks(operands: list[str]) -> list[Path]:
    """The operands, if they name runs of ``benchmark``. Raises InputError if only some do."""
    found = [path for operand in operands if (path := find(Path(operand))) is not None]
    if found and len(found) < len(operands):
        other = next(one for one in operands if find(Path(one)) is None)
        raise InputError(f"{other}: is no benchmark, and cannot be compared with one")
    return found


def _compare_benchmarks(runs: list[Path], arguments: argparse.Namespace) -> int:
    if arguments.format:
        raise InputError("--format: what benchmark measured is printed; its page is beside it")
    refuse_without_extra("compare")
    from harness.commands.actions.benchmarked import compare  # noqa: PLC0415  (needs the extra)

    return compare(runs, arguments.max_slowdown, verbose=arguments.verbose)
