"""The controls of ``afalg-harness benchmark``: does it see what is there, and nothing else?

    .venv/bin/python ci/cost_control.py noise SPEC [--runs 10] [--out DIR]
    .venv/bin/python ci/cost_control.py trees [--work DIR] [--series 7.3] [--out DIR]
    .venv/bin/python ci/cost_control.py read DIR

``noise`` measures one kernel again and again, the last two times beside a busy loop on each CPU,
and fails if a row of any two runs differs by more than 0.5 %. ``trees`` builds Debian's source
three times (fragments base and afalg): as it is, with the removal of zero-copy undone, and with a
loop in af_alg_sendmsg() that slows it down by some 3 %; each change must be found, charged to the
rows and calls that it concerns, and to no other. ``read`` checks what ``trees`` has measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernel_tree import AF_ALG, git, make_tree, reverted_removal

from harness.benchmark.changes import NOISE, WayChange, changes
from harness.benchmark.file import load
from harness.benchmark.values import Benchmark
from harness.errors import HarnessError

_COMMAND = (str(Path(sys.executable).parent / "afalg-harness"), "benchmark", "--one-count")
_FEW = [
    *(word for size in (16, 4096, 65536, 1 << 20) for word in ("--size", str(size))),
    *(w for way in ("sendmsg", "splice", "new socket", "openssl") for w in ("--way", way)),
]
_LOADED = 2  # runs beside a full load
#: Ways that pass pages by reference where the kernel lets them.
_BY_REFERENCE = ("splice", "sendfile", "vmsplice", "vmsplice gift")
#: The calls that end in af_alg_sendmsg().
_SENDING = ("sendmsg", "write", "splice to socket", "sendfile", "io_uring_enter")
_CONTEXT = "\tctx->write = true;\n"
_LOOP = """\
	{
		unsigned long turns = 45 + 16 * (size >> PAGE_SHIFT);

		asm volatile("1: dec %0; jnz 1b" : "+r" (turns) : : "cc");
	}
"""


def slowed(source: str) -> str:
    """``crypto/af_alg.c`` with a loop in af_alg_sendmsg(): 92 instructions, and 32 a page."""
    start = source.index("int af_alg_sendmsg(")
    at = source.index(_CONTEXT, start) + len(_CONTEXT)
    return source[:at] + _LOOP + source[at:]


def charged_wrongly(found: Sequence[WayChange], kind: str) -> Iterator[str]:
    """What of a change is not as it should be; ``kind`` is "zero-copy" or "slowed"."""
    for way in found:
        name = f"{kind}: {way.algorithm} by {way.way}"
        concerned = way.algorithm != "sha256" and "openssl" not in way.way
        if kind == "zero-copy":
            concerned = concerned and way.way in _BY_REFERENCE
        if not concerned and way.beyond:
            yield f"{name}: changed, and should not have"
        if not concerned or not way.rows:
            continue
        shares = [change.share for change in way.rows]
        right = all(share < -NOISE for share in shares) if kind == "zero-copy" else min(shares) > 0
        # Of a dear message the loop may be less than two boots differ by.
        seen = way.beyond or max(map(abs, shares)) <= NOISE
        if not right or not seen:
            yield f"{name}: {min(shares):+.2%} to {max(shares):+.2%}"
        elif way.beyond and way.call not in _SENDING:
            yield f"{name}: charged to {way.call}"


def largest_difference(runs: Sequence[Benchmark]) -> tuple[float, str]:
    """Between any two runs of one kernel, as a share, and the row that shows it."""
    costs: dict[tuple[str, str, int], list[float]] = {}
    for run in runs:
        for row in run.kernels[0].main.rows:
            if not row.missing:
                costs.setdefault(row.key, []).append(row.cost)
    if any(len(found) != len(runs) for found in costs.values()) or not costs:
        raise SystemExit("the runs have not the same rows")
    shares = {key: max(found) / min(found) - 1 for key, found in costs.items()}
    worst = max(shares, key=lambda key: shares[key])
    return shares[worst], f"{worst[0]} by {worst[1]} of {worst[2]} bytes"


def noise(spec: str, runs: int, out: Path) -> int:
    """Measure ``spec`` so often; returns the exit code."""
    for number in range(runs):
        with _full_load() if number >= runs - _LOADED else contextlib.nullcontext():
            words = [*_COMMAND, spec, *_FEW, "--out", str(out / str(number + 1))]
            subprocess.run(words, check=True)
    share, row = largest_difference([load(out / str(number + 1)) for number in range(runs)])
    print(f"{runs} runs differ by at most {share:.3%} ({row})")
    return int(share > NOISE)


@contextlib.contextmanager
def _full_load() -> Iterator[None]:
    """A busy loop for each CPU while this block runs."""
    words = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(words) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def trees(work: Path, series: str, out: Path) -> int:
    """Build and measure the three kernels, and check what was measured."""
    tree = make_tree(series, work)
    git(tree, "checkout", "-qf", "released")
    source = (tree / AF_ALG).read_text()
    for branch in ("costs-zero-copy", "costs-slowed"):
        text = slowed(source) if branch == "costs-slowed" else reverted_removal(tree, work).decode()
        git(tree, "checkout", "-qfB", branch, "released")
        (tree / AF_ALG).write_text(text)
        git(tree, "commit", "-qam", branch)
        git(tree, "checkout", "-qf", "released")
    specs = [f"git:{tree}@{name}" for name in ("released", "costs-zero-copy", "costs-slowed")]
    subprocess.run([*_COMMAND, *specs, "--out", out], check=True)
    return read(out)


def read(out: Path) -> int:
    """Check a benchmark of the three kernels; returns the exit code."""
    first, *others = load(out).kernels
    problems = [
        problem
        for kind, kernel in zip(("zero-copy", "slowed"), others, strict=True)
        for problem in charged_wrongly(changes(first.main, kernel.main), kind)
    ]
    for problem in problems:
        print(f"cost control: {problem}", file=sys.stderr)
    print("cost control: " + ("failed" if problems else "each change is found where it was made"))
    return int(bool(problems))


def main() -> int:
    """Run the command of the arguments; returns the exit code."""
    parser = argparse.ArgumentParser(description="controls of the benchmark")
    commands = parser.add_subparsers(required=True, dest="command")
    repeated = commands.add_parser("noise")
    repeated.add_argument("spec")
    repeated.add_argument("--runs", type=int, default=10)
    repeated.add_argument("--out", type=Path, default=Path("runs/cost-noise"))
    built = commands.add_parser("trees")
    built.add_argument("--work", type=Path, default=Path("/var/tmp/afalg-control"))
    built.add_argument("--series", default="7.3")
    built.add_argument("--out", type=Path, default=Path("runs/cost-control"))
    commands.add_parser("read").add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except HarnessError as error:
        print(f"cost control: {error}", file=sys.stderr)
        return int(error.exit_code)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "noise":
        return noise(arguments.spec, arguments.runs, arguments.out)
    if arguments.command == "trees":
        return trees(arguments.work, arguments.series, arguments.out)
    return read(arguments.out)


if __name__ == "__main__":
    sys.exit(main())
