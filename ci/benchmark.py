"""How fast the harness is, in bare boots of the same kernel, measured in turn on this machine.

    .venv/bin/python ci/benchmark.py [--rows run,reuse] [--repeats 5] [--json FILE]
    .venv/bin/python ci/benchmark.py --against BEFORE.json [--read AFTER.json]

A bare boot is QEMU, a kernel and no root: it ends with the panic. Whatever is measured has it
beside it in each repeat. Rows:

    run      one kernel, all suites: the first answer, the whole, its processor time, its split
    jobs     six kernels in one run, as many at once as the harness chooses, against six --jobs 1
    reuse    the same kernel again with --reuse
    hang     a kernel on which a blocking send of more than a page waits for ever
    bisect   Debian's kernels between two ends, none of them in the cache
    instructions   (not by default) what guests execute, of a bare boot and of one test

Kernels and guest image are fetched before anything is measured. It is no test: whatever the
figures are, the exit code is 0 if all could be measured, and 3 if not.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import benchmark_table
from benchmark_table import Figures
from guest_instructions import Uncounted, counted
from spending import Spent, spend
from time_split import split_of

from harness.commands.options import positive_integer
from harness.errors import ExitCode, HarnessError, InputError
from harness.guest.accel import qemu_version
from harness.guest.journal import EVENTS, read_journal
from harness.guest.vng import QEMU
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.model import BootableKernel, Outcome
from harness.processes import find_program, finish
from harness.progress import SilentProgress
from harness.report.results_file import load

_KERNEL = "debian:7.3.4+deb13-amd64"
_SIX = (
    *("debian:6.1.0-50-amd64", "debian:6.12.43+deb12-amd64", "debian:6.12.96+deb13-amd64"),
    *("debian:6.18.15+deb13-amd64", "debian:7.2.12+deb13-amd64", _KERNEL),
)
_ENDS = ("debian:6.12.43+deb12-amd64", "debian:7.3.4+deb13-amd64")
_CHECK = "zero_copy.skcipher.splice_file=absent"
#: The smallest send buffer: of what a request socket is sent and nobody has read, one page fits.
_HANGING = "sysctl.net.core.wmem_default=4608"
#: In these forty tests send more than that and wait. In all suites two hundred do.
_HANG_SUITES = ("functional/test_aead.py", "functional/test_concurrency.py")
_TINY = "zero_copy/test_rng.py::test_input[splice]"
_ANSWER = "first answer after"
#: Of a run: as expected, or not (kernels from before the removal are not).
_JUDGED = (ExitCode.OK, ExitCode.REGRESSION)
_BOARD = {"tcg": ("q35,accel=tcg", "max"), "kvm": ("q35,accel=kvm", "host")}


class NotMeasured(Exception):
    """A row cannot be measured; the words say why."""


class Benchmark:
    """Measures row by row; what was measured is in ``figures``."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self._accel: str = options.accel
        self._spec: str = options.kernel
        self._six: tuple[str, ...] = tuple(options.kernels)
        self._jobs: int | None = options.jobs
        self._hanging: tuple[str, ...] = tuple(options.hanging)
        self._scratch = scratch
        self._cache: Path = options.cache or default_cache_dir()
        self._runs = 0
        self.kernel = self._fetched(self._spec)
        self.figures = Figures()
        self.rows: Mapping[str, Callable[[], None]] = {
            "run": self.run,
            "jobs": self.jobs,
            "reuse": self.reuse,
            "hang": self.hang,
            "bisect": self.bisect,
            "instructions": self.instructions,
        }

    def _fetched(self, spec: str) -> BootableKernel:
        return resolve(spec, KernelSources(self._cache), SilentProgress())

    def warm_up(self, rows: Sequence[str]) -> None:
        """Have kernels, guest image and whatever else is made once."""
        for spec in self._six if "jobs" in rows else ():
            self._fetched(spec)
        self._run(self._spec, "--suite", _TINY)

    def _harness(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> Spent:
        program = Path(sys.executable).parent / "afalg-harness"
        return spend([program, *arguments], environment=environment)

    def _run(
        self,
        *arguments: str | Path,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> tuple[Spent, Path]:
        """``afalg-harness run``; what it cost, and its run directory."""
        self._runs += 1
        out = self._scratch / f"run{self._runs}"
        program = Path(sys.executable).parent / "afalg-harness"
        common: list[str | Path] = ["--accel", self._accel, "--cache", self._cache, "--out", out]
        argv = [*prefix, program, "run", *common, *arguments]
        if "--store" not in arguments:
            argv.append("--no-store")
        spent = spend(argv, environment=environment)
        if spent.status not in _JUDGED:
            raise NotMeasured(f"a run ended with {spent.status}: {_last_line(spent.stderr)}")
        return spent, out

    def bare(self, prefix: Sequence[str] = (), qemu_options: Sequence[str] = ()) -> Spent:
        """A kernel without a root, to its panic."""
        machine, cpu = _BOARD[self._accel]
        spent = spend(
            [
                *prefix,
                find_program(QEMU),
                *("-machine", machine, "-cpu", cpu, "-smp", "2", "-m", "1G"),
                *("-nodefaults", "-display", "none", "-no-reboot"),
                *("-kernel", self.kernel.image, "-append", "console=ttyS0 panic=-1"),
                *qemu_options,
            ]
        )
        if spent.status != 0:
            raise NotMeasured(f"the bare boot ended with {spent.status}: {spent.stderr.strip()}")
        return spent

    def yardstick(self) -> None:
        """One more bare boot."""
        spent = self.bare()
        self.figures.add("bare.seconds", spent.seconds)
        self.figures.add("bare.cpu", spent.cpu)

    def run(self) -> None:
        """One kernel, all suites."""
        jobs = () if self._jobs is None else ("--jobs", str(self._jobs))
        spent, out = self._run(self._spec, *jobs)
        kernel = load(out).kernels[0]
        split = split_of(out / kernel.directory)
        answer = spent.when(_ANSWER)
        if answer is not None:
            self.figures.add("run.answer", answer)
        self.figures.add("run.seconds", spent.seconds)
        self.figures.add("run.cpu", spent.cpu)
        self.figures.add("memory.harness", spent.own_mib)
        self.figures.add("memory.qemu", spent.qemu_mib)
        for name, seconds in dataclasses.asdict(split).items():
            if name != "suites":
                self.figures.add(f"split.{name}", seconds)
        for suite, seconds in split.suites.items():
            self.figures.add(f"suite.{suite}", seconds)
        boots = kernel.wall_seconds or 0.0  # of two at once the longer
        self.figures.add("split.more_boots", boots - split.whole)
        self.figures.add("split.harness", spent.seconds - boots)
        self.figures.add("run.boots", len(kernel.boots))
        self.figures.add("run.tests", len(kernel.plan))

    def jobs(self) -> None:
        """Six kernels in one run, and one after the other, one guest at a time.

        What was lost is not tried again.
        """
        alone = sum(
            self._run(spec, "--jobs", "1", "--confirm", "0")[0].seconds for spec in self._six
        )
        together, out = self._run(*self._six, "--confirm", "0")
        unheard = [one.spec for one in load(out).kernels if one.identity is None]
        if unheard:
            raise NotMeasured(f"not heard of: {', '.join(unheard)}")
        self.figures.add("jobs.alone", alone)
        self.figures.add("jobs.seconds", together.seconds)
        self.figures.add("jobs.cpu", together.cpu)

    def reuse(self) -> None:
        """A kernel that the store knows already."""
        if "--reuse" not in self._harness("run", "--help").stdout:
            raise NotMeasured("not supported: run has no --reuse")
        store = self._scratch / "reuse.sqlite"
        if not store.exists():
            self._run(self._spec, "--store", store)
        spent, _ = self._run(self._spec, "--store", store, "--reuse")
        self.figures.add("reuse.seconds", spent.seconds)

    def hang(self) -> None:
        """Tests that hang in the kernel."""
        chosen = [word for suite in self._hanging for word in ("--suite", suite)]
        spent, out = self._run(self._spec, "--append", _HANGING, *chosen)
        kernel = load(out).kernels[0]
        hung = [test for test in kernel.tests if test.outcome is Outcome.TIMEOUT]
        self.figures.add("hang.seconds", spent.seconds)
        self.figures.add("hang.tests", len(hung))
        self.figures.add("hang.planned", len(kernel.plan))
        self.figures.add("hang.boots", len(kernel.boots))

    def bisect(self) -> None:
        """Debian's kernels, none in the cache; the guest image and the index are there."""
        self._runs += 1
        cache, out = self._scratch / f"cache{self._runs}", self._scratch / f"bisect{self._runs}"
        for part in ("images", "apt"):
            if (self._cache / part).is_dir():
                shutil.copytree(self._cache / part, cache / part, symlinks=True)
        old, new = _ENDS
        asked: list[str | Path] = [
            "--old",
            old,
            "--new",
            new,
            "--find",
            _CHECK,
            "--out",
            out,
            "--fresh",
        ]
        spent = self._harness("bisect", *asked, "--accel", self._accel, "--cache", cache)
        if spent.status != ExitCode.OK:
            raise NotMeasured(f"it ended with {spent.status}: {_last_line(spent.stderr)}")
        boots = [boot for events in out.rglob(EVENTS) for boot in read_journal(events.parent)]
        kernels = cache / "kernels"
        self.figures.add("bisect.boots", len(boots))
        self.figures.add("bisect.downloads", len(list(kernels.glob("[0-9a-f]*"))))
        self.figures.add("bisect.seconds", spent.seconds)
        guests = sum(boot.closed.wall_seconds for boot in boots if boot.closed is not None)
        self.figures.add("bisect.without_guest", spent.seconds - guests)
        shutil.rmtree(cache)

    def instructions(self) -> None:
        """What guests execute, in thousands of millions."""
        try:
            with counted(self._accel) as counter:
                self.bare(counter.prefix, counter.qemu_options)
            bare = counter.instructions
            with counted(self._accel) as counter:
                self._run(
                    *(self._spec, "--suite", _TINY),
                    prefix=counter.prefix,
                    environment=counter.environment or None,
                )
        except Uncounted as error:
            raise NotMeasured(str(error)) from error
        self.figures.add("instructions.bare", bare / 1e9)
        self.figures.add("instructions.test", counter.instructions / 1e9)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no word")


def about(benchmark: Benchmark, options: argparse.Namespace) -> dict[str, object]:
    """What was measured, with what, where."""
    revision = finish(["git", "describe", "--always", "--dirty"], directory=Path(__file__).parent)
    return {
        "kernel": benchmark.kernel.release,
        "accel": options.accel,
        "jobs": options.jobs,
        "repeats": options.repeats,
        "revision": revision.stdout.strip(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "qemu": qemu_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def measure(options: argparse.Namespace) -> tuple[dict[str, object], int]:
    """All rows, in turn; the record, and the exit code. It is written as it grows."""
    rows = [*options.rows, *(["instructions"] if options.instructions else [])]
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="afalg-benchmark-") as scratch:
        benchmark = Benchmark(options, Path(scratch))
        record: dict[str, object] = {"schema": 1, "about": about(benchmark, options)}
        _write(record, options.json)  # before hours are spent
        benchmark.warm_up(rows)
        for number in range(options.repeats):
            for row in dict.fromkeys(rows):
                if row in failed:
                    continue
                print(f"{number + 1} of {options.repeats}: {row}", file=sys.stderr, flush=True)
                benchmark.yardstick()
                try:
                    benchmark.rows[row]()
                except (NotMeasured, ValueError) as error:
                    failed[row] = str(error)
                    print(f"{row}: {error}", file=sys.stderr, flush=True)
                record |= {"figures": benchmark.figures.values, "not_measured": failed}
                _write(record, options.json)
    record["load_after"] = round(os.getloadavg()[0], 2)
    _write(record, options.json)
    unsupported = [why for why in failed.values() if why.startswith("not supported")]
    return record, ExitCode.INFRASTRUCTURE if len(failed) > len(unsupported) else ExitCode.OK


def _write(record: Mapping[str, object], path: Path | None) -> None:
    if path is not None:
        try:
            path.write_text(json.dumps(record, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"--json {path}: {error.strerror or error}") from error


def _rows(text: str) -> list[str]:
    """Argparse type: names of rows, between commas."""
    known = ("run", "jobs", "reuse", "hang", "bisect", "instructions")
    rows = [row.strip() for row in text.split(",")]
    if unknown := [row for row in rows if row not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--rows", type=_rows, default=_rows("run,jobs,reuse,hang,bisect"))
    found.add_argument("--instructions", action="store_true", help="the row instructions as well")
    found.add_argument("--repeats", type=positive_integer, default=5, metavar="N")
    found.add_argument("--kernel", default=_KERNEL, metavar="SPEC")
    found.add_argument("--kernels", nargs="+", default=_SIX, metavar="SPEC", help="of the row jobs")
    found.add_argument("--hanging", nargs="+", default=_HANG_SUITES, metavar="SUITE|ID")
    found.add_argument(
        "--jobs", type=positive_integer, metavar="N", help="guests at once of the row run"
    )
    found.add_argument("--accel", choices=sorted(_BOARD), default="tcg")
    found.add_argument("--cache", type=Path, metavar="DIR")
    found.add_argument(
        "--json", type=Path, metavar="FILE", help="where the figures go, as they come"
    )
    found.add_argument("--against", type=Path, metavar="FILE", help="figures to compare with")
    found.add_argument("--read", type=Path, metavar="FILE", help="figures, instead of measuring")
    return found


def _read(path: Path) -> dict[str, Any]:
    """A record that was written before. Raises InputError."""
    try:
        record = json.loads(path.read_text())
        list(benchmark_table.lines(record))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no figures of ci/benchmark.py ({error})") from error
    assert isinstance(record, dict)
    return record


def main() -> int:
    """Measure, or read, and print; returns the exit code."""
    options = parser().parse_args()
    try:
        before = _read(options.against) if options.against else None
        record, code = (_read(options.read), 0) if options.read else measure(options)
    except (HarnessError, NotMeasured) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", ExitCode.INFRASTRUCTURE))
    for line in benchmark_table.lines(record, before):
        print(line)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
