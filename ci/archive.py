"""Fills the store with the kernels of Debian's archive, and writes the page of findings.

    .venv/bin/python ci/archive.py [--hours H] [--limit N] [--jobs N] [--store FILE|URL]
    .venv/bin/python ci/archive.py --page-only [--page FILE]

All amd64 kernels that the archive lists, and of the cloud and rt ones the newest of each
series. Whatever comes first tells most: the newest and the oldest of each series, then what
lies between. Each result is in the store as soon as it is there, so that an interrupted
campaign goes on where it ended: a kernel that is in the store with the same suites is left
out, and an interrupted run of one is resumed. Nothing is begun that would not end within
--hours, and what still runs then is interrupted.

Run directories and kernels that were fetched for it are deleted once they have served (with
--keep they stay). Further arguments go to "afalg-harness run". Exits with 0 if every kernel
that was tried came into the store, with 3 if one did not, with 130 if it was interrupted;
what the kernels are is for the page to say.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from archive_findings import page

from harness.commands.options import positive_integer, positive_seconds
from harness.errors import HarnessError
from harness.files import write_whole
from harness.history.importing import import_run
from harness.history.selected import selected
from harness.history.store import Store, store_url
from harness.history.validation import in_store
from harness.kernels.archive.debian import ArchiveKernel
from harness.kernels.cache.contents import kernels_by_release
from harness.kernels.resolve import available
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.progress import SilentProgress
from harness.releases import series, version_key
from harness.report import results_file

_T = TypeVar("_T")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "findings.md"
_FLAVOUR = "amd64"  # of which all kernels are taken
_ROUNDS_FIRST = 3  # kernels of each series before those of other flavours
_GRACE = 120  # seconds that an interrupted run may take to store what it has


def chosen(kernels: Iterable[ArchiveKernel]) -> list[ArchiveKernel]:
    """The kernels to run, those first that tell most."""
    by_line: dict[tuple[str, str], list[ArchiveKernel]] = {}
    for kernel in sorted(kernels, key=lambda one: version_key(one.release)):
        by_line.setdefault((kernel.flavour, series(kernel.release)), []).append(kernel)
    lines = [spread(line) for (flavour, _), line in by_line.items() if flavour == _FLAVOUR]
    rounds = [[one for one in row if one is not None] for row in zip_longest(*lines)]
    others = [line[-1] for (flavour, _), line in by_line.items() if flavour != _FLAVOUR]
    first, rest = rounds[:_ROUNDS_FIRST], rounds[_ROUNDS_FIRST:]
    return [*_flat(first), *others, *_flat(rest)]


def _flat(rounds: Sequence[Sequence[ArchiveKernel]]) -> Iterator[ArchiveKernel]:
    for row in rounds:
        yield from row


def spread(line: Sequence[_T]) -> list[_T]:
    """The last, the first, the one in the middle, those in the middle of the halves, ..."""
    places = list(dict.fromkeys((len(line) - 1, 0))) if line else []
    gaps = [(0, len(line) - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if low < middle < high:
            places.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [line[place] for place in places]


@dataclass
class Campaign:
    """Runs kernels until there are none left, or no time."""

    store: str  # its URL
    out: Path
    deadline: float  # of time.monotonic()
    further: Sequence[str]  # arguments of "afalg-harness run"
    keep: bool
    cache: Path
    stop: threading.Event = field(default_factory=threading.Event)
    failed: list[str] = field(default_factory=list)
    interrupted: bool = False
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _took: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, kernels: Sequence[ArchiveKernel], jobs: int) -> None:
        """Run ``kernels``, ``jobs`` of them at once."""
        cached = set(kernels_by_release(self.cache))
        with ThreadPoolExecutor(jobs) as workers:
            try:
                list(workers.map(lambda one: self._one(one, one.release in cached), kernels))
            except KeyboardInterrupt:
                self.stop.set()  # the runs were interrupted by the same signal
                raise

    def interrupt(self, *_: object) -> None:
        """End the runs, and begin no others: what a signal does that was sent to us alone."""
        self.interrupted = True
        self.stop.set()
        for process in [*self._running]:
            process.terminate()

    def _one(self, kernel: ArchiveKernel, was_cached: bool) -> None:
        if self.stop.is_set() or time.monotonic() + self._expected() > self.deadline:
            return
        place = self.out / kernel.release
        began = time.monotonic()
        try:
            code = self._execute(kernel.release, place)
        except HarnessError as error:
            print(f"{kernel.release}: {error}", flush=True)
            code = int(error.exit_code)
        seconds = time.monotonic() - began
        stored = self._import(place, kernel.release)
        with self._lock:
            self._took.append(seconds)
            if not stored and not self.stop.is_set():
                self.failed.append(kernel.release)
        told = f"exit {code}, {'stored' if stored else 'NOT stored'}"
        print(f"{kernel.release:28} {seconds:7.1f} s  {told}", flush=True)
        if stored and not self.keep:
            shutil.rmtree(place)
            if not was_cached:
                self._command("kernels", "cache", "prune", kernel.release, "--quiet")

    def _expected(self) -> float:
        with self._lock:
            return sum(self._took) / len(self._took) if self._took else 0.0

    def _execute(self, release: str, place: Path) -> int:
        """Run one kernel, or go on with it; returns the exit code."""
        words = ["run", f"debian:{release}", "--out", str(place), *self.further]
        if (place / results_file.FILE_NAME).exists():
            if results_file.load(place).ended:
                return 0
            words = ["run", "--resume", str(place)]
        elif place.exists():
            shutil.rmtree(place)  # it was killed before anything was known
        with subprocess.Popen(
            [_harness(), *words, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            self._running.append(process)
            if self.stop.is_set():
                process.terminate()  # a signal came amid its start
            try:
                _, said = process.communicate(timeout=max(self.deadline - time.monotonic(), 1))
            except subprocess.TimeoutExpired:
                self.stop.set()
                process.send_signal(signal.SIGINT)
                try:
                    _, said = process.communicate(timeout=_GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    _, said = process.communicate()
            self._running.remove(process)
        if said:
            print(f"{release}: {said.decode(errors='replace').strip()}", flush=True)
        return process.returncode

    def _import(self, place: Path, release: str) -> bool:
        """Store a run that has come to its end; one that was interrupted is gone on with."""
        try:
            if not results_file.load(place).ended:
                return False
            with self._lock:
                import_run(Store(self.store), place)
        except HarnessError as error:
            print(f"{release}: {error}", flush=True)
            return False
        return True

    def _command(self, *words: str) -> None:
        argv = [_harness(), *words, "--cache", str(self.cache)]
        subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)


def _harness() -> str:
    return str(Path(sys.executable).parent / "afalg-harness")


def main() -> int:
    """Run what is left, write the page; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=positive_seconds, default=24.0, metavar="H")
    parser.add_argument("--limit", type=positive_integer, metavar="N", help="kernels at most")
    parser.add_argument("--jobs", type=positive_integer, default=1, metavar="N")
    parser.add_argument("--suite", action="append", default=[], metavar="NAME")
    parser.add_argument("--store", metavar="FILE|URL")
    parser.add_argument("--out", type=Path, default=Path("runs/archive"), metavar="DIR")
    parser.add_argument("--cache", type=Path, default=default_cache_dir(), metavar="DIR")
    parser.add_argument("--keep", action="store_true", help="run directories and kernels")
    parser.add_argument("--list", action="store_true", help="say what would run, and run nothing")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE")
    parser.add_argument("--page-only", action="store_true", help="from the store, run nothing")
    arguments, further = parser.parse_known_args()
    url = store_url(arguments.store)
    code = 0
    if not arguments.page_only:
        try:
            code = fill(arguments, url, further)
        except KeyboardInterrupt:
            code = 130
    if not arguments.list:
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        write_whole(arguments.page, (f"{line}\n" for line in page(Store(url))))
        print(f"{arguments.page}: written")
    return code


def fill(arguments: argparse.Namespace, url: str, further: Sequence[str]) -> int:
    """Run what the store lacks, as far as time and --limit go; returns the exit code."""
    cache = arguments.cache.absolute()
    done = in_store(Store(url), selected(arguments.suite, None))
    kernels = chosen(available(KernelSources(cache), SilentProgress()))
    left = [kernel for kernel in kernels if kernel.release not in done][: arguments.limit]
    print(f"{len(kernels)} kernels, {len(left)} of them to run", flush=True)
    if arguments.list:
        print("\n".join(kernel.release for kernel in left))
        return 0
    suites = [word for suite in arguments.suite for word in ("--suite", suite)]
    campaign = Campaign(
        store=url,
        out=arguments.out.absolute(),
        deadline=time.monotonic() + arguments.hours * 3600,
        further=[*suites, "--store", url, "--cache", str(cache), "--jobs", "1", *further],
        keep=arguments.keep,
        cache=cache,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, campaign.interrupt)
    campaign.run(left, arguments.jobs)
    if campaign.interrupted:
        return 130
    if campaign.failed:
        print(f"not in the store: {', '.join(campaign.failed)}", flush=True)
    return 3 if campaign.failed else 0


if __name__ == "__main__":
    sys.exit(main())
