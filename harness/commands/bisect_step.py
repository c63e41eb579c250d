"""test one kernel for git bisect run: exit code 0 good, 1 bad, 125 cannot be tested

A check is a test id, good if it passes and bad if it fails, crashes the kernel or times
out, or FACT=STATE, good if that is what is seen; the
state may be left out where the harness itself expects one (absent for an input path of
skcipher and aead, and for page_cache_write; works for a program).

exit codes, as git bisect run documents them:
  0    good
  1    bad
  125  cannot be tested: does not build or boot, or the check could not be judged
  128  the command was used wrongly, or an input is bad
  129  infrastructure failed: nothing is known of the kernel
  130  interrupted

examples:
  git bisect run afalg-harness bisect-step --check functional/test_hash.py::test_empty
  git bisect run afalg-harness bisect-step --check zero_copy.skcipher.splice_file=present
  afalg-harness bisect-step --check page_cache_write debian:6.12.85+deb12-amd64
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from harness.bisect.check import expected_value
from harness.bisect.state import Asked, BisectState
from harness.commands.bisect import add_check_arguments, make_tester, parse_checks
from harness.commands.options import (
    add_guest_options,
    add_source_options,
    positive_integer,
    progress_display,
)
from harness.commands.signals import stopping
from harness.errors import ExitCode, HarnessError, InputError
from harness.run import new_run_directory

GOOD, BAD, CANNOT_TEST, USAGE, INFRASTRUCTURE = 0, 1, 125, 128, 129


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``bisect-step``."""
    parser.add_argument(
        "spec",
        nargs="?",
        default="git:.@HEAD",
        metavar="SPEC",
        help="a kernel (default: the commit that is checked out in the current directory, built)",
    )
    add_check_arguments(parser)
    parser.add_argument(
        "--repeat",
        type=positive_integer,
        default=1,
        metavar="N",
        help="boot it N times, and vote",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="its directory (default: runs/...)")
    add_guest_options(parser)
    add_source_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Test one kernel; returns an exit code in git's language."""
    try:
        return _step(arguments)
    except HarnessError as error:
        print(f"afalg-harness: {error}", file=sys.stderr)
        if error.exit_code == ExitCode.INTERRUPTED:
            return ExitCode.INTERRUPTED
        return USAGE if isinstance(error, InputError) else INFRASTRUCTURE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception:  # noqa: BLE001
        # What is wrong with us must not be taken for a bad kernel (Python exits with 1).
        sys.excepthook(*sys.exc_info())
        return INFRASTRUCTURE


def _step(arguments: argparse.Namespace) -> int:
    text, _, wanted = (
        (arguments.check or "").partition("=")
        if _is_fact(arguments.check)
        else (arguments.check, "", "")
    )
    check = parse_checks(text, arguments.guest_command)
    wanted = wanted or expected_value(check)
    if not wanted:
        raise InputError(f"--check {text}: say which state is good: {text}=STATE")
    out = arguments.out or new_run_directory()
    asked = Asked(str(arguments.check or arguments.guest_command), wanted, ("", ""), ())
    state = BisectState(out, asked, fresh=True)
    try:
        with progress_display(Console(stderr=True), arguments.quiet) as progress:
            tester = make_tester(arguments, check, out, progress)
            with stopping(tester.stop, progress):
                step = tester.test(arguments.spec, state)
        state.record(step)
    finally:
        state.close()
    if not step.value:
        print(f"{arguments.spec}: cannot be tested: {step.reason}")
        return CANNOT_TEST
    good = step.value == wanted
    told = "good" if good else f"bad, expected {wanted}"
    print(f"{arguments.spec}: {text or 'command'} is {step.value}: {told}")
    return GOOD if good else BAD


def _is_fact(check: str | None) -> bool:
    return bool(check) and "::" not in str(check)
