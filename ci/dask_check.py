"""Checks that a run comes to the same wherever its guests are: here, on Dask's workers, in shards.

    .venv/bin/python ci/dask_check.py [--out DIR] [--suite NAME|PATH]... [SPEC...]

Six kernels (by default) are run four times: on this machine, on a Dask cluster of two workers,
on another of which one is killed while its guest runs, and as shards 1/2 and 2/2, merged. What
differs from the first, times and hosts aside, is printed, and whether QEMU outlived its worker.
Exits with 0 if nothing differs, 1 if something does, 3 if a run could not be made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distributed import Client

from harness.processes import group_members

_KERNELS = (
    *("debian:6.12.95+deb13-amd64", "debian:6.12.96+deb13-amd64", "debian:6.12.117+deb13-amd64"),
    *("debian:7.0.13+deb13-amd64", "debian:7.1.13+deb13-amd64", "debian:7.3.4+deb13-amd64"),
)
_SUITE = "functional/test_hash.py"  # of a boot that is short
#: Of results.json: what is of a run, a host or a moment.
_ASIDE = frozenset(
    (
        *("id", "started", "ended", "command", "host", "shard", "seconds", "boot_seconds"),
        *("suite_seconds", "wall_seconds", "nonce", "cmdline", "machine", "earlier"),
    )
)
#: Of a text: addresses and numbers, which are of a moment as well.
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?")
_TEXTS = frozenset(("evidence", "message", "details", "lines", "title", "status_reason"))
_SHOWN = 20  # differences of a run
#: Seconds that QEMU may live on without its worker.
_OUTLIVE_SECONDS = 10.0
#: CPU seconds of a guest that runs its suite, or is about to.
_WELL_ON = 8.0


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """What two results.json say differently, times and hosts aside; a line each."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other} - _ASIDE):
            if name in _TEXTS:
                before, after = (_NUMBER.sub("#", json.dumps(x.get(name))) for x in (one, other))
                if before != after:
                    yield f"{place}.{name}: {before[:150]} | {after[:150]}"
            else:
                yield from differences(one.get(name), other.get(name), f"{place}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (before, after) in enumerate(zip(one, other, strict=True)):
            yield from differences(before, after, f"{place}[{number}]")
    elif one != other:
        yield f"{place}: {json.dumps(one)[:150]} | {json.dumps(other)[:150]}"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "harness", *words]


def _run(words: Sequence[str]) -> None:
    """Run the harness; what it found is no matter here. Raises CalledProcessError."""
    print("+", *words, flush=True)
    done = subprocess.run(_command(*words), check=False, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise subprocess.CalledProcessError(done.returncode, words)


@contextlib.contextmanager
def _cluster(place: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and its workers, each in a process group of its own."""
    place.mkdir(parents=True)
    file = place / "scheduler.json"
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *words: str) -> None:
        argv = [sys.executable, "-m", f"distributed.cli.dask_{program}", *words]
        with (place / f"{program}.log").open("ab") as log:
            started.append(
                subprocess.Popen(argv, cwd=place, stdout=log, stderr=log, start_new_session=True)
            )

    try:
        start("scheduler", "--port", "0", "--scheduler-file", str(file), "--no-dashboard")
        for _ in range(workers):
            words = ("--scheduler-file", str(file), "--resources", "vm=1", "--nthreads", "1")
            start("worker", *words, "--no-nanny", "--no-dashboard")
        with Client(scheduler_file=str(file), set_as_default=False, timeout=120) as client:
            client.wait_for_workers(workers, timeout=120)
            address = client.scheduler_info()["address"]
        yield address, started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def _guest_of(worker: int) -> int:
    """Process id of a QEMU that a worker has started and that is well on; 0 if there is none."""
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            fields = rest.split()
            busy = (int(fields[11]) + int(fields[12])) / ticks
            if "(qemu-system" in name and busy > _WELL_ON and _is_below(int(fields[1]), worker):
                return int(stat.parent.name)
    return 0


def _is_below(process: int, ancestor: int) -> bool:
    while process > 1 and process != ancestor:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        process = int(fields[1])
    return process == ancestor


def _kill_one(worker: subprocess.Popen[bytes], run: subprocess.Popen[bytes]) -> str:
    """Kill a worker while its guest runs; what became of that, as a difference, or ""."""
    guest = 0
    while not guest:
        if run.poll() is not None:
            return "no guest was seen on the worker that was to be killed"
        time.sleep(0.2)
        guest = _guest_of(worker.pid)
    group = os.getpgid(guest)
    print(f"+ kill -KILL {worker.pid}  (its guest is {guest})", flush=True)
    worker.kill()
    worker.wait()
    begun = time.monotonic()
    while group_members(group):
        if time.monotonic() - begun > _OUTLIVE_SECONDS:
            return f"QEMU {guest} outlived its worker"
        time.sleep(0.05)
    print(f"  QEMU was gone {time.monotonic() - begun:.1f} s later", flush=True)
    return ""


def _on_dask(words: Sequence[str], out: Path, *, kill: bool) -> list[str]:
    """A run on two workers, of which one may be killed."""
    with _cluster(out.with_name(f"{out.name}-cluster"), 2) as (address, workers):
        more = ["--executor", f"dask:{address}", "--out", str(out)]
        print("+", *words, *more, flush=True)
        run = subprocess.Popen(_command(*words, *more), stdout=subprocess.DEVNULL)
        try:
            problem = _kill_one(workers[0], run) if kill else ""
            code = run.wait()
        finally:
            run.terminate()
            run.wait()
    if code not in (0, 1):
        raise subprocess.CalledProcessError(code, words)
    return [problem] if problem else []


def _in_shards(words: Sequence[str], out: Path) -> None:
    parts = [out.with_name(f"{out.name}-{number}") for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        _run([*words, "--shard", f"{number}/2", "--out", str(part)])
    _run(["report", "merge", *map(str, parts), "--out", str(out)])


def _results(out: Path) -> Any:
    return json.loads((out / "results.json").read_text())


def main() -> int:
    """Run and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specs", nargs="*", metavar="SPEC", default=list(_KERNELS))
    parser.add_argument("--out", type=Path, default=Path("runs/dask-check"))
    parser.add_argument("--suite", action="append", metavar="NAME|PATH")
    parser.add_argument("--jobs", default="2", help="guests at once on this machine")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    suites = [word for name in arguments.suite or [_SUITE] for word in ("--suite", name)]
    words = ["run", "--quiet", "--no-store", *suites, *arguments.specs]
    here = [*words, "--jobs", arguments.jobs]
    found: dict[str, list[str]] = {}
    try:
        _run([*here, "--out", str(out / "here")])
        found["two workers"] = _on_dask(words, out / "dask", kill=False)
        found["one worker killed"] = _on_dask(words, out / "killed", kill=True)
        _in_shards(here, out / "shards")
    except subprocess.CalledProcessError as error:
        print(f"exit code {error.returncode}: {' '.join(error.cmd)}", file=sys.stderr)
        return 3
    first = _results(out / "here")
    for name, directory in (
        ("two workers", "dask"),
        ("one worker killed", "killed"),
        ("shards, merged", "shards"),
    ):
        lines = [*found.get(name, ()), *differences(first, _results(out / directory))]
        found[name] = lines
        print(f"{name}: {len(lines)} differences")
        for line in lines[:_SHOWN]:
            print(f"  {line}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
