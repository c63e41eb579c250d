"""Makes a parser of a subcommand's module: its docstring is its help."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Any

#: What ``-v`` does where a module has no ``VERBOSE`` of its own.
_VERBOSE = "list every test, too"


def add_command(subparsers: Any, module: ModuleType, *, nested: bool = False) -> None:
    """Add the subcommand that ``module`` implements, named like it.

    Its docstring's first line is the summary, the rest the example below the help.
    ``nested`` is for a subcommand of a subcommand: what that was given before it holds.
    """
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    summary, _, example = (module.__doc__ or "").partition("\n\n")
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_amount(parser, getattr(module, "VERBOSE", _VERBOSE), nested=nested)
    module.add_arguments(parser)
    if hasattr(module, "execute"):
        parser.set_defaults(execute=module.execute)


def add_amount(parser: argparse.ArgumentParser, verbose: str, *, nested: bool) -> None:
    """``-q`` and ``-v``."""
    default = argparse.SUPPRESS if nested else False
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "-q", "--quiet", action="store_true", default=default, help="no progress, results only"
    )
    amount.add_argument("-v", "--verbose", action="store_true", default=default, help=verbose)
