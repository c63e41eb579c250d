"""Makes parsers of the modules of subcommands: the docstring of each is its help.

Only the module of the command that is given is imported, and what a command does lies in
yet another one (harness/commands/actions), which is imported when it is done: help,
completion and refusals are there at once.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import importlib.util
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

_WIDTH = 78  # columns; what argparse itself takes of a terminal of 80
#: What ``-q`` and ``-v`` do where a module has no ``QUIET`` or ``VERBOSE`` of its own.
_QUIET = "no progress, results only"
_VERBOSE = "makes no difference here"
_ACTIONS = "actions"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, where argparse prints the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def add_commands(
    parser: argparse.ArgumentParser,
    package: str,
    names: Sequence[str],
    words: Sequence[str] | None,
    *,
    metavar: str,
    nested: bool = False,
) -> None:
    """Add the subcommands that the modules ``names`` of ``package`` implement.

    ``words`` are what follows on the command line: the module of the one that they begin
    with is imported, and nothing but the names of the others. None adds all of them.
    ``nested`` is for subcommands of a subcommand: what that was given before them holds.
    """
    subparsers = parser.add_subparsers(required=True, metavar=metavar)
    rest = None if words is None else [word for word in words if not word.startswith("-")]
    given = rest[0] if rest else ""
    known = given in map(_spelt, names)
    for name in names:
        if rest is None or given == _spelt(name):
            following = None if rest is None else rest[1:]
            _add_whole(subparsers, f"{package}.{name}", following, nested=nested)
        else:
            summary = "" if known else _summary_of(f"{package}.{name}")
            subparsers.add_parser(_spelt(name), help=summary)


def command_parser(module: str, prog: str) -> argparse.ArgumentParser:
    """The parser of one command by itself, whose arguments ``module`` says."""
    parser = Parser(prog=prog)
    _fill(parser, importlib.import_module(module), None, nested=False)
    return parser


def _spelt(module: str) -> str:
    """How people write the command that a module implements."""
    return module.rpartition(".")[2].replace("_", "-")


def _add_whole(
    subparsers: Any, module_name: str, words: Sequence[str] | None, *, nested: bool
) -> None:
    module = importlib.import_module(module_name)
    summary, _, rest = (module.__doc__ or "").partition("\n\n")
    parser = subparsers.add_parser(
        _spelt(module_name),
        help=summary,
        description=textwrap.fill(summary, _WIDTH),
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _fill(parser, module, words, nested=nested)


def _fill(
    parser: argparse.ArgumentParser,
    module: ModuleType,
    words: Sequence[str] | None,
    *,
    nested: bool,
) -> None:
    quiet, verbose = getattr(module, "QUIET", _QUIET), getattr(module, "VERBOSE", _VERBOSE)
    _add_amount(parser, quiet, verbose, nested=nested)
    subcommands: Sequence[str] = getattr(module, "SUBCOMMANDS", ())
    if subcommands:
        metavar = module.METAVAR
        add_commands(parser, module.__name__, subcommands, words, metavar=metavar, nested=True)
        return
    module.add_arguments(parser)
    execute = getattr(module, "execute", None) or functools.partial(_execute, module.__name__)
    parser.set_defaults(execute=execute)


def _execute(module: str, arguments: argparse.Namespace) -> int:
    """Do what the command of ``module`` is for; returns the exit code."""
    package, _, name = module.partition(".commands.")
    action = importlib.import_module(f"{package}.commands.{_ACTIONS}.{name}")
    return int(action.execute(arguments))


def _summary_of(module: str) -> str:
    """The first paragraph of a module's docstring, without importing it."""
    package, _, name = module.rpartition(".")
    parent = importlib.util.find_spec(package)
    assert parent is not None and parent.submodule_search_locations
    place = Path(parent.submodule_search_locations[0], name)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    return docstring.partition("\n\n")[0]


def _add_amount(
    parser: argparse.ArgumentParser, quiet: str, verbose: str, *, nested: bool = False
) -> None:
    """``-q`` and ``-v``."""
    default = argparse.SUPPRESS if nested else False
    amount = parser.add_mutually_exclusive_group()
    for short, long, text in (("-q", "--quiet", quiet), ("-v", "--verbose", verbose)):
        amount.add_argument(short, long, action="store_true", default=default, help=text)
