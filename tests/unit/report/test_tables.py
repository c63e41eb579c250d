"""Small tables, on terminals of any width and elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.report.tables import Column, age_in_words, bytes_in_words, print_table

COLUMNS = (
    Column("NAME", wrap=False),
    Column("SIZE", right=True, wrap=False, dropped_below=50),
    Column("WHAT"),
)
ROWS = [["debian:6.12.43+deb12-amd64", "35 MB", "one two three four five six"], ["b", "7 B", ""]]


def _printed(width: int, *, terminal: bool) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    print_table(COLUMNS, ROWS, console)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_not_on_a_terminal() -> None:
    assert _printed(20, terminal=False) == [
        "NAME                         SIZE  WHAT",
        "debian:6.12.43+deb12-amd64  35 MB  one two three four five six",
        "b                             7 B  -",
    ]


def test_wraps_only_what_may_be_wrapped() -> None:
    assert _printed(60, terminal=True) == [
        "NAME                         SIZE  WHAT",
        "debian:6.12.43+deb12-amd64  35 MB  one two three four five",
        "                                   six",
        "b                             7 B",
    ]


def test_narrow() -> None:
    assert _printed(49, terminal=True) == [
        "NAME                        WHAT",
        "debian:6.12.43+deb12-amd64  one two three four",
        "                            five six",
        "b",
    ]


def test_too_narrow_for_columns() -> None:
    """The terminal breaks the lines; no name is broken by us, and nothing is cut."""
    assert _printed(30, terminal=True) == [
        "NAME                        WHAT",
        "debian:6.12.43+deb12-amd64  one two three four five six",
        "b                           -",
    ]


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (46_583_808, "47 MB"), (999_600_000, "1.0 GB")],
)
def test_sizes(size: int, words: str) -> None:
    assert bytes_in_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "now"),
        (59, "now"),
        (60, "1 min ago"),
        (3600, "1 h ago"),
        (47 * 3600, "47 h ago"),
        (12.5 * 86400, "12 days ago"),
    ],
)
def test_ages(seconds: float, words: str) -> None:
    assert age_in_words(seconds) == words
