"""Makes the man pages of all commands from their parsers: afalg-harness(1), -run(1) and so on.

Building a wheel calls this (``[tool.hatch.build.targets.wheel.hooks.custom]`` of
pyproject.toml), and puts the pages where man looks for them. By hand::

    python ci/man_pages.py DIRECTORY
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from argparse_manpage.manpage import Manpage
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_TOP = Path(__file__).resolve().parents[1]
_MANUAL = "AF_ALG harness"
#: A paragraph of help that begins so is a section of its own.
_HEADING = re.compile(r"(examples?|exit codes|completion)\b([^\n]*):\n")


class ManPages(BuildHookInterface):  # type: ignore[type-arg]  # of its configuration, which it has none of
    """Hatch's build hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the pages to what the wheel installs; ``version`` is the kind of wheel."""
        self._directory = tempfile.TemporaryDirectory(prefix="man-")
        for path in write_pages(Path(self._directory.name), self.metadata.version):
            build_data["shared_data"][str(path)] = f"share/man/man1/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Delete what the wheel now has."""
        self._directory.cleanup()


def write_pages(directory: Path, version: str) -> list[Path]:
    """Write a page for each command into ``directory``; returns their paths, sorted."""
    sys.path.insert(0, str(_TOP))  # the build's Python has no harness, and none of what it uses
    try:
        from harness.cli import build_parser  # noqa: PLC0415
    finally:
        sys.path.remove(str(_TOP))
    paths = []
    for name, text in pages(build_parser(), version):
        paths.append(directory / f"{name}.1")
        paths[-1].write_text(text, encoding="utf-8")
    return sorted(paths)


def pages(
    parser: argparse.ArgumentParser, version: str, summary: str = "", above: str = ""
) -> Iterator[tuple[str, str]]:
    """The page of ``parser`` and those of its commands, each with its name.

    ``summary`` is a line that says what it is for, ``above`` the name of the page over it.
    ``parser`` is of no use afterwards.
    """
    name = _page_name(parser)
    commands = _commands(parser)
    yield name, _page(parser, commands, version, summary or _summary(parser), above)
    for command in commands:
        yield from pages(command.parser, version, command.summary, name)


class _Command(NamedTuple):  # hatch runs this file outside of sys.modules: no dataclass works
    """A command of a parser's."""

    parser: argparse.ArgumentParser
    summary: str


def _commands(parser: argparse.ArgumentParser) -> list[_Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return [_Command(each, summaries[word]) for word, each in action.choices.items()]
    return []


def _page_name(parser: argparse.ArgumentParser) -> str:
    return parser.prog.replace(" ", "-")


def _summary(parser: argparse.ArgumentParser) -> str:
    return " ".join((parser.description or "").split()).partition(": ")[0]


def _page(
    parser: argparse.ArgumentParser,
    commands: list[_Command],
    version: str,
    summary: str,
    above: str,
) -> str:
    sections = list(_sections(parser.epilog or ""))
    parser.epilog = None
    if " ".join((parser.description or "").split()) == summary and "description" in dict(sections):
        parser.description = None  # the line of NAME says it
    data = {
        "project_name": "afalg-harness",
        "version": version,
        "manual_title": _MANUAL,
        "description": summary,
        "date": " ",  # nothing that changes from one build of a revision to the next
    }
    page = Manpage(parser, _data=data, format="single-commands-section")
    page.prog = _page_name(parser)
    if commands:
        # Each has a page, where Manpage would put the whole of it into this one.
        _forget_commands(parser)
        page.add_section("commands", "=", "\n".join(map(_list_entry, commands)))
    for heading, text in sections:
        page.add_section(heading, "=", text)
    others = [above, *(_page_name(command.parser) for command in commands)]
    references = [f"\\fB{_roff(name)}\\fR(1)" for name in others if name]
    page.add_section("see also", "=", ", ".join(references))
    # A line that begins with this is a request to roff, which help never means.
    return re.sub(r"^'", r"\\&'", str(page), flags=re.MULTILINE)


def _forget_commands(parser: argparse.ArgumentParser) -> None:
    for actions in (parser._actions, *(group._group_actions for group in parser._action_groups)):
        actions[:] = [
            action for action in actions if not isinstance(action, argparse._SubParsersAction)
        ]


def _list_entry(command: _Command) -> str:
    return f".TP\n\\fB{_roff(_page_name(command.parser))}\\fR(1)\n{_line(command.summary)}"


def _sections(epilog: str) -> Iterator[tuple[str, str]]:
    """What follows the arguments in ``--help``, by the headings of a page."""
    notes = []
    for paragraph in re.split(r"\n\n(?! )", epilog.strip()):
        heading = _HEADING.match(f"{paragraph}\n")
        if heading is None:
            notes.append(paragraph)
            continue
        lines = paragraph.partition("\n")[2]
        qualified = f"{heading[2].strip()}\n" if heading[2].strip() else ""
        yield heading[1], _as_it_stands(f"{qualified}{lines}")
    if any(notes):
        yield "description", _as_it_stands("\n\n".join(notes))


def _as_it_stands(text: str) -> str:
    """Text with its own lines."""
    return "\n".join([".nf", *map(_line, text.splitlines()), ".fi"])


def _line(text: str) -> str:
    return f"\\&{_roff(text)}" if text[:1] in (".", "'") else _roff(text)


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    for written in write_pages(Path(sys.argv[1]), "(checkout)"):
        print(written)
