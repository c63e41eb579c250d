"""Validates kernels, each against the last good one of its lineage."""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.again import again
from harness.commands.actions.run import run_kernels, run_options
from harness.commands.display import ProgressConsole, progress_display
from harness.commands.parsers import command_parser
from harness.commands.sources import kernel_sources
from harness.errors import ExitCode, InputError
from harness.history.keeping import keep
from harness.history.last_good import NAME as LAST_GOOD
from harness.history.selected import selected
from harness.history.store import Store, store_url
from harness.history.validation import Baseline, baseline_of, built_on, new_kernels
from harness.kernels.archive.debian import ArchiveKernel
from harness.kernels.image.bzimage import read_banner
from harness.kernels.resolve import available, release_named, resolve
from harness.kernels.sources import KernelSources
from harness.kernels.spec import SuiteSpec, parse_spec
from harness.output import complain, reader_may_leave
from harness.progress import Progress
from harness.report import checklist
from harness.report.options import ReportOptions
from harness.report.render import render
from harness.run_directory import new_run_directory, refuse_finished

_RUN = "harness.commands.run"
#: What several validations come to: the first of these that one of them ended with.
_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.REGRESSION,
    ExitCode.INFRASTRUCTURE,
    ExitCode.USAGE,
    ExitCode.OK,
)


def execute(arguments: argparse.Namespace) -> int:
    """Validate; returns the exit code of the run, or the worst of several."""
    spec = parse_spec(arguments.spec)
    if arguments.new_since is not None:
        if not isinstance(spec, SuiteSpec):
            raise InputError(
                f"validate {arguments.spec}: --new-since is for a suite, such as debian:trixie"
            )
        return _validate_new(spec, arguments)
    with progress_display(ProgressConsole(), arguments.quiet) as progress:
        release = release_named(arguments.spec, kernel_sources(arguments), progress)
    named = f"debian:{release}" if isinstance(spec, SuiteSpec) else arguments.spec
    return _validate(named, release, arguments.out or new_run_directory(), arguments)


def _validate_new(spec: SuiteSpec, arguments: argparse.Namespace) -> int:
    """Validate what is new in a suite, the oldest first: each may be the next one's last good."""
    sources = replace(kernel_sources(arguments), refresh=True)
    store = Store(store_url(arguments.store))
    with progress_display(ProgressConsole(), arguments.quiet) as progress:
        offered = _offered(spec, available(sources, progress))
        known = replace(sources, refresh=False)
        new = new_kernels(
            offered,
            arguments.new_since,
            store,
            selected(arguments.suite, None),
            lambda kernel: _built(kernel, known, progress),
        )
    if not new:
        print(
            f"{arguments.spec}: nothing new since {arguments.new_since};"
            f" the newest of {len(offered)} kernels is {offered[0].release}"
            if offered
            else f"{arguments.spec}: nothing new, and no such kernel at all"
        )
        return ExitCode.OK
    arguments.refresh = False
    codes: list[int] = []
    for kernel in new:
        out = arguments.out / kernel.release if arguments.out else new_run_directory()
        codes.append(_validate(f"debian:{kernel.release}", kernel.release, out, arguments))
        if codes[-1] == ExitCode.INTERRUPTED:
            break
    return next(code for code in _WORST_FIRST if code in codes)


def _offered(spec: SuiteSpec, kernels: Sequence[ArchiveKernel]) -> list[ArchiveKernel]:
    """The kernels of a suite and flavour, newest first."""
    return [one for one in kernels if spec.suite in one.suites and one.flavour == spec.flavour]


def _built(
    kernel: ArchiveKernel, sources: KernelSources, progress: Progress
) -> datetime.date | None:
    image = resolve(f"debian:{kernel.release}", sources, progress).image
    return built_on(read_banner(image))


def _validate(spec: str, release: str, out: Path, arguments: argparse.Namespace) -> int:
    """Run one kernel against its baseline; print the checklist, store the run."""
    refuse_finished(out)
    store = Store(store_url(arguments.store))
    baseline = _baseline(store, spec, release, arguments)
    run = command_parser(_RUN, "afalg-harness run").parse_args([spec])
    for name in vars(run).keys() & vars(arguments).keys() - {"execute"}:
        setattr(run, name, getattr(arguments, name))
    run.baseline = LAST_GOOD if baseline.stored is not None else baseline.spec or None
    command = again(run_options(run, out, ""), spec, "")
    if run.baseline is not None:
        command = f"{command} {shlex.join(['--baseline', run.baseline])}"
    result = run_kernels(run, run_options(run, out, command))
    render(result, out, ["checklist"])
    keep(store, result, out)
    with reader_may_leave():
        for piece in checklist.pieces(result, ReportOptions()):
            sys.stdout.write(piece)
        print(f"\ndetails: {out / checklist.FILE_NAME}")
    return result.exit_code


def _baseline(store: Store, spec: str, release: str, arguments: argparse.Namespace) -> Baseline:
    """What it is held against; told, for it decides what the run costs."""
    with progress_display(ProgressConsole(), arguments.quiet) as progress:
        archive = available(kernel_sources(arguments), progress)
    asked = selected(arguments.suite, None)
    append = shlex.join(arguments.append)
    found = baseline_of(store, spec, release, archive, asked=asked, append=append)
    if found.stored is not None:
        told = f"against {found.stored.release}, the last good one (run {found.stored.run})"
    elif found.spec:
        told = f"no good one is stored, so {found.spec} runs first"
    else:
        told = "no good one is stored, and the archive has none before it: compared with nothing"
    if not arguments.quiet:
        complain(f"{release}: {told}")
    return found
