"""Boots each kernel, as often as it is counted, and puts what they cost together."""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.benchmark.costs import counting, rows
from harness.benchmark.fits import fits
from harness.benchmark.guest import Told, measure, settings
from harness.benchmark.plan import Plan
from harness.benchmark.values import CPUS, MAIN, Count, Failure, KernelCosts
from harness.errors import ExitCode, InfrastructureError, Interrupted
from harness.faults import tell
from harness.guest.inside import ways
from harness.guest.vng import Root
from harness.model import BootableKernel
from harness.progress import Progress


@dataclass(frozen=True)
class Guests:
    """What all guests of a benchmark have in common."""

    root: Root
    payload: Path
    append: tuple[str, ...]
    plan: Plan
    jobs: int  # guests at once
    one_count: bool = False


@dataclass(frozen=True)
class Found:
    """What guests measured, and what they did not."""

    kernels: tuple[KernelCosts, ...]
    failures: tuple[Failure, ...]


def run(
    kernels: Sequence[tuple[BootableKernel, Path]],
    guests: Guests,
    stop: threading.Event,
    progress: Progress,
) -> Found:
    """What each kernel costs, in order; ``kernels`` come with the directories for their files.

    A guest that fails, or that ``stop`` ends, does not end the others: what it was to measure is
    among the failures.
    """
    with ThreadPoolExecutor(guests.jobs) as pool:
        try:
            started = [
                [
                    (name, pool.submit(_count, kernel, name, directory, guests, stop, progress))
                    for name in CPUS
                    if name == MAIN or not guests.one_count
                ]
                for kernel, directory in kernels
            ]
            found = [{name: one.result() for name, one in counts} for counts in started]
        except BaseException:
            stop.set()
            raise
    costs = [
        costs_of(kernel, [one for one in counts.values() if isinstance(one, Counted)])
        for (kernel, _), counts in zip(kernels, found, strict=True)
        if isinstance(counts[MAIN], Counted)
    ]
    failed = [one for counts in found for one in counts.values() if isinstance(one, Failure)]
    return Found(tuple(costs), tuple(failed))


def failure(spec: str, part: str, error: Exception) -> Failure:
    """What is said of a kernel, or a ``part`` of its counts, that could not be measured."""
    told = tell(error)
    return Failure(
        spec, part, told.line.removeprefix(f"{spec}: "), told.code == ExitCode.INTERRUPTED
    )


@dataclass(frozen=True)
class Counted:
    """What one guest told: of itself, and what messages cost."""

    told: Told  # without the rows
    count: Count


def _count(
    kernel: BootableKernel,
    name: str,
    directory: Path,
    guests: Guests,
    stop: threading.Event,
    progress: Progress,
) -> Counted | Failure:
    """One guest: the plan, or of a second count a part of it."""
    plan = guests.plan if name == MAIN else guests.plan.few()
    subject = kernel.spec if name == MAIN else f"{kernel.spec} ({name})"

    def tell_progress(activity: str, share: float | None) -> None:
        progress.report(subject, activity, share)

    try:
        if stop.is_set():
            raise Interrupted("interrupted")  # before it was started
        place = directory / name
        place.mkdir(parents=True)
        how = settings(guests.root, CPUS[name], guests.append)
        told = measure(kernel, how, guests.payload, plan, place, stop, tell_progress)
        check_results(kernel, told)
        counted = Counted(replace(told, rows=()), count_of(name, told))
    except Exception as error:  # noqa: BLE001  (whatever it is, other guests go on)
        failed = failure(kernel.spec, "" if name == MAIN else name, error)
        progress.finish(subject, f"not measured: {failed.reason}")
        return failed
    progress.finish(subject, f"{len(told.rows)} rows in {told.seconds:.0f} s")
    return counted


def check_results(kernel: BootableKernel, told: Told) -> None:
    """Raise InfrastructureError if what came out of any way is not the right result."""
    known: dict[tuple[str, int], str] = {}
    for row in told.rows:
        if "missing" in row:
            continue
        algorithm = next(one for one in ways.ALGORITHMS if one.name == row["algorithm"])
        key = (algorithm.name, row["size"])
        if key not in known:
            known[key] = hashlib.sha256(right_result(algorithm, row["size"])).hexdigest()
        if row["result"] != known[key]:
            raise InfrastructureError(
                f"{kernel.spec}: {algorithm.name} by {row['way']} of {row['size']} bytes gave a"
                " wrong result: nothing is said of its cost"
            )


def right_result(algorithm: ways.Algorithm, size: int) -> bytes:
    """What a message of ``size`` bytes of text becomes, by the host's own OpenSSL."""
    message = ways.pattern("message", ways.AAD + size)
    text = message[algorithm.aad : algorithm.aad + size]
    if algorithm.kind == "hash":
        return hashlib.sha256(text).digest()
    key, iv = algorithms.AES(ways.key_of(algorithm)), ways.iv_of(algorithm)
    if algorithm.aad:
        sealed = Cipher(key, modes.GCM(iv)).encryptor()
        sealed.authenticate_additional_data(message[: algorithm.aad])
        return sealed.update(text) + sealed.finalize() + sealed.tag
    made: dict[str, Callable[[bytes], modes.CBC | modes.CTR | modes.XTS]]
    made = {"cbc(aes)": modes.CBC, "ctr(aes)": modes.CTR, "xts(aes)": modes.XTS}
    context = Cipher(key, made[algorithm.name](iv)).encryptor()
    return context.update(text) + context.finalize()


def costs_of(kernel: BootableKernel, counted: Sequence[Counted]) -> KernelCosts:
    """What the guests of one kernel told; the first one's count is the one that is compared."""
    told = counted[0].told
    ready = told.ready
    return KernelCosts(
        spec=kernel.spec,
        release=ready["release"],
        version=ready["version"],
        build_id=ready["build_id"],
        compiler=ready["compiler"],
        cmdline=ready["cmdline"],
        openssl=told.openssl,
        drivers=tuple(f"{name}={driver}" for name, driver in told.drivers.items()),
        packages=tuple(f"{one.name}={one.version}" for one in kernel.packages),
        commit=kernel.commit,
        counts=tuple(one.count for one in counted),
    )


def count_of(name: str, told: Told) -> Count:
    """The count ``name`` that a guest made. Raises InfrastructureError if it cannot be believed."""
    alone = counting(told.calibration)
    found = tuple(rows(told.rows, alone))
    return Count(name, CPUS[name], alone, found, fits(found), round(told.seconds, 1))


def version() -> str:
    """The harness's own."""
    return importlib.metadata.version("afalg-harness")
