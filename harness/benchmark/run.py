"""Boots each kernel, as often as it is counted, and puts what they cost together."""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.benchmark.costs import counting, rows
from harness.benchmark.fits import fits
from harness.benchmark.guest import Told, measure, settings
from harness.benchmark.plan import Plan
from harness.benchmark.values import CPUS, MAIN, Count, KernelCosts
from harness.errors import InfrastructureError
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


def run(
    kernels: Sequence[tuple[BootableKernel, Path]],
    guests: Guests,
    stop: threading.Event,
    progress: Progress,
) -> Iterator[KernelCosts]:
    """What each kernel costs, in order; ``kernels`` come with the directories for their files.

    Raises HarnessError for the first guest that fails; the others are ended.
    """
    with ThreadPoolExecutor(guests.jobs) as pool:
        try:
            counted = [
                [
                    (name, pool.submit(_count, kernel, name, directory, guests, stop, progress))
                    for name in CPUS
                    if name == MAIN or not guests.one_count
                ]
                for kernel, directory in kernels
            ]
            for (kernel, _), counts in zip(kernels, counted, strict=True):
                told = {name: future.result() for name, future in counts}
                yield costs_of(kernel, told)
        except BaseException:
            stop.set()
            raise


def _count(
    kernel: BootableKernel,
    name: str,
    directory: Path,
    guests: Guests,
    stop: threading.Event,
    progress: Progress,
) -> Told:
    """One guest: the plan, or of a second count a part of it."""
    plan = guests.plan if name == MAIN else guests.plan.few()
    place = directory / name
    place.mkdir(parents=True)
    subject = kernel.spec if name == MAIN else f"{kernel.spec} ({name})"

    def tell(activity: str, share: float | None) -> None:
        progress.report(subject, activity, share)

    how = settings(guests.root, CPUS[name], guests.append)
    told = measure(kernel, how, guests.payload, plan, place, stop, tell)
    check_results(kernel, told)
    progress.finish(subject, f"{len(told.rows)} rows in {told.seconds:.0f} s")
    return told


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


def costs_of(kernel: BootableKernel, told: dict[str, Told]) -> KernelCosts:
    """What the guests of one kernel told, by the name of the count."""
    ready = told[MAIN].ready
    return KernelCosts(
        spec=kernel.spec,
        release=ready["release"],
        version=ready["version"],
        build_id=ready["build_id"],
        compiler=ready["compiler"],
        cmdline=ready["cmdline"],
        openssl=told[MAIN].openssl,
        drivers=tuple(f"{name}={driver}" for name, driver in told[MAIN].drivers.items()),
        packages=tuple(f"{one.name}={one.version}" for one in kernel.packages),
        commit=kernel.commit,
        counts=tuple(_counted(name, one) for name, one in told.items()),
    )


def _counted(name: str, told: Told) -> Count:
    alone = counting(told.calibration)
    found = tuple(rows(told.rows, alone))
    return Count(name, CPUS[name], alone, found, fits(found), round(told.seconds, 1))


def version() -> str:
    """The harness's own."""
    return importlib.metadata.version("afalg-harness")
