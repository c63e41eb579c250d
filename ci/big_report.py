#!/usr/bin/env python3
"""Makes the HTML report of a synthetic run of many kernels and measures it.

example:
  ci/big_report.py --kernels 80 --tests 1500 --out /tmp/big

The run is made of the stored one of real kernels (tests/data): kernels and tests again and
again under other names, with times and digests of their own, so that they compress no better
than real ones. Prints the page's size and how long it takes to make, and to open in chromium
until the table of tests is there.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from random import Random

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from harness.judge.conclude import conclude  # noqa: E402
from harness.judge.expectations import run_expectations  # noqa: E402
from harness.model import Fact, KernelResult, Role, RunResult  # noqa: E402
from harness.report import results_file  # noqa: E402
from harness.report.render import write  # noqa: E402
from tests.browser import chromium, opened  # noqa: E402
from tests.stored_runs import stored_run  # noqa: E402

_OPENINGS = 5
_DIGEST = re.compile(r"\b[0-9a-f]{12,}\b")


def big_run(kernels: int, tests: int) -> RunResult:
    """A run of that many kernels, of that many tests each."""
    real = stored_run()
    random = Random(1)
    made = [
        _kernel(kernel, number, tests, random)
        for number, kernel in enumerate(islice(cycle(real.kernels), kernels))
    ]
    run = replace(real, kernels=tuple(made), comparisons=())
    return conclude(run, run_expectations(run), None)


def _kernel(kernel: KernelResult, number: int, tests: int, random: Random) -> KernelResult:
    version, dash, rest = kernel.release.partition("-")
    release = f"{version}.{number}{dash}{rest}"
    names = [test.id for test in kernel.tests]
    names += [f"{name}~{turn}" for turn in range(tests // len(names)) for name in names]
    again = islice(cycle(kernel.tests), tests)
    results = tuple(
        replace(test, id=name, seconds=test.seconds * random.uniform(0.5, 2))
        for name, test in zip(names, again, strict=False)
    )
    return replace(
        kernel,
        release=release,
        spec=f"debian:{release}",
        role=Role.CANDIDATE if number else Role.BASELINE,
        reproduce=f"afalg-harness run debian:{release}",
        plan=tuple(names[:tests]),
        tests=results,
        facts=replace(
            kernel.facts,
            zero_copy=_facts(kernel.facts.zero_copy, random),
            other=_facts(kernel.facts.other, random),
        ),
    )


def _facts(facts: Mapping[str, Fact], random: Random) -> Mapping[str, Fact]:
    def other(match: re.Match[str]) -> str:
        return f"{random.getrandbits(4 * len(match.group())):0{len(match.group())}x}"

    return {
        name: replace(fact, evidence=_DIGEST.sub(other, fact.evidence))
        for name, fact in facts.items()
    }


def _open(page: Path, scratch: Path) -> None:
    with chromium(scratch) as browser:
        for _ in range(_OPENINGS):
            began = time.monotonic()
            with opened(browser, page) as found:
                ready = time.monotonic() - began
                rows = found.page.locator("#grid tbody tr.row").count()
                unasked = [*found.said, *found.requests]
                began = time.monotonic()
                found.page.get_by_role("button", name="all", exact=True).click()
                told = found.page.locator("#matrix [role=status]").inner_text()
                filtered = time.monotonic() - began
            print(
                f"opens in {ready:.2f} s with {rows} rows drawn;"
                f" all of them ({told}) in {filtered:.2f} s; unasked: {unasked or 'nothing'}"
            )


def main() -> int:
    """Make, write, open; the exit code says nothing of the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernels", type=int, default=80)
    parser.add_argument("--tests", type=int, default=1500, help="of each kernel")
    parser.add_argument("--out", type=Path, help="keep run and page in this directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = arguments.out or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        run = big_run(arguments.kernels, arguments.tests)
        if arguments.out:
            results_file.save(run, place / results_file.FILE_NAME)
        began, used = time.monotonic(), time.process_time()
        page = place / "report.html"
        write(run, "html", page)
        print(
            f"{arguments.kernels} kernels, {arguments.tests} tests:"
            f" {page.stat().st_size / 1e6:.2f} MB, made in {time.monotonic() - began:.1f} s"
            f" ({time.process_time() - used:.1f} s of CPU)"
        )
        _open(page, Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
