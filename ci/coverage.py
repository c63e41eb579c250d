"""Which lines and branches of the kernel's AF_ALG code does the whole suite reach?

    .venv/bin/python ci/coverage.py [--series 7.3|6.12] [--out DIR] [--run DIR] [ARGUMENT ...]

Builds Debian's source with gcov's counters in crypto/af_alg.c and crypto/algif_*.c and with
fault injection, runs all suites in a guest, and prints what of each file ran. Whatever did
not run must be listed in unreached.toml, with the reason, and nothing else may be listed.
Exits with 0 if so, with 1 if not. ``--run`` takes the counts of an earlier run instead; further
arguments go to "afalg-harness run".
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kernel_tree import git, make_tree
from unreached import Counted, contradictions, read_counts, read_table

from harness.processes import run
from harness.report import results_file
from harness.suites import suite_names

_HERE = Path(__file__).resolve().parent
_PROGRAMS = Path(sys.executable).parent
_TABLE = _HERE / "unreached.toml"
_COLLECTOR = _HERE / "coverage_suite"
_OBJECTS = ("af_alg", "algif_aead", "algif_hash", "algif_rng", "algif_skcipher")
_FRAGMENTS = ("base", "afalg", "faultinjection", "coverage")
_BRANCH = "profiled"
#: What the keys of the collector's records begin with.
_COUNTER = "gcov "


def main() -> int:
    """Build, run, count, check; returns the exit code."""
    parser = argparse.ArgumentParser(description="how much of AF_ALG the suite reaches")
    parser.add_argument("--series", default="7.3", help="of Debian's source (default: 7.3)")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/afalg-coverage"))
    parser.add_argument("--out", type=Path, help="run directory (default: runs/coverage-SERIES)")
    parser.add_argument("--run", type=Path, help="count what this earlier run reached")
    arguments, further = parser.parse_known_args()
    out = arguments.run or arguments.out or Path("runs") / f"coverage-{arguments.series}"
    if arguments.run is None and not run_suites(arguments.series, arguments.work, out, further):
        return 1
    files = count(out)
    print_counts(files)
    table = read_table(_TABLE.read_text(), arguments.series)
    problems = list(contradictions(table, files))
    for problem in problems:
        print(f"coverage: {problem}", file=sys.stderr)
    print(f"coverage: {len(problems)} contradictions" if problems else "coverage: as listed")
    return 1 if problems else 0


def run_suites(series: str, work: Path, out: Path, further: list[str]) -> bool:
    """Run all suites on a profiled kernel of ``series``; whether there is a result in ``out``."""
    spec = f"git:{_profiled_tree(series, work)}@{_BRANCH}"
    options = [option for name in _FRAGMENTS for option in ("--kconfig", name)]
    harness: list[str | Path] = [_PROGRAMS / "afalg-harness"]
    started = time.monotonic()
    built = subprocess.run([*harness, "kernels", "build", spec, *options], check=False)
    if built.returncode != 0:
        return False
    print(f"{time.monotonic() - started:.0f} s to build (0: it was built before)", flush=True)
    # The collector is the last of the suites, and none of its tests precede those of others.
    suites = [option for name in (*suite_names(), _COLLECTOR) for option in ("--suite", str(name))]
    command = [*harness, "run", "--no-store", spec, *options, *suites, "--out", out, *further]
    subprocess.run(command, check=False)
    return (out / "results.json").is_file()


def _profiled_tree(series: str, work: Path) -> Path:
    """The source of ``series``, with a branch in which the AF_ALG files are profiled."""
    tree = make_tree(series, work)
    if _BRANCH not in git(tree, "branch", "--format=%(refname:short)").split():
        git(tree, "checkout", "-qfb", _BRANCH, "released")
        with (tree / "crypto/Makefile").open("a") as makefile:
            makefile.writelines(f"GCOV_PROFILE_{name}.o := y\n" for name in _OBJECTS)
        git(tree, "commit", "-qam", "Profile the AF_ALG interfaces")
    return tree


def count(out: Path) -> tuple[Counted, ...]:
    """What the run in ``out`` counted, file by file."""
    (kernel,) = results_file.load(out).kernels
    counters = {
        Path(key.removeprefix(_COUNTER)): base64.b64decode(content)
        for key, content in kernel.transcripts.items()
        if key.startswith(_COUNTER)
    }
    if len(counters) != len(_OBJECTS):
        raise SystemExit(
            f"coverage: the guest sent the counts of {len(counters)} files, not of {len(_OBJECTS)}"
            f" ({kernel.status}: {kernel.status_reason})"
        )
    with TemporaryDirectory() as scratch:
        return _counted(counters, Path(scratch))


def _counted(counters: Mapping[Path, bytes], scratch: Path) -> tuple[Counted, ...]:
    """Have gcovr read ``counters`` (path of each as the compiler gave it -> content)."""
    for path, content in counters.items():
        notes = path.with_suffix(".gcno")
        if not notes.is_file():
            raise SystemExit(
                f"coverage: {notes} is gone; delete the kernel (afalg-harness kernels cache prune)"
                " and have it built again"
            )
        shutil.copy(notes, scratch)
        (scratch / path.name).write_bytes(content)
    # Where the harness builds a tree: the checkout lies beside the directories of objects.
    objects = next(iter(counters)).parents[1]
    source = objects.parent / "source"
    result = scratch / "counts.json"
    argv: list[str | Path] = [_PROGRAMS / "gcovr", "--root", source]
    argv += ["--object-directory", objects]
    argv += ["--filter", r".*/crypto/(af_alg|algif_\w+)\.c$", "--json", result, scratch]
    run(argv, doing="reading the counters", directory=scratch)
    report: dict[str, Any] = json.loads(result.read_text())
    files = read_counts(report, source)
    if len(files) != len(counters):
        raise SystemExit(f"coverage: gcovr read {len(files)} of {len(counters)} counters")
    return files


def print_counts(files: Sequence[Counted]) -> None:
    """One line for each file."""
    print(f"{'':20}{'lines':>20}{'branches taken':>20}")
    for file in files:
        lines = _share(file.lines_run, len(file.lines))
        branches = _share(file.branches_taken, file.branches)
        print(f"{file.name:20}{lines:>20}{branches:>20}")


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}, {100 * part / whole:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
