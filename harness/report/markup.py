"""Text that others wrote, made fit for GitHub's Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from harness.text import clean, short

#: Characters of one cell, or of one item of a list.
CELL = 300
_FENCED_LINE = 500
#: An underscore between letters is none; escaping it would only spoil the source.
_MARKUP = re.compile(r"[\\|*<>&`~$\[\]]|\b_(?!\w)|(?<!\w)_")
#: What would call somebody, or point to an issue, in a comment.
_REFERENCE = re.compile(r"([@#])(?=\w)")


def plain(text: str, limit: int = CELL) -> str:
    """Plain text inside Markdown: one line, nothing of it taken for markup."""
    escaped = _MARKUP.sub(r"\\\g<0>", short(text, limit))
    return _REFERENCE.sub(r"\1<!-- -->", escaped)


def code(text: str, limit: int = CELL) -> str:
    """A name or command, verbatim."""
    verbatim = short(text, limit).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", verbatim)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if verbatim.startswith("`") or verbatim.endswith("`") or not verbatim else ""
    return f"{fence}{pad}{verbatim}{pad}{fence}"


def fenced(lines: Sequence[str], most: int, language: str = "") -> Iterator[str]:
    """Lines verbatim, at most ``most`` of them and one that says how many are left out."""
    if not lines:
        return
    shown = [
        clean(line) if len(line) <= _FENCED_LINE else short(line, _FENCED_LINE)
        for line in lines[:most]
    ]
    if len(lines) > most:
        shown.append(f"... {len(lines) - most} more lines in results.json")
    longest = max((len(run) for line in shown for run in re.findall("~+", line)), default=0)
    fence = "~" * max(4, longest + 1)
    yield f"{fence}{language}"
    yield from shown
    yield fence


def folded(summary: str, lines: Sequence[str]) -> Iterator[str]:
    """A part that is shown when its summary is clicked."""
    yield f"<details><summary>{html.escape(short(summary, CELL))}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
