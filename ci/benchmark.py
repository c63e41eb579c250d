"""Whole-process time of one kernel's run, as a ratio to a plain vng boot of the same kernel.

    .venv/bin/python ci/benchmark.py [RELEASE] [REPEATS]

Both are run in turn on the same machine, with a warm cache; the median of each counts.
The plain boot is ``vng --force-9p --disable-kvm -- true`` on the host's root.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect

from harness.guest.vng import environment
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.model import BootableKernel
from harness.processes import find_vng
from harness.progress import SilentProgress
from harness.report.results_file import load


def plain_boot(kernel: BootableKernel, scratch: Path) -> float:
    """Seconds that vng takes to boot the kernel on the host's root and run ``true``."""
    assert kernel.modules_tree is not None
    image = scratch / kernel.image.name
    if not image.exists():
        image.symlink_to(kernel.image)
        (scratch / "lib").symlink_to(kernel.modules_tree.parents[1])
    argv = ["--force-9p", "--disable-kvm", "--run", str(image), "--", "true"]
    started = time.monotonic()
    child = pexpect.spawn(find_vng(), argv, timeout=300, env=environment(scratch))
    child.expect(pexpect.EOF)
    child.close()
    seconds = time.monotonic() - started
    if child.exitstatus not in (0, 255):  # 255: without udev, vng knows no exit status
        raise SystemExit(f"{kernel.spec}: the plain boot ended with {child.exitstatus}")
    return seconds


def whole_run(spec: str, out: Path) -> tuple[float, dict[str, float]]:
    """Seconds of ``afalg-harness run`` as a process, and its own split."""
    program: str | Path = Path(sys.executable).parent / "afalg-harness"
    command = [program, "run", "--no-store", "--quiet", "--accel", "tcg", spec, "--out", out]
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"{spec}: the run ended with exit code {done.returncode}")
    (kernel,) = load(out).kernels
    boot, suite = kernel.boot_seconds or 0.0, kernel.suite_seconds or 0.0
    split = {"boot": boot, "suite": suite, "rest": seconds - boot - suite}
    return seconds, {name: round(value, 2) for name, value in split.items()}


def main() -> None:
    """Measure and print one JSON object."""
    release = sys.argv[1] if len(sys.argv) > 1 else "7.3.4+deb13-amd64"
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    spec = f"debian:{release}"
    kernel = resolve(spec, KernelSources(default_cache_dir()), SilentProgress())
    plain: list[float] = []
    runs: list[tuple[float, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        whole_run(spec, Path(scratch) / "warm")
        for number in range(repeats):
            plain.append(plain_boot(kernel, Path(scratch)))
            runs.append(whole_run(spec, Path(scratch) / f"run{number}"))
    runs.sort(key=lambda run: run[0])
    middle, split = runs[len(runs) // 2]
    yardstick = statistics.median(plain)
    figures = {
        "kernel": release,
        "plain_vng_seconds": round(yardstick, 2),
        "plain_vng_each": [round(seconds, 2) for seconds in plain],
        "run_seconds": round(middle, 2),
        "run_each": [round(seconds, 2) for seconds, _ in runs],
        "split_seconds": split,
        "ratio": round(middle / yardstick, 2),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
