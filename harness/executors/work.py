"""One kernel's share of a run as a value, and what any machine that has a harness does with it."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import threading
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import harness
from harness.executors.executor import PinnedKernel
from harness.executors.local import LocalExecutor
from harness.executors.packed import Packed, packed, unpack
from harness.executors.pinned import check_files
from harness.job import KernelJob
from harness.judge.expectations import Expectations
from harness.kernels.sources import KernelSources
from harness.locations import own_cache_dir
from harness.model import HostInfo, ImageContents, KernelResult
from harness.progress import Progress, SilentProgress
from harness.run_options import RunOptions
from harness.scratch import scratch_directory


@dataclass(frozen=True)
class Guests:
    """What the guests of a run are like, wherever they are."""

    payload: bytes  # the archive that they are given to run, compressed
    root: str  # as ``--root``
    accel: str  # as ``--accel``
    mirror: str | None
    kconfigs: tuple[str, ...]
    cache: str = ""  # directory; "": the default of the machine
    guest_suite: str | None = None  # as ``--guest-suite``


@dataclass(frozen=True)
class Again:
    """Tests that are to be run once more alone."""

    before: KernelResult
    tests: tuple[str, ...]
    times: int


@dataclass(frozen=True)
class Work:
    """What is to be done with one kernel."""

    id: str  # of this and no other work
    job: KernelJob
    kernel: PinnedKernel
    guests: Guests
    files: Packed = field(default_factory=dict)  # of its boots so far
    again: Again | None = None


@dataclass(frozen=True)
class Done:
    """What came of it."""

    result: KernelResult
    files: Packed
    host: HostInfo
    image: str  # key of the guest image
    machine: str  # its name
    directory: str  # where the files were there
    payload: str  # and what the guests were given to run
    image_contents: ImageContents | None = None


def do(work: Work, progress: Progress, stop: threading.Event) -> Done:
    """Fetch or build the kernel into the cache of this machine, and boot it.

    Raises HarnessError as ``LocalExecutor`` does, InputError if it is another kernel here.
    """
    machine = socket.gethostname()
    check_files(work.kernel, machine)
    with scratch_directory() as place:
        executor, payload = _executor(work.guests, work.job.append, place, progress, stop)
        kernel = replace(executor.find(work.kernel.pinned), spec=work.kernel.spec)
        directory = place / "kernels" / "kernel"
        unpack(work.files, directory)
        if work.again is None:
            result = executor.run(work.job, kernel, lambda _: directory, directory)
        else:
            again = work.again
            result = executor.confirm(
                work.job, kernel, lambda _: directory, again.before, again.tests, again.times
            )
        result = replace(result, exact=work.kernel.exact)
        return Done(
            result,
            packed(directory),
            executor.host(),
            executor.image(),
            machine,
            directory=str(directory),
            payload=str(payload),
            image_contents=executor.image_contents(),
        )


def control_kernel(
    guests: Guests, append: tuple[str, ...], release: str, stop: threading.Event
) -> str | None:
    """A kernel other than ``release`` that is such a guest here, as ``Executor.control``."""
    with scratch_directory() as place:
        executor, _ = _executor(guests, append, place, SilentProgress(), stop)
        return executor.control(release)


def _executor(
    guests: Guests,
    append: tuple[str, ...],
    place: Path,
    progress: Progress,
    stop: threading.Event,
) -> tuple[LocalExecutor, Path]:
    """What boots such guests here, and what they are given to run."""
    executor = LocalExecutor(_options(guests, append, place), progress, stop)
    executor.check()
    executor.prepare()
    payload = place / "payload.tar"
    payload.write_bytes(zlib.decompress(guests.payload))
    executor.load(payload)
    return executor, payload


def _options(guests: Guests, append: tuple[str, ...], place: Path) -> RunOptions:
    return RunOptions(
        specs=(),
        baseline=None,
        sources=KernelSources(
            Path(guests.cache) if guests.cache else own_cache_dir(),
            mirror=os.environ.get("AFALG_MIRROR") or guests.mirror,
            kconfigs=guests.kconfigs,
        ),
        out=place,
        command="",
        expectations=Expectations(),
        append=append,
        accel=guests.accel,
        root=guests.root,
        guest_suite=guests.guest_suite,
    )


@functools.cache
def fingerprint() -> str:
    """Tells a harness from another one: what one machine asks, another must understand.

    By its code alone: a checkout's version is that of the day on which it was installed.
    """
    digest = hashlib.sha256()
    top = Path(harness.__file__).parent
    for path in sorted(top.rglob("*.py")):
        if "_suite" not in path.parts:
            digest.update(f"{path.relative_to(top)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
