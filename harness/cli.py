"""The ``afalg-harness`` command: parses arguments, runs a subcommand, turns errors to codes."""

from __future__ import annotations

import argparse
import errno
import importlib.metadata
import signal
import sys
from collections.abc import Sequence

from harness.commands import bisect, bisect_step, compare, doctor, kernels, report, run
from harness.commands.parsers import add_command
from harness.errors import ExitCode, HarnessError
from harness.output import reader_may_leave

_DESCRIPTION = """\
Boot Linux kernels in lightweight VMs, run an AF_ALG functional and security suite in
each, and compare the results: is zero-copy gone, and does everything else still work?"""

_EPILOG = """\
exit codes:
  0    every candidate is as expected, and everything planned ran
  1    a regression, an unmet expectation, a crash caused by the suite, or missing tests
  2    the command was used wrongly, or an input is bad
  3    infrastructure: host not fit, download, build or boot failed
  130  interrupted; what had finished is stored

example:
  afalg-harness run debian:6.12.43+deb12-amd64 debian:trixie-backports"""

_COMMANDS = (run, compare, report, bisect, bisect_step, kernels, doctor)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="afalg-harness",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = importlib.metadata.version("afalg-harness")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        add_command(subparsers, module)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code documented in ``--help``."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = build_parser().parse_args(words)
    except SystemExit as error:
        # To git bisect run 2 would mean a bad kernel.
        if error.code == ExitCode.USAGE and words[:1] == ["bisect-step"]:
            return bisect_step.USAGE
        raise
    # As after Ctrl-C, everything under way is ended and tidied up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = int(ExitCode.OK)
        with reader_may_leave():
            code = int(arguments.execute(arguments))
        return code
    except HarnessError as error:
        print(f"afalg-harness: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("afalg-harness: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"afalg-harness: no space left: {error.filename or error}", file=sys.stderr)
        return ExitCode.INFRASTRUCTURE
