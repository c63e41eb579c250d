"""A run's result -> the reports asked for, in the run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from harness.errors import InfrastructureError, InputError
from harness.model import RunResult
from harness.report import results_file
from harness.report.junit import write_junit
from harness.report.summary import write_summary
from harness.report.terminal import print_verdict

_Writer = Callable[[RunResult, Path], None]

#: Name of a format -> what writes it, and into which file. "md" is another word for "summary".
FORMATS: Mapping[str, tuple[_Writer, str]] = {
    "json": (results_file.save, results_file.FILE_NAME),
    "junit": (write_junit, "junit.xml"),
    "summary": (write_summary, "summary.md"),
    "md": (write_summary, "summary.md"),
}


def render(result: RunResult, run_dir: Path, formats: Sequence[str]) -> tuple[Path, ...]:
    """Make each report named in ``formats``; returns the files written, in that order.

    ``text`` prints the verdict to standard output and writes no file. Raises InputError
    for a format that does not exist, InfrastructureError if a file cannot be written.
    """
    written: list[Path] = []
    for name in formats:
        if name == "text":
            print_verdict(result, Console(), run_dir)
            continue
        if name not in FORMATS:
            known = ", ".join(sorted({*FORMATS, "text"}))
            raise InputError(f"{name}: no such report format; there are {known}")
        write, file_name = FORMATS[name]
        path = run_dir / file_name
        try:
            write(result, path)
        except OSError as error:
            raise InfrastructureError(f"{path}: cannot be written: {error.strerror}") from error
        written.append(path)
    return tuple(written)
