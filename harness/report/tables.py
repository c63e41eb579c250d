"""Small tables: drawn on a terminal, aligned lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.text import clean

_WRAPPED = 16  # characters that a column which wraps needs at least


@dataclass(frozen=True)
class Column:
    """One column: its heading, and how it is laid out on a terminal."""

    name: str
    right: bool = False
    style: str = ""
    wrap: bool = True  # else its cells are never broken
    dropped_below: int = 0  # left out on terminals of fewer columns


def print_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    console: Console,
    styles: Sequence[str] = (),
) -> None:
    """Print ``rows`` below the columns' names; ``styles`` are of the first cell of each row.

    On a terminal cells wrap to its width; elsewhere, and on one that is too narrow for
    columns, each row is one line, whatever its length, its cells two spaces or more apart.
    """
    cells = [[clean(cell).replace("\t", " ") for cell in row] for row in rows]
    if console.is_terminal:
        shown = [n for n, column in enumerate(columns) if console.width >= column.dropped_below]
        columns = [columns[number] for number in shown]
        cells = [[row[number] for number in shown] for row in cells]
    if not console.is_terminal or not _fits(columns, cells, console.width):
        for line in _lines(columns, cells):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(
            column.name,
            justify="right" if column.right else "left",
            style=column.style,
            header_style="bold",
            no_wrap=not column.wrap,
            overflow="fold",
        )
    for number, row in enumerate(cells):
        told = [Text(cell) for cell in row]
        if styles:
            told[0].stylize(styles[number])
        table.add_row(*told)
    console.print(table)


def _fits(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a terminal is wide enough for what is not to be wrapped, and some of the rest."""
    needed = 0
    for number, column in enumerate(columns):
        widest = max(len(cell) for cell in (column.name, *(row[number] for row in rows)))
        needed += (min(widest, _WRAPPED) if column.wrap else widest) + 2
    return needed <= width


def _lines(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [[column.name for column in columns], *rows]
    widths = [max(len(row[number]) for row in table) for number in range(len(columns))]
    return [
        "  ".join(
            (cell or "-").rjust(width) if column.right else (cell or "-").ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in table
    ]


def bytes_in_words(size: int) -> str:
    """A size for people: ``35 MB``, in powers of ten as Debian's tools print them."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def age_in_words(seconds: float) -> str:
    """How long ago something was: ``now``, ``5 min ago``, ``3 h ago``, ``12 days ago``."""
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 48 * 3600:
        return f"{seconds // 3600:.0f} h ago"
    return f"{seconds // 86400:.0f} days ago"
