"""Boots each kernel, as often as it is counted, and puts what they cost together."""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from harness.benchmark.costs import counting, of_rounds, rows
from harness.benchmark.fits import fits
from harness.benchmark.guest import Told, measure, settings
from harness.benchmark.plan import Plan
from harness.benchmark.values import (
    CPUS,
    MAIN,
    SECOND,
    TIMED_CPUS,
    Count,
    Failure,
    KernelCosts,
)
from harness.errors import ExitCode, InfrastructureError, Interrupted
from harness.faults import tell
from harness.guest.inside import ways
from harness.guest.inside.counting import INSTRUCTIONS
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
    accel: str = "tcg"
    rounds: int = 1  # how often each kernel is booted for a count
    one_count: bool = False

    @property
    def cpus(self) -> dict[str, str]:
        """The counts of a kernel, and the model of a CPU for each."""
        if self.plan.unit != INSTRUCTIONS:
            return TIMED_CPUS[self.accel]
        return {MAIN: CPUS[MAIN]} if self.one_count else CPUS


@dataclass(frozen=True)
class Found:
    """What guests measured, and what they did not."""

    kernels: tuple[KernelCosts, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Counted:
    """What one guest told: of itself, and what messages cost."""

    told: Told  # without the rows
    count: Count


@dataclass(frozen=True)
class _Boot:
    """One guest that is to count."""

    kernel: BootableKernel
    place: Path  # for its files
    name: str  # of the count
    round: int  # from 1 on
    part: str  # of the kernel's counts, in words; "" for all of it

    @property
    def subject(self) -> str:
        """What it is called."""
        return f"{self.kernel.spec} ({self.part})" if self.part else self.kernel.spec


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
    boots = tuple(_boots(kernels, guests))
    failed: dict[tuple[str, str], Failure] = {}
    progress.begin([one.subject for one in boots], guests.jobs)
    with ThreadPoolExecutor(guests.jobs) as pool:
        try:
            started = [pool.submit(_count, one, guests, failed, stop, progress) for one in boots]
            results = [one.result() for one in started]
        except BaseException:
            stop.set()
            raise
    done = dict(zip(boots, results, strict=True))
    costs = (_costs(kernel, guests, done) for kernel, _ in kernels)
    return Found(tuple(one for one in costs if one is not None), tuple(_failures(done)))


def _boots(kernels: Sequence[tuple[BootableKernel, Path]], guests: Guests) -> Iterator[_Boot]:
    """In turn, and every other round the other way round: what the machine does ever slower (it
    gets warm, say) makes no kernel slower than another.
    """
    for number in range(1, guests.rounds + 1):
        for kernel, directory in kernels if number % 2 else reversed(kernels):
            for name in guests.cpus:
                place, part = directory / name, "" if name == MAIN else name
                if guests.rounds > 1:
                    place, part = place / str(number), f"round {number}"
                yield _Boot(kernel, place, name, number, part)


def failure(spec: str, part: str, error: Exception) -> Failure:
    """What is said of a kernel, or a ``part`` of its counts, that could not be measured."""
    told = tell(error)
    return Failure(
        spec, part, told.line.removeprefix(f"{spec}: "), told.code == ExitCode.INTERRUPTED
    )


def _count(
    boot: _Boot,
    guests: Guests,
    failed: dict[tuple[str, str], Failure],
    stop: threading.Event,
    progress: Progress,
) -> Counted | Failure:
    """What one guest counted. A kernel that ``failed`` in a round is not booted in later ones."""
    kernel, key = boot.kernel, (boot.kernel.spec, boot.name)
    if key in failed:
        return replace(failed[key], part=boot.part)

    def tell_progress(activity: str, share: float | None) -> None:
        progress.report(boot.subject, activity, share)

    plan = guests.plan.few() if boot.name == SECOND else guests.plan
    try:
        if stop.is_set():
            raise Interrupted("interrupted")  # before it was started
        boot.place.mkdir(parents=True)
        cpu = guests.cpus[boot.name]
        how = settings(guests.root, plan.unit, guests.accel, cpu, guests.append)
        told = measure(kernel, how, guests.payload, plan, boot.place, stop, tell_progress)
        check_results(kernel, told)
        counted = Counted(replace(told, rows=()), count_of(boot.name, cpu, told, plan.unit))
    except Exception as error:  # noqa: BLE001  (whatever it is, other guests go on)
        failed[key] = failure(kernel.spec, boot.part, error)
        progress.finish(boot.subject, f"not measured: {failed[key].reason}")
        return failed[key]
    progress.finish(boot.subject, f"{len(told.rows)} rows in {told.seconds:.0f} s")
    return counted


def _failures(done: Mapping[_Boot, Counted | Failure]) -> Iterator[Failure]:
    """What was not measured; of rounds that failed alike, one."""
    alike: dict[Failure, list[_Boot]] = {}
    for boot, result in done.items():
        if isinstance(result, Failure):
            alike.setdefault(replace(result, part=""), []).append(boot)
    for failed, boots in alike.items():
        first, *others = (boot.part for boot in boots)
        more = f" and {len(others)} more" if first and others else ""
        yield replace(failed, part=first + more)


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


def _costs(
    kernel: BootableKernel, guests: Guests, done: Mapping[_Boot, Counted | Failure]
) -> KernelCosts | None:
    """What the guests of one kernel told; None if the count by which it is compared has none."""
    counts: dict[str, dict[int, Counted]] = {name: {} for name in guests.cpus}
    for boot, result in done.items():
        if boot.kernel is kernel and isinstance(result, Counted):
            counts[boot.name][boot.round] = result
    main, *others = counts.values()
    return costs_of(kernel, [main, *filter(None, others)]) if main else None


def costs_of(kernel: BootableKernel, counts: Sequence[Mapping[int, Counted]]) -> KernelCosts:
    """What the guests of one kernel told: of each count its rounds."""
    told = next(iter(counts[0].values())).told
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
        counts=tuple(map(_whole, counts)),
    )


def _whole(rounds: Mapping[int, Counted]) -> Count:
    """One count of all its rounds; as it is of instructions, which are the same in each."""
    counts = [one.count for one in rounds.values()]
    if counts[0].name in CPUS:
        return counts[0]
    found = tuple(of_rounds([count.rows for count in counts]))
    return replace(
        counts[0],
        counting=median(count.counting for count in counts),
        rows=found,
        fits=fits(found),
        seconds=round(sum(count.seconds for count in counts), 1),
        rounds=tuple(rounds),
    )


def count_of(name: str, cpu: str, told: Told, unit: str) -> Count:
    """The count ``name`` that a guest made. Raises InfrastructureError if it cannot be believed."""
    alone = counting(told.calibration, unit)
    found = tuple(rows(told.rows, alone, unit))
    return Count(name, cpu, alone, found, fits(found), round(told.seconds, 1))


def version() -> str:
    """The harness's own."""
    return importlib.metadata.version("afalg-harness")
