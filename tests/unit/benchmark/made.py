"""Benchmarks whose costs follow a rule, for tests."""

from __future__ import annotations

from collections.abc import Callable

from harness.benchmark.fits import fits
from harness.benchmark.plan import SIZES
from harness.benchmark.values import CPUS, SCHEMA, Benchmark, Count, KernelCosts, Row

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


def benchmark(*kernels: KernelCosts) -> Benchmark:
    """A run of them."""
    return Benchmark(
        SCHEMA,
        "afalg-harness benchmark",
        "2026-11-26T17:00:00+00:00",
        "instructions",
        "0.1",
        "7.2.22",
        kernels,
    )
