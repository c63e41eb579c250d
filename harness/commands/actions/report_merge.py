"""Puts the runs of shards together, and reports the whole."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.commands.actions.reporting import deliver, exit_in_words_of
from harness.commands.report import MERGE
from harness.errors import InputError
from harness.report import results_file
from harness.report.render import render
from harness.run_directory import REPORT_FORMATS, new_run_directory, refuse_finished
from harness.shards_merged import merged


def merge(arguments: argparse.Namespace, runs: Sequence[Path]) -> int:
    """Write and report the run that ``runs`` are together; returns its exit code."""
    if not runs:
        raise InputError(f"{MERGE}: name the run directories of all shards")
    if arguments.replay or arguments.expect or arguments.expectations is not None:
        raise InputError(
            f"{MERGE}: takes no --replay, --expect or --expectations; report what it makes by them"
        )
    out = arguments.out or new_run_directory()
    refuse_finished(out)
    result = merged(runs, out)
    results_file.save(result, out / results_file.FILE_NAME)
    render(result, out, REPORT_FORMATS)
    deliver(result, arguments, out)
    return exit_in_words_of(arguments.exit, result)
