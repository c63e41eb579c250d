"""Runs all suites on every kernel of known truth, several times in a row.

    .venv/bin/python ci/known_truth.py [--rounds N] [--jobs N] [--out DIR] [ARGUMENT ...]

Prints one line for each kernel and round, and in what it contradicts what is known of that
kernel: a false alarm counts as much as a miss. Further arguments go to "afalg-harness run".
Exits with 0 if nothing contradicts, with 1 if something does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from harness.report import results_file
from tests.known_truth import TRUTH, contradictions


def one_round(out: Path, jobs: int, further: list[str]) -> list[str]:
    """Run every kernel once; returns what contradicts known truth, a line each."""
    harness = Path(sys.executable).parent / "afalg-harness"
    specs = [truth.spec for truth in TRUTH]
    # Nothing is made good here by being run again.
    options = ["--jobs", str(jobs), "--confirm", "0", "--quiet", "--out", str(out), *further]
    subprocess.run(
        [harness, "run", "--no-store", *specs, *options], check=False, stdout=subprocess.DEVNULL
    )
    kernels = {kernel.spec: kernel for kernel in results_file.load(out).kernels}
    found = []
    for truth in TRUTH:
        kernel = kernels[truth.spec]
        wrong = contradictions(kernel, truth)
        passed = sum(test.outcome == "passed" for test in kernel.tests)
        print(
            f"{out.name}  {truth.release:24} {kernel.wall_seconds or 0:6.1f} s"
            f"  {passed} of {len(kernel.plan)} passed  {'WRONG' if wrong else 'as known'}",
            flush=True,
        )
        found += [f"{out.name} {truth.release}: {line}" for line in wrong]
    return found


def main() -> int:
    """Run all rounds; returns the exit code."""
    parser = argparse.ArgumentParser(description="kernels of known truth, several times in a row")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/known-truth"))
    arguments, further = parser.parse_known_args()
    out = arguments.out.absolute()
    found = []
    for number in range(1, arguments.rounds + 1):
        found += one_round(out / f"round-{number}", arguments.jobs, further)
    print("\n".join(found) or f"nothing contradicts in {arguments.rounds} rounds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
