"""The ``afalg-harness`` command: parses arguments, runs a subcommand, turns errors to codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from harness.commands.parsers import Parser, add_commands
from harness.commands.signals import ending_signals
from harness.errors import ExitCode
from harness.faults import tell
from harness.output import complain, drop_unwritten, reader_may_leave

_DESCRIPTION = """\
Boot Linux kernels in lightweight VMs, run an AF_ALG functional and security
suite in each, and compare the results: is zero-copy gone, and does everything
else still work?"""

_EPILOG = """\
exit codes (bisect, bisect-step and shell have their own: see their --help):
  0    every candidate is as expected, and everything planned ran
  1    a regression, an unmet expectation, a crash caused by the suite, or
       missing tests
  2    the command was used wrongly, or an input is bad
  3    infrastructure: host not fit, download, build or boot failed, or a
       fault of the harness
  130  interrupted; what had finished is stored

completion in bash and zsh:
  eval "$(register-python-argcomplete afalg-harness)"

example:
  afalg-harness run debian:6.12.43+deb12-amd64 debian:trixie-backports"""

#: To ``git bisect run`` an exit code below 125 means that the kernel is bad.
_IN_GITS_WORDS = {int(ExitCode.USAGE): 128, int(ExitCode.INFRASTRUCTURE): 129}

#: Exit codes of a SystemExit: argparse's, and that of a second signal.
_SAID = (None, *map(int, (ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED)))

#: Modules of harness.commands.
_COMMANDS = (
    "run",
    "benchmark",
    "compare",
    "report",
    "gate",
    "validate",
    "history",
    "runs",
    "bisect",
    "bisect_step",
    "kernels",
    "shell",
    "doctor",
    "schema",
)


class _Version(argparse.Action):
    """Prints the version, which takes a while to find, where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and exit."""
        from importlib.metadata import version  # noqa: PLC0415  (40 ms)

        print(parser.prog, version("afalg-harness"))
        parser.exit()


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser of the command line ``words``; None: of any, with all that is in it.

    Nothing that the harness is built on is imported: help and completion are there at once, and
    the man pages can be made while a wheel is built, where nothing of that is installed.
    """
    parser = Parser(
        prog="afalg-harness",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    add_commands(parser, "harness.commands", _COMMANDS, words, metavar="COMMAND")
    return parser


def _complete() -> NoReturn:
    """Answer a shell that asks how the line on its terminal may go on."""
    from argcomplete import autocomplete  # noqa: PLC0415  (a shell asks seldom, and waits)

    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0"))]
    autocomplete(build_parser(line.split()[1:]))
    sys.exit(ExitCode.INFRASTRUCTURE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code documented in ``--help``.

    Whatever goes wrong is one line on stderr, and never an exit with 1: that says regression.
    """
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
    except BaseException as error:  # noqa: BLE001  (the last to hear of it)
        code = _told(error)
    drop_unwritten()
    return _IN_GITS_WORDS.get(code, code) if words[:1] == ["bisect-step"] else code


def _run(words: Sequence[str]) -> int:
    """Parse and execute; output that nobody reads any more is no error."""
    code = int(ExitCode.OK)
    with reader_may_leave():
        arguments = build_parser(words).parse_args(words)
        for number in ending_signals():
            if number != signal.SIGINT:
                # As after Ctrl-C, everything under way is ended and tidied up.
                signal.signal(number, signal.default_int_handler)
        code = int(arguments.execute(arguments))
    return code


def _told(error: BaseException) -> int:
    """Say what went wrong, unless argparse or a signal's handler has; returns the exit code."""
    if isinstance(error, SystemExit) and error.code in _SAID:
        return int(error.code or 0)
    told = tell(error)
    complain(told.line)
    return told.code
