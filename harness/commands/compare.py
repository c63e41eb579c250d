"""compare the kernels of two stored runs, without booting anything

example:
  afalg-harness compare runs/before runs/after
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.errors import InputError
from harness.judge.compare import something_in_common
from harness.judge.conclude import conclude
from harness.judge.expectations import run_expectations
from harness.model import Role
from harness.output import reader_may_leave
from harness.report.results_file import load
from harness.report.terminal import print_verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``compare``."""
    parser.add_argument("baseline", type=Path, metavar="RUN_A", help="run directory (baseline)")
    parser.add_argument("candidate", type=Path, metavar="RUN_B", help="run directory (candidate)")


def execute(arguments: argparse.Namespace) -> int:
    """Compare RUN_A's baseline (its first kernel) with every candidate of RUN_B."""
    baseline = load(arguments.baseline).kernels
    later = load(arguments.candidate)
    candidates = [kernel for kernel in later.kernels if kernel.role is Role.CANDIDATE]
    for run, kernels in ((arguments.baseline, baseline), (arguments.candidate, candidates)):
        if not kernels:
            raise InputError(f"{run}: the run holds no kernel to compare")
    for kernel in candidates:
        if not something_in_common(baseline[0], kernel):
            raise InputError(
                f"{arguments.candidate}: {kernel.release} was put to no test that "
                f"{baseline[0].release} of {arguments.baseline} was: there is nothing to compare"
            )
    kernels = (replace(baseline[0], role=Role.BASELINE), *candidates)
    observed = replace(later, kernels=kernels)
    result = conclude(observed, run_expectations(later), None, same_run=False)
    with reader_may_leave():
        print_verdict(result, Console(), None)
    return result.exit_code
