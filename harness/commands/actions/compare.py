"""Compares kernels of stored runs."""

from __future__ import annotations

import argparse
import shlex
import sys

from harness.commands.actions.reporting import deliver, given_expectations
from harness.compared import compared_result, stored_runs


def execute(arguments: argparse.Namespace) -> int:
    """Compare; returns the exit code of a run of these kernels."""
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
