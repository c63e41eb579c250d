"""The page of findings: which kernels had which hole, and from which package version on not.

Made from the store alone. A hole is what makes a kernel not ok by itself: zero-copy input, a
page cache that can be written, a CVE. Of each it is told what was seen, kernel by kernel; a
kernel that could not tell (its probe did not provoke what the hole needs, or was skipped) is
not counted on either side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from harness.history import queries
from harness.history.lineage import lineage_of
from harness.history.store import Store
from harness.judge.causes import COPY_FAIL
from harness.judge.defects import defects
from harness.judge.findings import listed
from harness.judge.states import told_state
from harness.model import FAILURES, KernelResult, Outcome, State, Status
from harness.releases import flavour, version_key
from harness.report.answer import page_cache, zero_copy
from harness.report.markup import code, plain
from harness.report.tables import bytes_in_words
from tests.known_truth import TRUTH, contradictions

ZERO_COPY = "zero-copy input"
PAGE_CACHE = f"page cache ({COPY_FAIL})"
_SHOWN = 6  # tests that a line lists
_MAIN = "amd64"  # the flavour whose table comes first


@dataclass(frozen=True)
class Kernel:
    """What the page needs of one kernel."""

    release: str
    package: str  # version of its package; its release where that is not known
    lineage: str
    status: Status
    reason: str  # why it did not come to its end
    #: Hole -> whether it shows. What could not be told is not in it.
    holes: Mapping[str, bool]
    other_failures: tuple[str, ...]  # tests that failed, of no known hole
    tests: tuple[int, int, int]  # passed, failed, skipped
    boots: int
    seconds: float
    contradictions: tuple[str, ...]  # of what is known of it
    of_known_truth: bool

    @property
    def by_reference(self) -> str:
        """``open``, ``closed`` or ``?`` of zero-copy input."""
        return _word(self.holes.get(ZERO_COPY))


def _word(shows: bool | None) -> str:
    if shows is None:
        return "?"
    return "open" if shows else "closed"


@dataclass(frozen=True)
class Span:
    """Kernels next to each other in a lineage that tell the same of a hole."""

    shows: bool
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True)
class Figures:
    """What the store holds, in numbers."""

    kernels: int
    boots: int
    hours: float  # of guests, whatever ran beside each other
    began: str
    ended: str
    size: int | None  # bytes of the store; None of a database that is no file


def load(store: Store) -> tuple[list[Kernel], Figures, dict[str, str]]:
    """The kernels by version, the figures, and why others could not be had (spec -> reason)."""
    latest = [one for one in queries.latest_results(store) if not one.append]
    kernels, seen = [], set()
    for run, results in groupby(sorted(latest, key=lambda one: one.run), key=lambda one: one.run):
        whole = queries.run_result(store, run).kernels
        for result in results:
            kernels.append(_kernel(whole[result.place]))
            seen.add(result.spec)
    everything = queries.results(store)
    ran = {f"debian:{kernel.release}" for kernel in kernels}
    missing = {
        result.spec: result.reason
        for result in reversed(everything)
        if not result.release and result.spec not in seen | ran
    }
    runs = queries.runs(store)
    path = Path(store.name)
    figures = Figures(
        kernels=len(kernels),
        boots=sum(kernel.boots for kernel in kernels),
        hours=sum(result.seconds or 0.0 for result in everything) / 3600,
        began=min((run.started for run in runs), default=""),
        ended=max((run.ended for run in runs), default=""),
        size=path.stat().st_size if path.is_file() else None,
    )
    kernels.sort(key=lambda kernel: version_key(kernel.release))
    return kernels, figures, missing


def _kernel(kernel: KernelResult) -> Kernel:
    found = defects(kernel)
    holes = dict.fromkeys(found.seen, True) | dict.fromkeys(found.not_seen, False)
    holes.pop(COPY_FAIL, None)  # told by what became of the page cache
    for name, word, shows in (
        (ZERO_COPY, zero_copy(kernel).word, {"present": True, "gone": False}),
        (PAGE_CACHE, page_cache(kernel).word, {"WRITABLE": True, "safe": False}),
    ):
        if word in shows:
            holes[name] = shows[word]
    truth = next((truth for truth in TRUTH if truth.release == kernel.release), None)
    return Kernel(
        release=kernel.release,
        package=_package(kernel),
        lineage=lineage_of(kernel.spec, kernel.release),
        status=kernel.status,
        reason=kernel.status_reason,
        holes=holes,
        other_failures=_other_failures(kernel),
        tests=_tests(kernel),
        boots=len(kernel.boots) or 1,
        seconds=kernel.wall_seconds or 0.0,
        contradictions=tuple(contradictions(kernel, truth)) if truth and kernel.tests else (),
        of_known_truth=truth is not None,
    )


def _package(kernel: KernelResult) -> str:
    return next((package.version for package in kernel.packages), kernel.release)


def _tests(kernel: KernelResult) -> tuple[int, int, int]:
    outcomes = [test.outcome for test in kernel.tests]
    failed = sum(outcome in FAILURES for outcome in outcomes)
    return outcomes.count(Outcome.PASSED), failed, outcomes.count(Outcome.SKIPPED)


def _other_failures(kernel: KernelResult) -> tuple[str, ...]:
    """Failed tests that look for no hole, and record no state that tells of one."""
    holes = {
        name
        for fact_name, fact in kernel.facts.named().items()
        if told_state(fact_name, fact) is State.PRESENT
        for name in (fact.test, *fact.others)
    }
    return tuple(
        test.id
        for test in kernel.tests
        if test.outcome in FAILURES
        and not (test.defect is not None and test.defect.cve)
        and test.id not in holes
    )


def spans(kernels: Sequence[Kernel], hole: str) -> list[Span]:
    """What the kernels of a lineage, oldest first, tell of ``hole``; neighbours together."""
    told = [kernel for kernel in kernels if hole in kernel.holes]
    return [
        Span(shows, tuple(among))
        for shows, among in groupby(told, key=lambda kernel: kernel.holes[hole])
    ]


def cell(found: Sequence[Span]) -> str:
    """A lineage and a hole in a word: from which package version on it is closed."""
    if not found:
        return "?"
    if len(found) == 1:
        return "**open**" if found[0].shows else "closed"
    if found[-1].shows:
        return "**open again**"
    again = " (came back)" if len(found) > 2 else ""
    return f"{found[-1].kernels[0].package}{again}"


def sentence(found: Sequence[Span]) -> str:
    """The same with both sides: ``open up to 6.12.95-1, closed from 6.12.96-1 on``."""
    if len(found) == 1:
        (span,) = found
        first, last = span.kernels[0].package, span.kernels[-1].package
        number = len(span.kernels)
        where = first if number == 1 else f"{first} to {last}, all {number} that told"
        return f"{_word(span.shows)} in {where}"
    parts = []
    for number, span in enumerate(found):
        word = _word(span.shows)
        first, last = span.kernels[0].package, span.kernels[-1].package
        if number == 0:
            parts.append(f"{word} up to {last}")
        elif number == len(found) - 1:
            parts.append(f"{word} from {first} on")
        else:
            parts.append(f"{word} in {first}" + (f" to {last}" if first != last else ""))
    return ", ".join(parts)


def page(store: Store) -> Iterator[str]:
    """The page, in Markdown, line by line. Of an empty store it says that."""
    kernels, figures, missing = load(store)
    yield "# Findings: AF_ALG in the kernels of Debian's archive"
    yield ""
    yield "Made by `ci/archive.py` from the store of runs; what stands here was observed in guests."
    yield "A hole is *open* where a probe saw it and *closed* where it was provoked and did not"
    yield "show; *?* is a kernel that could not tell. Versions are those of the kernel's package;"
    yield "what the archive has between two that are named here did not run."
    yield ""
    yield from _figures(figures, kernels)
    if not kernels:
        return
    lineages = _by_lineage(kernels)
    holes = _ever_open(kernels)
    yield from _closed_from(lineages, holes)
    yield from _each_hole(lineages, holes)
    yield from _never_seen(kernels, holes)
    yield from _other(lineages)
    yield from _every_kernel(kernels, holes)
    yield from _not_had(kernels, missing)


def _figures(figures: Figures, kernels: Sequence[Kernel]) -> Iterator[str]:
    flavours = dict.fromkeys(dict.fromkeys(flavour(kernel.release) for kernel in kernels), 0)
    for kernel in kernels:
        flavours[flavour(kernel.release)] += 1
    told = ", ".join(f"{number} {name or 'other'}" for name, number in flavours.items())
    yield f"- kernels: {figures.kernels}{f' ({told})' if told else ''}"
    yield f"- boots: {figures.boots}, {figures.hours:.1f} hours of guests"
    if figures.began:
        yield f"- runs begun {figures.began[:16]}Z to {(figures.ended or figures.began)[:16]}Z"
    if figures.size is not None:
        yield f"- the store: {bytes_in_words(figures.size)}"
    known = [kernel for kernel in kernels if kernel.of_known_truth]
    wrong = [f"{one.release}: {line}" for one in known for line in one.contradictions]
    told = "; ".join(map(plain, wrong)) or "nothing contradicts it"
    yield f"- of known truth: {len(known)} kernels; {told}"
    yield ""


def _by_lineage(kernels: Iterable[Kernel]) -> dict[str, list[Kernel]]:
    """Amd64 first, then the other flavours; series in the order of their versions."""
    found: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        found.setdefault(kernel.lineage or kernel.release, []).append(kernel)

    def key(name: str) -> tuple[bool, str, object]:
        kind = flavour(found[name][0].release)
        return kind != _MAIN, kind, version_key(found[name][0].release)

    return {name: found[name] for name in sorted(found, key=key)}


def _ever_open(kernels: Iterable[Kernel]) -> list[str]:
    """Holes that showed in any kernel, the two that are always probed first."""
    seen = {hole for kernel in kernels for hole, shows in kernel.holes.items() if shows}
    first = [ZERO_COPY, PAGE_CACHE]
    return [*first, *sorted(seen - {*first}, key=_by_number)]


def _by_number(cve: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", cve)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(heads)
    yield _row("---" for _ in heads)
    yield from map(_row, rows)
    yield ""


def _closed_from(lineages: Mapping[str, list[Kernel]], holes: Sequence[str]) -> Iterator[str]:
    yield "## From which package version on each hole is closed"
    yield ""
    yield "*closed*: in every kernel of the series that told; **open**: in every one."
    yield ""
    rows = (
        [name, str(len(kernels)), *(cell(spans(kernels, hole)) for hole in holes)]
        for name, kernels in lineages.items()
    )
    yield from _table(["series", "kernels", *holes], rows)


def _each_hole(lineages: Mapping[str, list[Kernel]], holes: Sequence[str]) -> Iterator[str]:
    yield "## Each hole"
    yield ""
    for hole in holes:
        yield f"### {hole[:1].upper()}{hole[1:]}"
        yield ""
        for name, kernels in lineages.items():
            found = spans(kernels, hole)
            if found:
                yield f"- {name}: {sentence(found)}"
        untold = [
            one.release for kernels in lineages.values() for one in kernels if hole not in one.holes
        ]
        if untold:
            yield f"- not told by: {listed(untold, _SHOWN)}"
        yield ""


def _never_seen(kernels: Sequence[Kernel], holes: Sequence[str]) -> Iterator[str]:
    provoked = {hole for kernel in kernels for hole in kernel.holes} - {*holes}
    if provoked:
        yield "## Provoked, and seen in no kernel"
        yield ""
        yield f"{', '.join(sorted(provoked, key=_by_number))}."
        yield ""


def _other(lineages: Mapping[str, list[Kernel]]) -> Iterator[str]:
    """Tests that fail and look for no hole: what they have in common is where they fail."""
    where: dict[str, list[str]] = {}
    for name, kernels in lineages.items():
        for test in dict.fromkeys(test for kernel in kernels for test in kernel.other_failures):
            failing = [kernel for kernel in kernels if test in kernel.other_failures]
            where.setdefault(test, []).append(f"{name}: {_range(failing)} of {len(kernels)}")
    if not where:
        return
    alike: dict[tuple[str, ...], list[str]] = {}
    for test, places in where.items():
        alike.setdefault(tuple(places), []).append(test)
    yield "## What else failed"
    yield ""
    for where_alike, tests in alike.items():
        names = ", ".join(code(test) for test in tests[:_SHOWN])
        more = f" and {len(tests) - _SHOWN} more" if len(tests) > _SHOWN else ""
        yield f"- {names}{more}: {'; '.join(where_alike)}"
    yield ""


def _range(kernels: Sequence[Kernel]) -> str:
    first, last = kernels[0].package, kernels[-1].package
    return f"{first} to {last}, {len(kernels)}" if len(kernels) > 1 else f"{first}, 1"


def _every_kernel(kernels: Sequence[Kernel], holes: Sequence[str]) -> Iterator[str]:
    yield "## Every kernel"
    yield ""
    cves = [hole for hole in holes if hole not in (ZERO_COPY, PAGE_CACHE)]
    rows = (
        [
            kernel.release,
            kernel.package,
            kernel.by_reference,
            _word(kernel.holes.get(PAGE_CACHE)),
            ", ".join(cve for cve in cves if kernel.holes.get(cve)) or "none",
            "/".join(map(str, kernel.tests)),
        ]
        for kernel in kernels
    )
    heads = ["kernel", "package", ZERO_COPY, "page cache", "other holes seen", "pass/fail/skip"]
    yield from _table(heads, rows)


def _not_had(kernels: Sequence[Kernel], missing: Mapping[str, str]) -> Iterator[str]:
    ended = [one for one in kernels if one.status is not Status.COMPLETED]
    if ended:
        yield "## Kernels that did not come to their end"
        yield ""
        for one in ended:
            yield f"- {one.release}: {one.status.replace('_', ' ')}: {plain(one.reason)}"
        yield ""
    if missing:
        yield "## Kernels that could not be had"
        yield ""
        yield from (f"- {plain(spec)}: {plain(why)}" for spec, why in missing.items())
        yield ""
