"""Runs the main job, goes on with one, or lists its tests."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import threading
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness.commands.actions.refusals import (
    refuse_bad_guest,
    refuse_bad_run,
    refuse_long_append,
)
from harness.commands.display import ProgressConsole, progress_display
from harness.commands.parsers import command_parser
from harness.commands.signals import stopping
from harness.commands.sources import kernel_sources
from harness.errors import ExitCode, InputError
from harness.executors.choice import executors_of
from harness.executors.names import is_elsewhere
from harness.guest.payload import Selection
from harness.history.keeping import keep, with_records
from harness.history.last_good import NAME as LAST_GOOD
from harness.history.last_good import last_good_result, spec_of
from harness.history.reuse import reuse
from harness.history.store import Store, store_url
from harness.judge.expectations import load_expectations
from harness.listing import list_tests
from harness.model import Role, RunResult
from harness.output import reader_may_leave
from harness.progress import Progress
from harness.replayed import replay_run
from harness.report.results_file import FILE_NAME
from harness.report.screen import print_result
from harness.run import Run, planned_roles
from harness.run_directory import new_run_directory, refuse_finished
from harness.run_options import RunOptions
from harness.scratch import sweep
from harness.shard import load_times, narrowed


def execute(arguments: argparse.Namespace) -> int:
    """Run; returns the exit code of the result."""
    sweep()  # what was killed is cleared by the next command, even by one that is refused
    if arguments.resume is not None:
        return _resume(arguments)
    if arguments.list:
        return _list(_selection(arguments))
    if not arguments.specs:
        raise InputError("run: name a kernel, for instance debian:trixie-backports")
    out = arguments.out or new_run_directory()
    refuse_finished(out)
    command = shlex.join(["afalg-harness", *sys.argv[1:]])
    options = _narrowed(arguments, run_options(arguments, out, command))
    if not options.specs:
        print(f"shard {arguments.shard[0]}/{arguments.shard[1]}: no kernel falls to it")
        return ExitCode.OK
    return _run(arguments, options)


def _narrowed(arguments: argparse.Namespace, options: RunOptions) -> RunOptions:
    """The options of the shard that is asked for, if one is. Raises InputError."""
    if arguments.shard is None:
        if arguments.shard_times is not None:
            raise InputError("--shard-times: there is no --shard")
        return options
    if options.baseline == LAST_GOOD:
        raise InputError(
            f"--shard: --baseline {LAST_GOOD} may be another kernel on another machine; name it"
        )
    times = load_times(arguments.shard_times) if arguments.shard_times is not None else {}
    number, count = arguments.shard
    return narrowed(options, planned_roles(options), number, count, times)


def _resume(arguments: argparse.Namespace) -> int:
    """Go on with an interrupted run, by the command that its results hold."""
    out = arguments.resume
    _refuse_more_than_resume(arguments)
    earlier = replay_run(out)
    if earlier.ended:
        raise InputError(f"--resume {out}: that run has come to its end ({earlier.ended})")
    words = shlex.split(earlier.command)
    if words[:2] != ["afalg-harness", "run"]:
        raise InputError(
            f"--resume {out}: its {FILE_NAME} does not say by which command it was run"
        )
    started_by = command_parser("harness.commands.run", "afalg-harness run").parse_args(words[2:])
    started_by.quiet = started_by.quiet or arguments.quiet
    started_by.verbose = started_by.verbose or arguments.verbose
    options = run_options(started_by, out, earlier.command)
    if options.baseline == LAST_GOOD or earlier.shard is not None:
        options = replace(options, baseline=_baseline_of(earlier))
    if earlier.shard is not None:  # the file of times may be another one by now
        specs = tuple(one.spec for one in earlier.kernels if one.role is Role.CANDIDATE)
        options = replace(options, specs=specs, shard=earlier.shard)
    return _run(started_by, options, earlier)


def _refuse_more_than_resume(arguments: argparse.Namespace) -> None:
    """Raise InputError for arguments that a run which is gone on with would ignore."""
    words = ["--resume", str(arguments.resume)]
    alone = vars(command_parser("harness.commands.run", "afalg-harness run").parse_args(words))
    spelt = {"specs": "SPEC", "keyword": "-k"}
    differ = [
        spelt.get(name, f"--{name.replace('_', '-')}")
        for name, value in alone.items()
        if name not in ("quiet", "verbose", "execute") and getattr(arguments, name) != value
    ]
    if differ:
        raise InputError(
            f"--resume {arguments.resume}: goes on by the command that began it, and takes no"
            f" other argument ({', '.join(differ)})"
        )


def _run(
    arguments: argparse.Namespace, options: RunOptions, earlier: RunResult | None = None
) -> int:
    """Run, or go on with what ``earlier`` says; print the verdict, return the exit code."""
    result = run_kernels(arguments, options, earlier)
    console = Console()
    with reader_may_leave():
        print_result(result, console, options.out, verbose=arguments.verbose)
    if not arguments.no_store:
        keep(Store(store_url(arguments.store)), result, options.out)
    return result.exit_code


def run_kernels(
    arguments: argparse.Namespace, options: RunOptions, earlier: RunResult | None = None
) -> RunResult:
    """Run what can work, or go on with what ``earlier`` says; InputError for what cannot."""
    store = Store(store_url(arguments.store))
    store.check_address()
    with progress_display(ProgressConsole(), arguments.quiet) as progress:
        if earlier is None and not is_elsewhere(options.executor):
            refuse_bad_guest(arguments)
        refuse_long_append(arguments)
        if earlier is None:
            options = _with_baseline(options, store, progress)
            # Of a shard all the others as well: what is wrong is said by each of them.
            whole = options.shard.specs if options.shard else ()
            specs = whole or [spec for spec, _ in planned_roles(options)]
            refuse_bad_run(options, specs, progress)
        return _run_interruptibly(options, progress, earlier, store)


def _with_baseline(options: RunOptions, store: Store, progress: Progress) -> RunOptions:
    """The options with the kernel that ``--baseline last-good`` means."""
    if options.baseline != LAST_GOOD:
        return options
    found = last_good_result(store, options, progress)
    told = f"{found.release}, {found.lineage}, as expected in run {found.run} of {found.started}"
    progress.finish("baseline", f"last good: {told}")
    return replace(options, baseline=spec_of(found))


def _baseline_of(earlier: RunResult) -> str | None:
    """The baseline that a run has, whatever the last good one is by now."""
    return next((one.spec for one in earlier.kernels if one.role is Role.BASELINE), None)


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
        guest_suite=arguments.guest_suite,
        append=tuple(arguments.append),
        suite_timeout=arguments.timeout,
        boots=arguments.boots,
        repeat=arguments.repeat,
        confirm=arguments.confirm,
        reuse=arguments.reuse,
        dump_memory=arguments.dump_guest_memory,
        executor=arguments.executor,
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
    options: RunOptions, progress: Progress, earlier: RunResult | None, store: Store
) -> RunResult:
    """Run; the first SIGINT, SIGTERM or SIGHUP ends the guests and keeps what is there."""
    stop, look_up = threading.Event(), functools.partial(with_records, store)
    stored = functools.partial(reuse, store) if options.reuse else None
    with (
        stopping(stop, progress),
        executors_of(options, progress) as executors,
    ):
        run = Run(options, progress, earlier, look_up, stored, executors=executors, stop=stop)
        return run.execute()
