"""A run's result -> what the page's static parts show, as values for its templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.judge import facts
from harness.judge.causes import RootCause
from harness.judge.exit_code import compared_candidate
from harness.judge.facts import Section
from harness.model import (
    ChangeClass,
    KernelResult,
    Purpose,
    Role,
    RunResult,
)
from harness.report.answer import Answer, Word, answers
from harness.report.html.shown import bounded
from harness.report.order import by_version, short_names
from harness.report.overview import (
    NOT_KNOWN,
    Mood,
    fact_cell,
    notes,
    side_names,
    suite_of,
)
from harness.report.reproducer import program, told_steps

_LINES = 60  # told of one cause
_SLOWEST = 15  # tests

LOOKS = {Mood.GOOD: "good", Mood.BAD: "bad", Mood.DOUBTFUL: "doubt", Mood.PLAIN: "plain"}
WORD_LOOKS = {
    Word.OK: "good",
    Word.NOT_OK: "bad",
    Word.UNKNOWN: "doubt",
    Word.INTERRUPTED: "doubt",
    Word.BASELINE: "plain",
}
_ZERO_COPY_LOOKS = {"gone": "good", "present": "bad"}
_PAGE_CACHE_LOOKS = {"safe": "good", "WRITABLE": "bad"}
PURPOSES = {
    Purpose.PLAN: "all that was selected",
    Purpose.BESIDE: "a part, beside the first",
    Purpose.REST: "the rest",
    Purpose.ALONE: "one test alone",
    Purpose.CONFIRM: "what was lost, again",
}


@dataclass(frozen=True)
class KernelView:
    """One kernel as the page shows it."""

    number: int  # its place on the page
    name: str
    short: str
    answer: Answer
    kernel: KernelResult
    looks: str
    zero_copy_looks: str
    page_cache_looks: str
    notes: tuple[str, ...]

    @property
    def is_baseline(self) -> bool:
        """Whether it is compared with, and not judged."""
        return self.kernel.role is Role.BASELINE


@dataclass(frozen=True)
class PathRow:
    """A zero-copy path, or all of one kind, on each kernel."""

    label: str
    name: str  # full name of the fact; "" of a row that stands for several
    cells: tuple[tuple[str, str], ...]  # what it says, and its class in style.css
    title: str = ""
    kind: str = ""  # of the row below which it stands


@dataclass(frozen=True)
class CauseView:
    """A cause, with all kernels that have it."""

    cause: RootCause
    kernels: tuple[KernelView, ...]
    lines: tuple[tuple[str, str], ...]  # id, and what was seen of it
    more: int
    reproducer: str = ""  # a program that shows it, and what it is answered


@dataclass(frozen=True)
class Slow:
    """One of the tests that take longest."""

    test: str
    seconds: float
    where: str


@dataclass(frozen=True)
class Timing:
    """Where the time of a kernel went."""

    view: KernelView
    suites: tuple[tuple[str, float], ...]  # seconds of all tests of a suite


@dataclass(frozen=True)
class Sections:
    """All static parts."""

    kernels: tuple[KernelView, ...]
    reasons: tuple[CauseView, ...]  # of candidates
    baseline: tuple[CauseView, ...]  # what speaks against the baseline, which does not count
    changes: tuple[tuple[str, tuple[CauseView, ...]], ...]
    skips: tuple[CauseView, ...]
    kinds: tuple[PathRow, ...]
    paths: tuple[tuple[str, tuple[PathRow, ...]], ...]  # below the name of each kind
    timings: tuple[Timing, ...]
    suites: tuple[str, ...]
    slowest: tuple[Slow, ...]
    longest: float  # seconds that all tests of one kernel took, at most


def sections(result: RunResult) -> Sections:
    """The parts of the page that need no script."""
    views = kernel_views(result)
    baseline = [view for view in views if view.is_baseline]
    candidates = [view for view in views if not view.is_baseline]
    suites = dict.fromkeys(suite_of(test.id) for view in views for test in view.kernel.tests)
    timings = tuple(_timing(view, tuple(suites)) for view in views)
    return Sections(
        kernels=views,
        reasons=_grouped(candidates, lambda view: view.answer.causes, result),
        baseline=_grouped(baseline, lambda view: view.answer.causes, result),
        changes=_changes(views, result),
        skips=_grouped(views, lambda view: view.answer.skips, result),
        kinds=tuple(_kinds(views)),
        paths=tuple(
            (kind, tuple(rows)) for kind, rows in groupby(_paths(views), key=lambda row: row.kind)
        ),
        timings=timings,
        suites=tuple(suites),
        slowest=tuple(_slowest(views)),
        longest=max((sum(s for _, s in timing.suites) for timing in timings), default=0.0),
    )


def kernel_views(result: RunResult) -> tuple[KernelView, ...]:
    """The kernels of a run, the oldest version first."""
    told = dict(zip(map(id, result.kernels), answers(result), strict=True))
    order = by_version(result.kernels)
    names = [told[id(kernel)].name for kernel in order]
    return tuple(
        KernelView(
            number=number,
            name=name,
            short=short,
            answer=(answer := told[id(kernel)]),
            kernel=kernel,
            looks=WORD_LOOKS[answer.word],
            zero_copy_looks=_ZERO_COPY_LOOKS.get(answer.zero_copy.word, "doubt"),
            page_cache_looks=_PAGE_CACHE_LOOKS.get(answer.page_cache.word, "doubt"),
            notes=notes(kernel),
        )
        for number, (kernel, name, short) in enumerate(
            zip(order, names, short_names(names), strict=True)
        )
    )


def _grouped(
    views: Sequence[KernelView],
    causes_of: Callable[[KernelView], Sequence[RootCause]],
    result: RunResult,
) -> tuple[CauseView, ...]:
    """Causes that are alike once, with all kernels that have them; the first is what is told."""
    alike: dict[tuple[bool, ChangeClass | None, str], list[tuple[KernelView, RootCause]]] = {}
    for view in views:
        for cause in causes_of(view):
            key = (cause.gates, cause.cls, cause.sentence)
            alike.setdefault(key, []).append((view, cause))
    return tuple(_cause(found, result) for found in alike.values())


def _cause(found: Sequence[tuple[KernelView, RootCause]], result: RunResult) -> CauseView:
    lines: dict[str, str] = {}
    for _, cause in found:
        for name, line in zip(cause.ids, cause.lines, strict=False):
            lines.setdefault(name, line.removeprefix(name))
    return CauseView(
        cause=found[0][1],
        kernels=tuple(view for view, _ in found),
        lines=tuple(lines.items())[:_LINES],
        more=max(len(lines) - _LINES, 0),
        reproducer=_reproducer(*found[0], result),
    )


def _reproducer(view: KernelView, cause: RootCause, result: RunResult) -> str:
    """How the first change of a cause is seen, if that is by a sequence of calls."""
    for comparison in result.comparisons:
        if compared_candidate(comparison, result.kernels) is not view.kernel:
            continue
        names = side_names(comparison, result.kernels)
        for change in comparison.changes:
            if change.id in cause.ids and change.reproducer is not None:
                told = "\n".join(told_steps(change.reproducer, *names))
                return f"{told}\n\n{program(change.reproducer, *names)}"
    return ""


#: What stands above the changes of a class, what matters most first.
_CLASSES = {
    ChangeClass.REGRESSED: "regressed",
    ChangeClass.VANISHED: "vanished: planned on the baseline, not on the candidate",
    ChangeClass.NEWLY_UNAVAILABLE: "newly unavailable",
    ChangeClass.FLAKY: "flaky",
    ChangeClass.FIXED: "fixed",
    ChangeClass.INTENDED: "intended: a known change of the kernel, seen by its own signature",
    ChangeClass.NEW: "new: could not be told or run on the baseline",
}


def _changes(
    views: Sequence[KernelView], result: RunResult
) -> tuple[tuple[str, tuple[CauseView, ...]], ...]:
    """Causes of changes below a heading each: what the run fails for, then by class."""
    groups: dict[str, list[CauseView]] = {"lost: the run fails for it": []}
    groups |= {heading: [] for heading in _CLASSES.values()}
    for view in _grouped(views, lambda one: one.answer.change_causes, result):
        cls = view.cause.cls
        heading = _CLASSES[cls] if cls is not None and not view.cause.gates else next(iter(groups))
        groups[heading].append(view)
    return tuple((heading, tuple(causes)) for heading, causes in groups.items() if causes)


def _path_names(views: Sequence[KernelView]) -> list[str]:
    """Zero-copy paths of any kernel, those of one kind and direction together."""
    found = dict.fromkeys(
        name
        for view in views
        for name in view.kernel.facts.named()
        if facts.kind_of(name).section is Section.ZERO_COPY
    )
    kinds = dict.fromkeys(map(_kind, found))
    return [name for kind in kinds for name in found if _kind(name) == kind]


def _kind(name: str) -> str:
    """``skcipher input``, ``AEAD AAD input``, ``skcipher output``."""
    data = facts.short_name(name).partition(".")[0]
    direction = facts.way_of(name).rpartition(".")[2]
    return f"{_DATA.get(data, data)} {direction}"


_DATA = {"aead": "AEAD text", "aead_aad": "AEAD AAD"}


def _paths(views: Sequence[KernelView]) -> Iterator[PathRow]:
    for name in _path_names(views):
        cells = (fact_cell(view.kernel, name) for view in views)
        yield PathRow(
            label=facts.short_name(name).partition(".")[2],
            name=name,
            cells=tuple((cell.marked, LOOKS[cell.mood]) for cell in cells),
            title=facts.describe(name),
            kind=_kind(name),
        )


def _kinds(views: Sequence[KernelView]) -> Iterator[PathRow]:
    """One row for all paths of a kind: how many of them are in which state."""
    for kind, found in groupby(_path_names(views), key=_kind):
        names = list(found)
        cells = tuple(_kind_cell(view, names) for view in views)
        label = f"{kind}, {len(names)} ways" if len(names) > 1 else kind
        yield PathRow(label=label, name="", cells=cells)


def _kind_cell(view: KernelView, names: Sequence[str]) -> tuple[str, str]:
    cells = [fact_cell(view.kernel, name) for name in names]
    count = Counter(cell.text for cell in cells if cell.text != NOT_KNOWN)
    worst = max((cell.mood for cell in cells), key=_WORST.index, default=Mood.PLAIN)
    if not count:
        return NOT_KNOWN, "plain"
    told = ", ".join(
        state if number == len(names) else f"{state} {number}"
        for state, number in count.most_common()
    )
    return told, LOOKS[worst]


_WORST = [Mood.PLAIN, Mood.GOOD, Mood.DOUBTFUL, Mood.BAD]


def _timing(view: KernelView, suites: Sequence[str]) -> Timing:
    spent = dict.fromkeys(suites, 0.0)
    for test in view.kernel.tests:
        spent[suite_of(test.id)] += bounded(test.seconds)
    return Timing(view, tuple((suite, spent[suite]) for suite in suites))


def _slowest(views: Sequence[KernelView]) -> Iterator[Slow]:
    longest: dict[str, Slow] = {}
    for view in views:
        for test in view.kernel.tests:
            seconds = bounded(test.seconds)
            if test.id not in longest or longest[test.id].seconds < seconds:
                longest[test.id] = Slow(test.id, seconds, view.name)
    yield from sorted(longest.values(), key=lambda slow: -slow.seconds)[:_SLOWEST]
