"""States of the zero-copy paths over many kernels, for ``kernels map``: text, csv, json, html.

The oldest kernel stands at the top.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from string import ascii_uppercase

from rich.console import Console
from rich.text import Text

from harness.report.html.map_page import page
from harness.report.state_map import Column, KernelStates, path_columns, paths_of, state_of
from harness.text import clean

#: What a state is where its word has no room. What the code alone says has a question mark.
SIGNS = {
    "present": "P",
    "absent": "a",
    "unreachable": "-",
    "unknown": "?",
    "can": "P?",
    "cannot": "a?",
    "silent": "??",
    "": "",
}
_STYLES = {"good": "green", "bad": "bold red", "doubt": "yellow", "plain": "", "none": "dim"}
_INDENT = 4  # of what a legend goes on with


def print_map(kernels: Sequence[KernelStates], console: Console) -> None:
    """Print the table: columns are lettered, and the letters are explained above it.

    On a terminal states are signs where words have no room, and what still does not fit
    follows in a second table; elsewhere rows are as long as they need to be.
    """
    columns = path_columns(kernels)
    width = console.width if console.is_terminal else None
    for line in _head(kernels, columns, width):
        console.print(line, highlight=False, soft_wrap=True)
    for line in _tables(kernels, columns, width):
        console.print(line, highlight=False, soft_wrap=True)


def text_pieces(kernels: Sequence[KernelStates]) -> Iterator[str]:
    """The same for a file."""
    file = io.StringIO()
    print_map(kernels, Console(file=file, width=80))
    yield file.getvalue()


def summary(kernels: Sequence[KernelStates]) -> str:
    """``12 kernels, 2 of them by their code alone``."""
    by_code = sum(bool(kernel.code) for kernel in kernels)
    told = f"{len(kernels)} kernel{'s' if len(kernels) != 1 else ''}"
    return f"{told}, {by_code} of them by their code alone" if by_code else told


def _head(
    kernels: Sequence[KernelStates], columns: Sequence[Column], width: int | None
) -> Iterator[Text]:
    yield Text(summary(kernels), style="bold")
    for letter, column in zip(_letters(len(columns)), columns, strict=True):
        lines = _wrapped(column.label, (width or 100_000) - _INDENT)
        yield Text(f"{letter:<{_INDENT}}{lines[0]}")
        yield from (Text(" " * _INDENT + line) for line in lines[1:])
    if any(kernel.code for kernel in kernels):
        yield Text("can, cannot: refer to pages, going by the code of a kernel that never ran here")


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken behind ``;`` and ``,`` and at blanks."""
    lines = [""]
    for word in clean(text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _letters(number: int) -> list[str]:
    """``A``, ``B``, ... ``Z``, ``AA``, ..."""
    pairs = (one + other for one in ascii_uppercase for other in ascii_uppercase)
    return [letter for letter, _ in zip(chain(ascii_uppercase, pairs), range(number), strict=False)]


def _tables(
    kernels: Sequence[KernelStates], columns: Sequence[Column], width: int | None
) -> Iterator[Text]:
    names = [clean(kernel.name) for kernel in kernels]
    first = max(map(len, ("KERNEL", *names))) + 2
    words = [[column.states[row].word for column in columns] for row in range(len(kernels))]
    lettered = list(zip(_letters(len(columns)), columns, strict=True))
    if width is not None and first + sum(_widths(words, lettered)) > width:
        words = [[SIGNS.get(word, word) for word in row] for row in words]
        signs = {SIGNS[shown.word]: shown.word for c in columns for shown in c.states}
        told = ", ".join(f"{sign} {word}" for sign, word in signs.items() if sign)
        for line in _wrapped(told, width):
            yield Text(line, style="dim")
    widths = _widths(words, lettered)
    begin = 0
    while begin < len(columns):
        end = begin + 1
        while end < len(columns) and (
            width is None or first + sum(widths[begin : end + 1]) <= width
        ):
            end += 1
        yield Text("")
        heads = (
            letter.ljust(widths[begin + n]) for n, (letter, _) in enumerate(lettered[begin:end])
        )
        yield Text(("KERNEL".ljust(first) + "".join(heads)).rstrip(), style="bold")
        for row, name in enumerate(names):
            cells = Text(name.ljust(first))
            for place in range(begin, end):
                style = _STYLES.get(columns[place].states[row].look, "")
                cells.append(words[row][place].ljust(widths[place]), style=style)
            cells.rstrip()
            yield cells
        begin = end


def _widths(words: Sequence[Sequence[str]], lettered: Sequence[tuple[str, Column]]) -> list[int]:
    return [
        max(len(letter), *(len(row[place]) for row in words)) + 2
        for place, (letter, _) in enumerate(lettered)
    ]


def csv_pieces(kernels: Sequence[KernelStates]) -> Iterator[str]:
    """A row for each kernel, a column for each path."""
    paths = paths_of(kernels)
    for row in (
        ("kernel", "release", "from", "run", "started", *paths),
        *(_csv_row(kernel, paths) for kernel in kernels),
    ):
        line = io.StringIO()
        csv.writer(line).writerow(row)
        yield line.getvalue()


def _csv_row(kernel: KernelStates, paths: Iterable[str]) -> tuple[str, ...]:
    states = (state_of(kernel, path).word for path in paths)
    return (kernel.name, kernel.release, _source(kernel), kernel.run, kernel.seen, *states)


def _source(kernel: KernelStates) -> str:
    return "code" if kernel.code else "run"


def json_pieces(kernels: Sequence[KernelStates]) -> Iterator[str]:
    """An object for each kernel; its ``states`` name every path that is known of it."""
    paths = paths_of(kernels)
    rows = [
        {
            "kernel": kernel.name,
            "release": kernel.release,
            "from": _source(kernel),
            "run": kernel.run,
            "started": kernel.seen,
            "states": {path: word for path, word in _words(kernel, paths) if word},
        }
        for kernel in kernels
    ]
    yield json.dumps(rows, indent=1) + "\n"


def _words(kernel: KernelStates, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        yield path, str(state_of(kernel, path).word)


def html_pieces(kernels: Sequence[KernelStates]) -> Iterator[str]:
    """One page: the picture, and the table below it."""
    yield from page(kernels, summary(kernels))


FORMATS: Mapping[str, Callable[[Sequence[KernelStates]], Iterator[str]]] = {
    "text": text_pieces,
    "html": html_pieces,
    "csv": csv_pieces,
    "json": json_pieces,
}
