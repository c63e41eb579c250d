"""judge a stored run anew and render its reports, in any format

example:
  afalg-harness report runs/20261123T101500Z-1a2b --format summary
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from harness.judge.conclude import judged_anew
from harness.output import complain, reader_may_leave
from harness.report import store
from harness.report.render import FORMATS, render
from harness.report.terminal import print_tests, print_verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``report``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument(
        "--format",
        action="append",
        choices=sorted({*FORMATS, "text"}),
        default=[],
        help="a file to write into the run directory; text prints the verdict (default)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Judge and render; returns the exit code of the run that is reported."""
    stored = store.load(arguments.run)
    directory = arguments.run if arguments.run.is_dir() else arguments.run.parent
    result = judged_anew(stored, directory)
    if result.exit_code != stored.exit_code:
        complain(
            f"{arguments.run}: judged anew the exit code is {result.exit_code};"
            f" {stored.exit_code} was stored"
        )
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
