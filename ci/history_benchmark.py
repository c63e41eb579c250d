#!/usr/bin/env python3
"""Fills a store with runs and measures how long `afalg-harness history TEST` takes.

example:
  ci/history_benchmark.py --runs 1000 --store /tmp/thousand.sqlite

The runs are made of the stored one of real kernels (tests/data): each of two of its kernels
(--kernels-per-run), of ten in turn, and a few tests that failed at random. The first twenty are
stored as any run is, and the others are copies of their rows under other numbers. What is
measured is the whole process, from the shell to its end, and the CPU time that it took: on an
idle machine they are the same. Exits with 1 if the median of the CPU time is above the limit.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from random import Random

from sqlalchemy import Connection

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from harness.history.contents import packed  # noqa: E402
from harness.history.importing import Prepared, write  # noqa: E402
from harness.history.store import Store, store_url  # noqa: E402
from harness.history.tables import METADATA  # noqa: E402
from harness.model import KernelResult, Outcome, RunResult, TestResult  # noqa: E402
from tests.stored_runs import stored_run  # noqa: E402

_KERNELS = 10
_FLAKY = 0.002  # of all outcomes
_TEST = "functional/test_hash.py::test_known_answer[sha256]"
_FACT = "zero_copy.skcipher.splice_file"
_TIMES = 7
_STORED = 20  # runs of which the others are copies
_ID = 16  # characters of an id


def _runs(count: int, per_run: int) -> Iterator[RunResult]:
    real = stored_run()
    kernels = cycle(real.kernels[:_KERNELS])
    random = Random(1)
    began = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for number in range(count):
        started = (began + number * datetime.timedelta(hours=6)).isoformat()
        yield replace(
            real,
            id=f"{number:016x}",
            started=started,
            ended=started,
            kernels=tuple(_flaky(one, random) for one in islice(kernels, per_run)),
            comparisons=(),
        )


def _flaky(kernel: KernelResult, random: Random) -> KernelResult:
    def other(test: TestResult) -> TestResult:
        if test.outcome is not Outcome.PASSED or random.random() > _FLAKY:
            return test
        return replace(test, outcome=Outcome.FAILED, message="expected e3b0, saw 0000")

    return replace(kernel, tests=tuple(map(other, kernel.tests)), transcripts={})


def _fill(store: Store, count: int, per_run: int) -> None:
    began = time.monotonic()
    for run in _runs(min(count, _STORED), per_run):
        # What is measured reads nothing of results.json.
        write(store, Prepared(run, run.id, run.id, packed(run.id.encode())))
    with store.writing() as connection:
        for copy in range(1, count // _STORED):
            _copy(connection, copy, _STORED * per_run)
    ((runs, outcomes),) = store.rows(
        "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM outcomes)"
    )
    seconds = time.monotonic() - began
    print(f"{runs} runs, {outcomes} outcomes of tests, stored in {seconds:.0f} s")


def _copy(connection: Connection, copy: int, results: int) -> None:
    """Add what is like the first runs, which have so many results, and began some days later."""
    first = {
        "runs": f"length(id) = {_ID}",
        "results": f"id <= {results}",
        "outcomes": f"result <= {results}",
        "facts": f"result <= {results}",
    }
    other = {
        ("runs", "id"): f"id || '-{copy}'",
        ("runs", "started"): f"strftime('%Y-%m-%dT%H:%M:%S+00:00', started, '+{copy * 5} days')",
        ("results", "id"): f"id + {copy * results}",
        ("results", "run"): f"run || '-{copy}'",
        ("outcomes", "result"): f"result + {copy * results}",
        ("facts", "result"): f"result + {copy * results}",
    }
    for table, which in first.items():
        columns = [column.name for column in METADATA.tables[table].columns]
        made = ", ".join(other.get((table, column), column) for column in columns)
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {made} FROM {table} WHERE {which}"
        )


def _seconds(*words: str) -> tuple[float, float]:
    """How long a command took, and how much of the CPU."""
    program = str(Path(sys.executable).parent / "afalg-harness")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return took, used


def main() -> int:
    """Fill, measure; 1 if it takes too long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--kernels-per-run", type=int, default=2)
    parser.add_argument("--store", help="keep the store there; one that is there is measured")
    parser.add_argument("--limit", type=float, default=0.5, help="seconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(store_url(arguments.store or f"{scratch}/runs.sqlite"))
        if not store.exists():
            _fill(store, arguments.runs, arguments.kernels_per_run)
        slow = False
        for name in (_TEST, _FACT):
            times = [_seconds("history", name, "--store", store.url) for _ in range(_TIMES)]
            took, used = (statistics.median(figures) for figures in zip(*times, strict=True))
            slow |= used > arguments.limit
            fastest = min(took for took, _ in times)
            print(f"history {name}: {took:.3f} s (at best {fastest:.3f}), of the CPU {used:.3f} s")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
