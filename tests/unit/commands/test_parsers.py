"""The help of every command: complete, within 80 columns, with examples that can be typed."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.cli import build_parser

#: What takes a while to import, and nothing that says what can be typed needs.
_HEAVY = (
    *("rich", "pytest", "_pytest", "cryptography", "debian", "pexpect", "cattrs", "capstone"),
    *("sqlalchemy", "alembic", "sqlite3"),
)


def _parsers(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The parser of every command, by the words that name it, with those that only lead on."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _parsers(below, (*words, name))


_COMMANDS = dict(_parsers(build_parser()))
#: Those that import all that they need by themselves.
_SLOW = {("compare",), ("report",)}  # each format says what it is for
_LEAVES = [words for words, parser in _COMMANDS.items() if parser._defaults.get("execute")]


def _name(words: tuple[str, ...]) -> str:
    return " ".join(words) or "afalg-harness"


every_command = pytest.mark.parametrize("words", _COMMANDS, ids=_name)


@every_command
def test_every_argument_has_a_word(words: tuple[str, ...]) -> None:
    parser = _COMMANDS[words]
    assert parser.description
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert all(choice.help for choice in action._choices_actions)
        else:
            assert action.help, action.option_strings or action.dest


@every_command
def test_nothing_is_wider_than_a_terminal(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = _COMMANDS[words].format_help() + _COMMANDS[words].format_usage()
    assert [line for line in text.splitlines() if len(line) > 80] == []


def _examples(parser: argparse.ArgumentParser) -> list[list[str]]:
    """The command lines below "example:" or "examples:" in a help text, as a shell reads them."""
    _, found, lines = (parser.epilog or "").partition("example")
    joined = re.sub(r"\\\n\s*", "", lines)
    commands = [line for line in joined.splitlines() if line.startswith("  ")]
    assert found and commands, "no example"
    return [shlex.split(command.partition(" >")[0]) for command in commands]


@every_command
def test_each_example_can_be_typed(words: tuple[str, ...]) -> None:
    for command in _examples(_COMMANDS[words]):
        start = command.index("afalg-harness")
        assert start == 0 or command[:start] == ["git", "bisect", "run"]
        arguments = command[start + 1 :]
        assert tuple(arguments[: len(words)]) == words
        assert build_parser(arguments).parse_args(arguments).execute


def test_all_examples_are_seen() -> None:
    assert len(_LEAVES) > 10
    assert len(_examples(_COMMANDS[("bisect",)])) == 2


@pytest.mark.parametrize("words", _LEAVES, ids=_name)
def test_one_command_is_no_different_from_all(words: tuple[str, ...]) -> None:
    """What is made for one command line says the same as what is made for all."""
    parser = build_parser([*words, "--help"])
    assert dict(_parsers(parser))[words].format_help() == _COMMANDS[words].format_help()


def test_help_that_names_all_commands() -> None:
    """Their summaries are read, and nothing of them is imported."""
    for words in ([], ["--help"], ["kernels"], ["kernels", "--help"], ["kernels", "cache", "-h"]):
        commands = [word for word in words if not word.startswith("-")]
        seen = dict(_parsers(build_parser(words)))[tuple(commands)].format_help()
        assert seen == _COMMANDS[tuple(commands)].format_help()


@pytest.mark.parametrize("words", sorted({*_LEAVES} - _SLOW), ids=_name)
def test_what_can_be_typed_is_known_at_once(words: tuple[str, ...]) -> None:
    """Help, completion and refusals do without what the command itself needs."""
    program = f"""
import sys
from harness.cli import build_parser
build_parser({[*words]!r}).format_help()
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {*_HEAVY} == set()
