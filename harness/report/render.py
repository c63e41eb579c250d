"""A run's result -> the reports asked for, as text, as files or in the run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InfrastructureError, InputError
from harness.files import write_whole
from harness.model import RunResult
from harness.report import (
    checklist,
    csv_table,
    github,
    junit,
    kcidb,
    ktap,
    mail,
    nipa,
    results_file,
    screen,
    summary,
)
from harness.report.formats import SYNONYMS
from harness.report.html import page as html
from harness.report.options import ReportOptions

#: A run, and what the report is told beside it -> its text in pieces, line ends included.
Pieces = Callable[[RunResult, ReportOptions], Iterable[str]]


@dataclass(frozen=True)
class Format:
    """A kind of report that is a file."""

    file_name: str
    pieces: Pieces


FORMATS: Mapping[str, Format] = {
    "json": Format(results_file.FILE_NAME, results_file.pieces),
    "junit": Format("junit.xml", junit.pieces),
    "summary": Format("summary.md", summary.pieces),
    "checklist": Format(checklist.FILE_NAME, checklist.pieces),
    "mail": Format("report.eml", mail.pieces),
    "ktap": Format("report.ktap", ktap.pieces),
    "kcidb": Format("kcidb.json", kcidb.pieces),
    "github": Format("annotations.txt", github.pieces),
    "nipa": Format("checks.json", nipa.pieces),
    "csv": Format("results.csv", csv_table.pieces),
    "text": Format("report.txt", screen.pieces),
    "html": Format(html.FILE_NAME, html.pieces),
}


def format_named(name: str) -> Format:
    """The format called ``name``. Raises InputError if there is none."""
    found = FORMATS.get(SYNONYMS.get(name, name))
    if found is None:
        known = ", ".join(sorted({*FORMATS, *SYNONYMS}))
        raise InputError(f"{name}: no such report format; there are {known}")
    return found


def pieces(result: RunResult, name: str, options: ReportOptions | None = None) -> Iterator[str]:
    """The text of a report in pieces, any of which UTF-8 can hold (``--output -``).

    Raises InputError for a format that does not exist.
    """
    for piece in format_named(name).pieces(result, options or ReportOptions()):
        # A lone surrogate stands for a byte that was no text.
        yield piece.encode(errors="replace").decode()


def write(result: RunResult, name: str, path: Path, options: ReportOptions | None = None) -> None:
    """Write a report to ``path``, whole or not at all.

    Raises InputError for a format that does not exist, InfrastructureError if the file
    cannot be written.
    """
    try:
        write_whole(path, pieces(result, name, options))
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror}") from error


def render(
    result: RunResult,
    run_dir: Path,
    formats: Sequence[str],
    options: ReportOptions | None = None,
) -> tuple[Path, ...]:
    """Make each report named in ``formats``; returns the files written, in that order.

    Raises InputError for a format that does not exist, InfrastructureError if a file cannot
    be written.
    """
    options = options or ReportOptions()
    if options.directory is None:
        options = replace(options, directory=run_dir)
    written: list[Path] = []
    for name in formats:
        path = run_dir / format_named(name).file_name
        write(result, name, path, options)
        written.append(path)
    return tuple(written)
