"""What commands share that judge stored runs and pass reports on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.bisect.found import introduced_by
from harness.errors import InfrastructureError, InputError
from harness.judge.expectations import Expectations, load_expectations, run_expectations
from harness.model import RunResult
from harness.output import reader_may_leave
from harness.report.formats import SYNONYMS
from harness.report.nipa import nipa_exit
from harness.report.options import ReportOptions, labels_of
from harness.report.render import format_named, pieces, write
from harness.report.screen import print_result

_STDOUT = Path("-")


def given_expectations(
    arguments: argparse.Namespace, runs: Sequence[RunResult] = ()
) -> Expectations | None:
    """What the options say; None without any. Raises InputError for what is malformed.

    ``--expect`` alone comes on top of what ``runs`` expected, a file replaces that.
    """
    if arguments.expectations is None and not arguments.expect:
        return None
    given = load_expectations(arguments.expectations, arguments.expect)
    if arguments.expectations is not None:
        return given
    stored = [rule for run in runs for rule in run_expectations(run).rules if rule.explicit]
    defaults = [rule for rule in given.rules if not rule.explicit]
    return Expectations((*defaults, *stored, *(rule for rule in given.rules if rule.explicit)))


def exit_in_words_of(whose: str, result: RunResult) -> int:
    """The exit code of a run, as ``--exit`` says."""
    return int(nipa_exit(result)) if whose == "nipa" else result.exit_code


def deliver(result: RunResult, arguments: argparse.Namespace, run_dir: Path | None) -> None:
    """Print the answer, or write the reports that the arguments name.

    ``run_dir`` is where files go if no ``--output`` says otherwise; None: to stdout. Raises
    InputError for an ``--output`` that does not fit, InfrastructureError if it takes nothing.
    """
    formats = list(dict.fromkeys(SYNONYMS.get(name, name) for name in arguments.format))
    options = ReportOptions(
        labels=labels_of(arguments.label, result.kernels),
        introduced=introduced_by(run_dir) if run_dir is not None else "",
        url=arguments.url,
        directory=run_dir,
    )
    output: Path | None = arguments.output
    if not formats and output is None:
        with reader_may_leave():
            print_result(result, Console(), run_dir, verbose=arguments.verbose)
        return
    formats = formats or ["text"]
    if output is None and (run_dir is None or formats == ["text"]):
        output = _STDOUT
    if output == _STDOUT:
        _print(result, formats, options)
        return
    for name, path in _files(formats, output, run_dir):
        try:
            write(result, name, path, options)
        except InfrastructureError as error:
            hint = "" if output else "; name another place with --output"
            raise InfrastructureError(f"{error}{hint}") from error
        print(path)


def _print(result: RunResult, formats: Sequence[str], options: ReportOptions) -> None:
    if len(formats) > 1:
        raise InputError(
            f"standard output takes one format, not {', '.join(formats)}; name a directory"
            " with --output"
        )
    with reader_may_leave():
        for piece in pieces(result, formats[0], options):
            sys.stdout.write(piece)


def _files(
    formats: Sequence[str], output: Path | None, run_dir: Path | None
) -> list[tuple[str, Path]]:
    """Each format with the file that it goes to."""
    directory = run_dir if output is None else output
    assert directory is not None
    several = len(formats) > 1 and output is not None
    if several and output is not None and not output.is_dir():
        if output.exists():
            raise InputError(f"--output {output}: {len(formats)} formats need a directory")
        try:
            output.mkdir(parents=True)
        except OSError as error:
            raise InfrastructureError(f"--output {output}: {error.strerror or error}") from error
    if directory.is_dir():
        return [(name, directory / format_named(name).file_name) for name in formats]
    return [(formats[0], directory)]
