"""Judges a stored run anew and makes its reports."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.commands.actions.reporting import deliver, exit_in_words_of, given_expectations
from harness.commands.report import MERGE
from harness.errors import InputError
from harness.judge.conclude import can_be_judged_anew, conclude, judged_anew
from harness.judge.expectations import run_expectations
from harness.model import RunResult
from harness.output import complain
from harness.replayed import replay_run
from harness.report import results_file


def execute(arguments: argparse.Namespace) -> int:
    """Judge and render; returns the exit code of the run that is reported."""
    if str(arguments.runs[0]) == MERGE:
        from harness.commands.actions.report_merge import merge  # noqa: PLC0415  (slow)

        return merge(arguments, arguments.runs[1:])
    if len(arguments.runs) > 1:
        raise InputError(f"{arguments.runs[1]}: one run at a time; compare takes several")
    if arguments.out is not None:
        raise InputError(f"--out: only {MERGE} makes a run directory; reports go to --output")
    arguments.run = arguments.runs[0]
    result = judged_run(arguments)
    directory = arguments.run if arguments.run.is_dir() else arguments.run.parent
    rewritten = "json" in arguments.format and arguments.output is None
    if rewritten and given_expectations(arguments) is not None:
        raise InputError(
            f"{arguments.run}: its {results_file.FILE_NAME} says what the run expected;"
            " name another file with --output"
        )
    deliver(result, arguments, directory)
    return exit_in_words_of(arguments.exit, result)


def judged_run(arguments: argparse.Namespace) -> RunResult:
    """The run that the arguments name, judged as they say; raises InputError.

    An exit code that differs from the stored one is said, unless other things are expected.
    """
    stored = _replayed(arguments.run) if arguments.replay else results_file.load(arguments.run)
    given = given_expectations(arguments, (stored,))
    if given is not None or arguments.replay:
        if not can_be_judged_anew(stored):
            raise InputError(
                f"{arguments.run}: stored by an earlier version, which did not keep what a"
                " verdict rests on; it cannot be judged by other expectations"
            )
        return conclude(stored, given or run_expectations(stored), None)
    result = judged_anew(stored, None)
    if result.exit_code != stored.exit_code:
        complain(
            f"{arguments.run}: judged anew the exit code is {result.exit_code};"
            f" {stored.exit_code} was stored"
        )
    return result


def _replayed(run: Path) -> RunResult:
    try:
        return replay_run(run)
    except OSError as error:
        raise InputError(f"{error.filename or run}: {error.strerror or error}") from error
