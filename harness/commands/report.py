"""judge a stored run anew and render its reports, in any format

example:
  afalg-harness report runs/20261123T101500Z-1a2b --format summary
  afalg-harness report --replay runs/20261123T101500Z-1a2b
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from harness.errors import InputError
from harness.judge.conclude import conclude, judged_anew
from harness.judge.expectations import run_expectations
from harness.model import RunResult
from harness.output import complain, reader_may_leave
from harness.replayed import replay_run
from harness.report import results_file
from harness.report.render import FORMATS, SYNONYMS, render
from harness.report.terminal import print_tests, print_verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``report``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument(
        "--format",
        action="append",
        choices=sorted({*FORMATS, *SYNONYMS, "text"}),
        default=[],
        help="a file to write into the run directory; text prints the verdict (default)",
    )
    parser.add_argument(
        "--replay",
        action="store_true",
        help="make the result again from console.log and events.jsonl, and judge it anew",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Judge and render; returns the exit code of the run that is reported."""
    result = _replayed(arguments.run) if arguments.replay else _stored(arguments.run)
    directory = arguments.run if arguments.run.is_dir() else arguments.run.parent
    formats = arguments.format or ["text"]
    for path in render(result, directory, [name for name in formats if name != "text"]):
        print(path)
    if "text" in formats:
        console = Console()
        with reader_may_leave():
            if arguments.verbose:
                print_tests(result, console)
            print_verdict(result, console, directory)
    return result.exit_code


def _stored(run: Path) -> RunResult:
    """The stored result, judged anew; a verdict that differs from the stored one is said."""
    stored = results_file.load(run)
    result = judged_anew(stored, None)
    if result.exit_code != stored.exit_code:
        complain(
            f"{run}: judged anew the exit code is {result.exit_code}; {stored.exit_code} was stored"
        )
    return result


def _replayed(run: Path) -> RunResult:
    try:
        replayed = replay_run(run)
    except OSError as error:
        raise InputError(f"{error.filename or run}: {error.strerror or error}") from error
    return conclude(replayed, run_expectations(replayed), None)
