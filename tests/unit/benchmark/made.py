"""Benchmarks whose costs follow a rule, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from harness.benchmark.fits import fits
from harness.benchmark.guest import Told
from harness.benchmark.plan import SIZES, Plan
from harness.benchmark.values import CPUS, SCHEMA, Benchmark, Count, Failure, KernelCosts, Row

Rule = Callable[[str, str, int], float]
WAYS = ("sendmsg", "splice", "openssl", "pread+openssl")


def plain(_algorithm: str, way: str, size: int) -> float:
    """1,000 instructions a message and 2 a byte; OpenSSL 3,000 and 1."""
    return 3000 + size if "openssl" in way else 1000 + 2 * size


def rows(rule: Rule = plain, usual: float = 0.0, sizes: tuple[int, ...] = SIZES) -> tuple[Row, ...]:
    """A row for each of WAYS; the median is ``usual`` above the cheapest."""
    found = []
    for algorithm in ("cbc(aes)", "sha256"):
        for way in WAYS:
            for size in sizes:
                cost = rule(algorithm, way, size)
                calls, shares = ("send", "read"), (cost - 400.0, 400.0)
                found.append(Row(algorithm, way, size, 8, cost, cost + usual, calls, shares))
    return tuple(found)


def kernel(release: str, rule: Rule = plain, usual: float = 0.0) -> KernelCosts:
    """A kernel with both counts."""
    found, few = rows(rule, usual), rows(rule, usual, SIZES[:1])
    return KernelCosts(
        spec=f"debian:{release}",
        release=release,
        version="#1 SMP",
        build_id="ab12",
        compiler="gcc-14",
        cmdline="quiet <script>",
        openssl="OpenSSL 3.0.20",
        drivers=("cbc(aes)=cbc-aes-aesni",),
        packages=(),
        commit="",
        counts=(
            Count("moves", CPUS["moves"], 13.0, found, fits(found), 60.0),
            Count("strings", CPUS["strings"], 13.0, few, (), 40.0),
        ),
    )


def timed(release: str, *factors: float, rule: Rule = plain) -> KernelCosts:
    """A kernel that took so many times the nanoseconds of ``rule`` in the rounds from 1 on."""
    rounds = {number: factor for number, factor in enumerate(factors, 1) if factor}
    made = tuple(
        replace(
            row,
            cost=median(row.cost * factor for factor in rounds.values()),
            rounds=tuple(row.cost * factor for factor in rounds.values()),
        )
        for row in rows(rule)
    )
    count = Count("emulated", "max", 2000.0, made, fits(made), 60.0, tuple(rounds))
    return replace(kernel(release), counts=(count,))


def benchmark(
    *kernels: KernelCosts,
    failures: tuple[Failure, ...] = (),
    baseline: str = "",
    unit: str = "instructions",
    host_cpu: str = "",
) -> Benchmark:
    """A run of them."""
    return Benchmark(
        schema=SCHEMA,
        command="afalg-harness benchmark",
        started="2026-11-26T17:00:00+00:00",
        unit=unit,
        harness="0.1",
        qemu="7.2.22",
        kernels=kernels,
        failures=failures,
        baseline=baseline,
        host_cpu=host_cpu,
    )


#: What a guest of Debian's 6.12.96+deb13-amd64 sent of PLAN.
SENT = Path(__file__).with_name("records.jsonl")
PLAN = Plan(("cbc(aes)", "sha256"), ("sendmsg", "aio", "openssl"), (16, 4096))


def told() -> Told:
    """The same as the host hears it."""
    ready, calibration, *told_rows, end = map(json.loads, SENT.read_text().splitlines())
    calibration.pop("type")
    return Told(ready, calibration, tuple(told_rows), end["openssl"], end["drivers"], 60.0)
