"""annotations.txt: workflow commands, which GitHub shows beside the job that prints them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.facts import short_name
from harness.model import RunResult
from harness.report.answer import sentence
from harness.report.cases import Case, cases
from harness.report.options import ReportOptions, called
from harness.text import clean, cut, short

#: GitHub shows ten errors and ten warnings of a step, and drops the others without a word.
_SHOWN = 10
_TITLE = 200
_TEXT = 4000


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """An error for each cause for which the run fails, a warning for what is not known."""
    found: dict[str, list[tuple[str, str]]] = {"error": [], "warning": []}
    for kernel in result.kernels:
        name = called(kernel, result.kernels, options)
        for case in cases(kernel, result):
            if case.mark.is_red:
                level = "warning" if case.kind == "unknown" else "error"
                where = f"{case.group}::{case.name}" if case.group.endswith(".py") else case.name
                found[level].append((f"AF_ALG on {name}: {where}", _told(case)))
    for level, told in found.items():
        kept = told if len(told) <= _SHOWN else told[: _SHOWN - 1]
        for title, text in kept:
            yield _command(level, title, text)
        if kept is not told:
            rest = "\n".join(f"{title}: {text}" for title, text in told[len(kept) :])
            yield _command(level, f"AF_ALG: {len(told) - len(kept)} more", rest)
    yield _command("notice", "AF_ALG", sentence(result))


def _told(case: Case) -> str:
    """A case at length; where it is about several things, their names come first, uncut."""
    text = case.text or case.message
    if len(case.ids) < 2:
        return text
    first, _, rest = text.partition("\n")
    return "\n".join([first, ", ".join(map(short_name, case.ids)), rest])


def _command(level: str, title: str, text: str) -> str:
    lines = "\n".join(map(clean, cut(text, _TEXT).splitlines()))
    return f"::{level} title={_property(short(title, _TITLE))}::{_escaped(lines)}\n"


def _escaped(text: str) -> str:
    """Text as actions/toolkit escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
