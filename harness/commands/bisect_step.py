"""test one kernel for git bisect run: exit code 0 good, 1 bad, 125 cannot be tested

A check is a test id, good if it passes and bad if it fails, crashes the kernel or times
out, or FACT=STATE, good if that is what is seen; the state may be left out where the harness
itself expects one (absent for an input path of skcipher and aead, and for page_cache_write;
works for a program). Where it is unreachable, present and absent cannot be told.

exit codes, as git bisect run documents them:
  0    good
  1    bad
  125  cannot be tested: does not build or boot, or the check could not be judged
  128  the command was used wrongly, or an input is bad
  129  infrastructure failed: nothing is known of the kernel
  130  interrupted

examples:
  git bisect run afalg-harness bisect-step --check functional/test_hash.py::test_sha256
  git bisect run afalg-harness bisect-step --check zero_copy.skcipher.splice_file=present
  afalg-harness bisect-step --check page_cache_write debian:6.12.85+deb12-amd64
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from harness.bisect.check import expected_value, refuse_what_is_not_there
from harness.bisect.state import Asked, BisectState
from harness.commands.bisect import add_check_arguments, make_tester, parse_checks
from harness.commands.options import (
    add_guest_options,
    add_source_options,
    positive_integer,
    progress_display,
)
from harness.commands.signals import stopping
from harness.errors import InputError
from harness.model import State
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
    """Test one kernel; returns an exit code in git's language, to which errors are put as well."""
    text, _, wanted = (
        (arguments.check or "").partition("=")
        if _is_fact(arguments.check)
        else (arguments.check, "", "")
    )
    check = parse_checks(text, arguments.guest_command)
    wanted = wanted or expected_value(check)
    if not wanted:
        raise InputError(f"--check {text}: say which state is good: {text}=STATE")
    check.refuse_value(wanted)
    refuse_what_is_not_there(check)
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
    code = _code(step.value, wanted)
    told = {
        GOOD: f"{text or 'command'} is {step.value}: good",
        BAD: f"{text or 'command'} is {step.value}: bad, expected {wanted}",
        CANNOT_TEST: ": ".join(filter(None, ("cannot be tested", step.value, step.reason))),
    }
    print(f"{arguments.spec}: {told[code]}")
    return code


def _code(value: str, wanted: str) -> int:
    """What a kernel is that answered with ``value``, "" for none, where ``wanted`` is good."""
    # What cannot be reached in this kernel was neither seen nor excluded.
    open_question = value == State.UNREACHABLE and wanted in (State.PRESENT, State.ABSENT)
    if not value or open_question:
        return CANNOT_TEST
    return GOOD if value == wanted else BAD


def _is_fact(check: str | None) -> bool:
    return bool(check) and "::" not in str(check)
