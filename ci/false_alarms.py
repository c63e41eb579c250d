"""Runs a good kernel many times beside a load: every run must end in exit code 0.

    .venv/bin/python ci/false_alarms.py [--runs N] [--kernel SPEC] [--load N] [--out DIR]

The load is N processes that compute (none with --load 0, where the machine is busy anyway).
Prints how each run ended. Exits with 0 if all ended in 0, with 1 if one did not.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    argv = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(argv) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="runs of a good kernel beside a load")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--kernel", default="debian:7.3.4+deb13-amd64")
    parser.add_argument("--load", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/false-alarms"))
    arguments = parser.parse_args()
    harness = Path(sys.executable).parent / "afalg-harness"
    argv = [
        harness,
        "run",
        "--no-store",
        arguments.kernel,
        "--suite",
        "zero_copy",
        "--suite",
        "security",
    ]
    codes: Counter[int] = Counter()
    with load(arguments.load):
        for number in range(1, arguments.runs + 1):
            out = arguments.out.absolute() / f"{number:03}"
            started = time.monotonic()
            ended = subprocess.run(
                [*argv, "--quiet", "--out", out], check=False, stdout=subprocess.DEVNULL
            )
            codes[ended.returncode] += 1
            seconds = time.monotonic() - started
            print(f"{number:4}: exit {ended.returncode} after {seconds:.1f} s", flush=True)
    print(", ".join(f"{count} times exit {code}" for code, count in sorted(codes.items())))
    return 0 if set(codes) == {0} else 1


if __name__ == "__main__":
    sys.exit(main())
