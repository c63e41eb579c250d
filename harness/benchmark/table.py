"""A benchmark on a terminal: what a way costs, when another one is cheaper, what changed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from harness.benchmark.changes import Change, WayChange, changes, few_rounds
from harness.benchmark.crossing import bytes_told, crossing
from harness.benchmark.values import Benchmark, Count, Estimate, KernelCosts, Row
from harness.guest.inside.counting import INSTRUCTIONS, NANOSECONDS
from harness.report.tables import Column, print_table

#: Ways with AF_ALG, and what an application would use instead of them: of data that lies in
#: memory, and of data in a file.
INSTEAD = (("sendmsg", "openssl"), ("splice", "pread+openssl"), ("sendfile", "pread+openssl"))

_WIDE = 90  # columns of a terminal from which on all of a change has room


def print_benchmark(benchmark: Benchmark, console: Console, *, verbose: bool = False) -> None:
    """Print it; with ``verbose`` each row."""
    for kernel in benchmark.kernels:
        _print_kernel(kernel, benchmark, console, verbose=verbose)
    if benchmark.first is not None:
        for kernel in benchmark.others:
            print_changes(benchmark.first, kernel, benchmark.unit, console, verbose=verbose)
    print_failures(benchmark, console)


def print_failures(benchmark: Benchmark, console: Console) -> None:
    """Print what could not be measured, and that nothing is compared with such a baseline."""
    for line in not_measured(benchmark):
        _say(console, line)


def not_measured(benchmark: Benchmark) -> Iterator[str]:
    """What could not be measured, a line a kernel or part of one."""
    for one in benchmark.failures:
        part = f" ({one.part})" if one.part else ""
        yield f"{one.spec}{part}: not measured: {one.reason}"
    if benchmark.first is None:
        yield f"nothing is compared: {benchmark.baseline} was not measured"


def _print_kernel(
    kernel: KernelCosts, benchmark: Benchmark, console: Console, *, verbose: bool
) -> None:
    count, unit = kernel.main, benchmark.unit
    _say(console, f"{kernel.release}: {unit} a message + a byte{_told_how(benchmark, count)}")
    _print_ways(count, _cell, console)
    if unit == NANOSECONDS:
        sizes = sorted({row.size for row in count.rows})
        shown = " and ".join(map(bytes_told, dict.fromkeys((sizes[0], sizes[-1]))))
        _say(console, f"requests a second, of {shown}, or as near to that as the way goes")
        _print_ways(count, _requests, console)
    for line in advice(count):
        _say(console, f"  {line}")
    if verbose:
        _print_rows(count, unit, console)
    _say(console, "")


def _print_ways(count: Count, cell: Callable[[Count, str, str], str], console: Console) -> None:
    """A line a way, a column an algorithm."""
    algorithms = list(dict.fromkeys(row.algorithm for row in count.rows))
    ways = list(dict.fromkeys(row.way for row in count.rows))
    table = [[way, *(cell(count, algorithm, way) for algorithm in algorithms)] for way in ways]
    columns = [Column("way", wrap=False), *(Column(name, right=True) for name in algorithms)]
    print_table(columns, table, console)


def _print_rows(count: Count, unit: str, console: Console) -> None:
    in_rounds, in_time = bool(count.rounds), unit == NANOSECONDS
    rows = [
        [row.algorithm, row.way, bytes_told(row.size), row.missing or f"{row.cost:,.0f}",
         "" if row.missing else f"{row.cost / row.size:.3f}",
         *([rounds_told(row)] if in_rounds else []),
         *([requests_told(row)] if in_time else [])]
        for row in count.rows
    ]  # fmt: skip
    names = ["algorithm", "way", "message", unit, "a byte"]
    names += ["in the rounds"] * in_rounds + ["a second"] * in_time
    print_table([Column(n, right=n in names[2:], wrap=False) for n in names], rows, console)


def _told_how(benchmark: Benchmark, count: Count) -> str:
    """What a reader of cycles and nanoseconds has to know of them."""
    if not count.rounds:
        return ""
    emulated = "" if benchmark.accel == "kvm" else ", of QEMU's emulation"
    return f", median of {len(count.rounds)} rounds{emulated}"


def _requests(count: Count, algorithm: str, way: str) -> str:
    """How many messages a second of the shortest and of the longest."""
    rows = [row for row in count.rows if row.key[:2] == (algorithm, way)]
    found = sorted((row for row in rows if not row.missing), key=lambda row: row.size)
    if not found:
        return rows[0].missing if rows else ""
    return " to ".join(map(requests_told, dict.fromkeys((found[0], found[-1]))))


def requests_told(row: Row) -> str:
    """How many such messages a second, of a row in nanoseconds; "" if it has no cost."""
    return "" if row.missing else f"{1e9 / row.cost:,.0f}"


def rounds_told(row: Row) -> str:
    """The least and the most of its rounds: ``5,190 to 5,230``; "" if it has none."""
    return f"{min(row.rounds):,.0f} to {max(row.rounds):,.0f}" if row.rounds else ""


def between_rounds(change: Change) -> str:
    """By how much it changed in the rounds: `` (+3.1 to +4.9%)``; "" if it has none."""
    low, high = min(change.rounds, default=0.0), max(change.rounds, default=0.0)
    return f" ({low * 100:+.1f} to {high:+.1%})" if change.rounds else ""


def _cell(count: Count, algorithm: str, way: str) -> str:
    """``5210+2.31``; costs where there are too few sizes for a line."""
    for fit in count.fits:
        if (fit.algorithm, fit.way) == (algorithm, way):
            return f"{fit.message.value:.0f}+{fit.byte.value:.2f}"
    rows = [row for row in count.rows if row.key[:2] == (algorithm, way)]
    found = [row for row in rows if not row.missing]
    if found:
        return ", ".join(f"{row.cost:,.0f} ({bytes_told(row.size)})" for row in found)
    return rows[0].missing if rows else ""


def advice(count: Count) -> Iterator[str]:
    """When a way through AF_ALG is cheaper than what would be used instead, a line a pair."""
    algorithms = dict.fromkeys(row.algorithm for row in count.rows)
    for way, instead in INSTEAD:
        told = []
        for algorithm in algorithms:
            ours, other = (
                [row for row in count.rows if row.key[:2] == (algorithm, name)]
                for name in (way, instead)
            )
            found = crossing(ours, other)
            if found is not None:
                told.append(f"{algorithm} {found}")
        if told:
            yield f"{way} is cheaper than {instead}: {'; '.join(told)}"


def print_changes(
    before: KernelCosts,
    after: KernelCosts,
    unit: str,
    console: Console,
    *,
    verbose: bool = False,
    in_turn: bool = True,
) -> None:
    """Print what became dearer or cheaper from ``before`` to ``after``.

    ``in_turn``: both were measured in one run.
    """
    found = changes(before.main, after.main, in_turn=in_turn)
    changed = [way for way in found if way.beyond]
    rows = sum(len(way.rows) for way in found)
    beyond = sum(len(way.beyond) for way in found)
    _say(
        console,
        f"{after.release} against {before.release}: {beyond} of {rows} rows changed beyond noise",
    )
    if few := few_rounds(found):
        _say(console, f"  {few}")
    if unit != INSTRUCTIONS and not in_turn:
        _say(console, "  of different runs: what the machine did meanwhile is in it, too")
    if changed:
        columns = [
            *(Column(name, wrap=False) for name in ("algorithm", "way")),
            *(Column(name, right=True, wrap=False) for name in ("change", "a message", "a byte")),
            Column("most of it in", wrap=False, dropped_below=_WIDE),
        ]
        print_table(columns, [_changed(way) for way in changed], console)
    for way in found:
        if bool(way.before_missing) != bool(way.after_missing):
            said = way.after_missing or way.before_missing
            where = after.release if way.after_missing else before.release
            _say(console, f"  {way.algorithm} {way.way}: not on {where} ({said})")
    if verbose:
        shown = [
            [one.before.algorithm, one.before.way, bytes_told(one.before.size),
             f"{one.before.cost:,.0f}", f"{one.after.cost:,.0f}",
             (f"{one.share:+.1%}" if one.is_beyond else "=") + between_rounds(one)]
            for way in found for one in way.rows
        ]  # fmt: skip
        heads = ("algorithm", "way", "message", "before", "after", "change")
        print_table([Column(n, right=n in heads[2:], wrap=False) for n in heads], shown, console)
    _say(console, "")


def _changed(way: WayChange) -> list[str]:
    shares = [change.share for change in way.beyond]
    return [
        way.algorithm,
        way.way,
        f"{min(shares):+.1%}".rstrip("%") + f" to {max(shares):+.1%}",
        difference(way.message, 0),
        difference(way.byte, 3),
        way.call,
    ]


def difference(estimate: Estimate | None, digits: int) -> str:
    """``+350 ±20``; "" where there is none."""
    if estimate is None:
        return ""
    half = (estimate.high - estimate.low) / 2
    return f"{estimate.value:+,.{digits}f} ±{half:,.{digits}f}"


def _say(console: Console, text: str) -> None:
    if console.is_terminal:
        text = textwrap.fill(text, console.width, subsequent_indent="    ")
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def not_offered(count: Count) -> Sequence[str]:
    """What the kernel did not offer, a line a way."""
    found = {
        (row.way, row.missing): f"{row.way}: {row.missing}" for row in count.rows if row.missing
    }
    return tuple(found.values())
