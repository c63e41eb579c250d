"""What a run selected of the suites, so that a result of a few tests is not taken for more."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable

#: Of a run that is not known to be one: it covers nothing but itself.
UNKNOWN = "?"


_KEYWORD = "-k "


def selected(suites: Iterable[str], keyword: str | None) -> str:
    """A line for each suite or test, and one for ``-k``; "" is everything."""
    return "\n".join([*sorted(set(suites)), *([f"{_KEYWORD}{keyword}"] if keyword else ())])


def selected_by(command: str) -> str:
    """The same of the command line of a run."""
    try:
        words = shlex.split(command)
    except ValueError:
        return UNKNOWN
    if words[:2] != ["afalg-harness", "run"]:
        return UNKNOWN
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("-k", dest="keyword")
    try:
        found, _ = parser.parse_known_args(words[2:])
    except (argparse.ArgumentError, SystemExit):
        return UNKNOWN
    return selected(found.suite, found.keyword)


def covers(stored: str, asked: str) -> bool:
    """Whether a run that selected ``stored`` was put to all that ``asked`` selects."""
    if UNKNOWN in (stored, asked):
        return False
    if stored in ("", asked):
        return True
    lines = stored.split("\n")
    narrowed = not asked or any(line.startswith(_KEYWORD) for line in lines)
    wanted = (line for line in asked.split("\n") if not line.startswith(_KEYWORD))
    return not narrowed and set(lines).issuperset(wanted)
