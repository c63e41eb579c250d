"""Tests one kernel, and says what it is in git's language."""

from __future__ import annotations

import argparse

from rich.console import Console

from harness.bisect.check import expected_value, refuse_what_is_not_there
from harness.bisect.state import Asked, BisectState
from harness.commands.actions.bisect import make_tester, parse_checks
from harness.commands.actions.refusals import (
    refuse_bad_guest,
    refuse_bad_kernels,
    refuse_long_append,
)
from harness.commands.display import progress_display
from harness.commands.signals import stopping
from harness.commands.sources import kernel_sources
from harness.errors import InputError
from harness.kernels.source.git import GitTree
from harness.kernels.spec import GitSpec, parse_spec
from harness.model import State
from harness.progress import SilentProgress
from harness.run_directory import new_run_directory

GOOD, BAD, CANNOT_TEST, USAGE, INFRASTRUCTURE = 0, 1, 125, 128, 129


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
    refuse_bad_guest(arguments)
    refuse_long_append(arguments)
    refuse_what_is_not_there(check)
    spec = parse_spec(arguments.spec)
    if isinstance(spec, GitSpec):
        GitTree(spec.tree).commit(spec.revision)
    # Of a release that is not there, or a commit without a kernel, git is to try the next one.
    refuse_bad_kernels((), kernel_sources(arguments), SilentProgress())
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
    if arguments.verbose and step.value and step.reason:
        print(f"  {step.reason}")
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
