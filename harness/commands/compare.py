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
from harness.judge.conclude import compare_all
from harness.model import Role
from harness.output import reader_may_leave
from harness.report.store import load
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
    kernels = (replace(baseline[0], role=Role.BASELINE), *candidates)
    result = compare_all(replace(later, kernels=kernels), None)
    with reader_may_leave():
        print_verdict(result, Console(), None)
    return result.exit_code
