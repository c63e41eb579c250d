"""boot kernels, run the suites in each, judge and compare them

examples:
  afalg-harness run debian:6.12.43+deb12-amd64 debian:trixie-backports
  afalg-harness run ./vmlinuz --suite zero_copy
  afalg-harness run --list --suite security
  afalg-harness run --baseline debian:trixie linux-image-test_amd64.deb --out runs/test
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from harness.commands.options import (
    ProgressConsole,
    add_guest_options,
    add_source_options,
    count,
    kernel_sources,
    positive_integer,
    positive_seconds,
    progress_display,
)
from harness.commands.signals import stopping
from harness.errors import ExitCode, InputError
from harness.guest.payload import Selection
from harness.guest.schedule import MOST_BOOTS
from harness.judge.expectations import load_expectations
from harness.listing import list_tests
from harness.model import RunResult
from harness.output import reader_may_leave
from harness.progress import Progress
from harness.replayed import replay_run
from harness.report.results_file import FILE_NAME
from harness.report.terminal import print_tests, print_verdict
from harness.run import Run, new_run_directory, refuse_finished
from harness.run_options import CONFIRM, RunOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``run``."""
    parser.add_argument(
        "specs",
        nargs="*",
        metavar="SPEC",
        help="a kernel: PATH to an image or package tree, A.deb[,B.deb...], "
        "A.rpm[,B.rpm...], A.pkg.tar.zst, debian:RELEASE, debian:SUITE[/FLAVOUR]; "
        "of several the first is the baseline unless --baseline names one",
    )
    parser.add_argument("--baseline", metavar="SPEC", help="the kernel to compare with")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="run directory (default: runs/<UTC time>-<id>)"
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with the interrupted run in DIR, as it was started (takes no other argument)",
    )
    parser.add_argument(
        "--jobs",
        type=positive_integer,
        metavar="N",
        help="guests at once (default: one for each two CPUs, or for each CPU where KVM is known"
        " to work, as far as each has 1.25 GiB of free memory)",
    )
    _add_what_runs(parser)
    _add_how_often(parser)
    judging = parser.add_argument_group("what is expected")
    judging.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="expect another state of a fact or outcome of a test (repeatable)",
    )
    judging.add_argument(
        "--expectations", type=Path, metavar="FILE", help="expectations file (TOML)"
    )
    add_guest_options(parser)
    add_source_options(parser)


def _add_what_runs(parser: argparse.ArgumentParser) -> None:
    tests = parser.add_argument_group("what runs")
    tests.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="NAME|ID|PATH",
        help="a suite, a test id, or a folder or file of pytest tests of your own, which ids then "
        "begin with (repeatable; default: all built-in suites)",
    )
    tests.add_argument(
        "-k", dest="keyword", metavar="EXPR", help="only tests that match (pytest -k)"
    )
    tests.add_argument(
        "--list",
        action="store_true",
        help="print each test with its purpose and tags, and boot nothing (needs no SPEC)",
    )
    tests.add_argument(
        "--timeout",
        type=positive_seconds,
        metavar="S",
        help="seconds that one kernel's suite may take",
    )
    tests.add_argument(
        "--test-timeout",
        type=positive_seconds,
        default=Selection.test_seconds,
        metavar="S",
        help="seconds that one test may take (default: %(default)g)",
    )
    tests.add_argument(
        "--dump-guest-memory",
        type=Path,
        metavar="DIR",
        help="where a guest stands still, write its memory to DIR/RELEASE-BOOT.kdump "
        "(kdump-compressed, for crash or drgn) before it is ended",
    )
    tests.add_argument(
        "--seed", type=int, default=Selection.seed, metavar="N", help="seed of the test data"
    )


def _add_how_often(parser: argparse.ArgumentParser) -> None:
    boots = parser.add_argument_group("how often")
    boots.add_argument(
        "--boots",
        type=positive_integer,
        default=MOST_BOOTS,
        metavar="N",
        help="boots of one kernel at most: after a crash the rest goes on in a new one, and its "
        "test runs alone (default: %(default)s)",
    )
    boots.add_argument(
        "--repeat",
        type=positive_integer,
        default=1,
        metavar="N",
        help="run the whole plan N times, in fresh boots (default: %(default)s)",
    )
    boots.add_argument(
        "--confirm",
        type=count,
        default=CONFIRM,
        metavar="N",
        help="run what was lost against the baseline again alone, on both kernels, in N fresh "
        "boots, before it is said (default: %(default)s; 0: do not)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run; returns the exit code of the result."""
    if arguments.list:
        return _list(_selection(arguments))
    if arguments.resume is not None:
        return _resume(arguments)
    if not arguments.specs:
        raise InputError("run: name a kernel, for instance debian:trixie-backports")
    out = arguments.out or new_run_directory()
    refuse_finished(out)
    command = shlex.join(["afalg-harness", *sys.argv[1:]])
    return _run(arguments, run_options(arguments, out, command))


def _resume(arguments: argparse.Namespace) -> int:
    """Go on with an interrupted run, by the command that its results hold."""
    out = arguments.resume
    if arguments.specs or arguments.baseline or arguments.out:
        raise InputError(
            f"--resume {out}: goes on by the command that began it; leave out SPEC,"
            " --baseline and --out"
        )
    earlier = replay_run(out)
    if earlier.ended:
        raise InputError(f"--resume {out}: that run has come to its end ({earlier.ended})")
    words = shlex.split(earlier.command)
    if words[:2] != ["afalg-harness", "run"]:
        raise InputError(
            f"--resume {out}: its {FILE_NAME} does not say by which command it was run"
        )
    parser = argparse.ArgumentParser(prog="afalg-harness run")
    add_arguments(parser)
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    started_by = parser.parse_args(words[2:])
    started_by.quiet = started_by.quiet or arguments.quiet
    started_by.verbose = started_by.verbose or arguments.verbose
    return _run(started_by, run_options(started_by, out, earlier.command), earlier)


def _run(
    arguments: argparse.Namespace, options: RunOptions, earlier: RunResult | None = None
) -> int:
    """Run, or go on with what ``earlier`` says; print the verdict, return the exit code."""
    out = options.out
    with progress_display(ProgressConsole(), arguments.quiet) as progress:
        result = _run_interruptibly(options, progress, earlier)
    console = Console()
    with reader_may_leave():
        if arguments.verbose:
            print_tests(result, console)
        print_verdict(result, console, out)
    return result.exit_code


def run_options(arguments: argparse.Namespace, out: Path, command: str) -> RunOptions:
    """What the arguments ask for; ``command`` is how they were given. Raises InputError."""
    return RunOptions(
        specs=tuple(arguments.specs),
        baseline=arguments.baseline,
        expectations=load_expectations(arguments.expectations, arguments.expect),
        sources=kernel_sources(arguments),
        out=out,
        command=command,
        selection=_selection(arguments),
        jobs=arguments.jobs,
        accel=arguments.accel,
        root=arguments.root,
        append=tuple(arguments.append),
        suite_timeout=arguments.timeout,
        boots=arguments.boots,
        repeat=arguments.repeat,
        confirm=arguments.confirm,
        dump_memory=arguments.dump_guest_memory,
    )


def _selection(arguments: argparse.Namespace) -> Selection:
    return Selection(
        suites=tuple(arguments.suite),
        arguments=("-k", arguments.keyword) if arguments.keyword else (),
        test_seconds=arguments.test_timeout,
        seed=arguments.seed,
    )


def _list(selection: Selection) -> int:
    """One line for each test: its id, its purpose, its tags in brackets."""
    for test in list_tests(selection):
        tags = f" [{', '.join(test.tags)}]" if test.tags else ""
        print(f"{test.id}: {test.purpose}{tags}")
    return ExitCode.OK


def _run_interruptibly(
    options: RunOptions, progress: Progress, earlier: RunResult | None
) -> RunResult:
    """Run; the first SIGINT, SIGTERM or SIGHUP ends the guests and keeps what is there."""
    run = Run(options, progress, earlier)
    with stopping(run.stop, progress):
        return run.execute()
