"""What every report for people says, whatever it is printed on: rows, groups, sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from harness.errors import ExitCode
from harness.judge import facts
from harness.judge.causes import CLASSES
from harness.judge.exit_code import NOTHING_KNOWN, compared_candidate, losses
from harness.judge.facts import Section
from harness.judge.findings import listed
from harness.judge.fingerprint import REPORTING
from harness.judge.splats import taint_letters
from harness.judge.states import told_state
from harness.judge.verdict import missing_tests
from harness.judge.witnesses import marks
from harness.model import (
    FAILURES,
    Change,
    ChangeClass,
    Comparison,
    ConsoleEvent,
    KernelResult,
    Outcome,
    Role,
    RunResult,
    State,
    Status,
)

NOT_KNOWN = "-"
#: Sections of the table.
ZERO_COPY = Section.ZERO_COPY
FACTS = Section.OTHER
CONSUMERS = Section.PROGRAMS
TESTS = "tests: pass/fail/skip"
CONSOLE = "console reports"
_NEVER_REPORTED = "never reported"

_EXIT_SENTENCES = {
    ExitCode.OK: "every candidate is as expected, and everything planned ran",
    ExitCode.REGRESSION: (
        "a candidate is not as expected or lost what the baseline had, "
        "or the baseline did not run to its end"
    ),
    ExitCode.USAGE: "an input is bad, or no test was selected",
    ExitCode.INFRASTRUCTURE: (
        "a kernel could not be run or observed, or its witnesses disagree, "
        "so nothing is known of it"
    ),
    ExitCode.INTERRUPTED: "interrupted; what had finished is stored",
}


#: A function that was decoded, and the places (several where it was inlined).
_FRAME = re.compile(r"([\w.]+) \((\S+:\d+\b[^()]*)\)")
_FRAMES = 3


class Mood(Enum):
    """How a cell is to be taken, for those who can show colour."""

    PLAIN = auto()
    GOOD = auto()
    BAD = auto()
    DOUBTFUL = auto()


@dataclass(frozen=True)
class Cell:
    """One value of one kernel."""

    text: str
    mood: Mood = Mood.PLAIN
    #: The witnesses of the state that it tells (harness/judge/witnesses.py).
    marks: str = ""

    @property
    def marked(self) -> str:
        """The text, and who vouches for it: ``absent pkc``."""
        return f"{self.text} {self.marks}".rstrip()


@dataclass(frozen=True)
class Row:
    """One property of all kernels; ``section`` heads the rows that share it."""

    label: str
    cells: tuple[Cell, ...]
    section: str = ""
    fact: str = ""  # full name of the fact that it shows

    @property
    def title(self) -> str:
        """The label where there is no section heading above it."""
        if self.label == _NEVER_REPORTED:
            return "tests never reported"
        if self.section == TESTS:
            return f"{self.label} tests (pass/fail/skip)"
        if self.section == CONSUMERS:
            return self.fact
        return f"console: {self.label}" if self.section == CONSOLE else self.label


@dataclass(frozen=True)
class ChangeGroup:
    """Changes that differ in nothing but what they are about."""

    cls: ChangeClass
    baseline: str
    candidate: str
    explanation: str
    ids: tuple[str, ...]
    loss: bool  # the run fails for it

    @property
    def headline(self) -> str:
        """``regressed: absent -> present: why``."""
        name = self.cls.replace("_", " ")
        if self.cls is ChangeClass.NEWLY_UNAVAILABLE and self.loss:
            name += ", unexplained"
        tail = f": {self.explanation}" if self.explanation else ""
        return f"{name}: {self.baseline} -> {self.candidate}{tail}"


def name_of(kernel: KernelResult) -> str:
    """What to call a kernel: its release, or its spec while that is unknown, and its arguments.

    ``7.3.4 [slub_debug=FZPU, fips=1 (no effect)]``
    """
    told = [
        f"{word} (no effect)" if word in kernel.ignored_arguments else word
        for word in _appended(kernel)
    ]
    return (kernel.release or kernel.spec) + (f" [{', '.join(told)}]" if told else "")


def distinct_name(kernel: KernelResult, kernels: Sequence[KernelResult]) -> str:
    """What to call a kernel so that none of the others is meant, by its spec or its role."""
    name = name_of(kernel)
    alike = [other for other in kernels if other is not kernel and name_of(other) == name]
    if not alike:
        return name
    told = kernel.role if any(other.spec == kernel.spec for other in alike) else kernel.spec
    return f"{name} ({told})"


def side_names(comparison: Comparison, kernels: Sequence[KernelResult]) -> tuple[str, str]:
    """What to call the two kernels of a comparison."""
    baseline, candidate = sides(comparison, kernels)
    return (
        distinct_name(baseline, kernels) if baseline is not None else "baseline",
        distinct_name(candidate, kernels) if candidate is not None else "candidate",
    )


def sides(
    comparison: Comparison, kernels: Sequence[KernelResult]
) -> tuple[KernelResult | None, KernelResult | None]:
    """The two kernels of a comparison."""
    baseline = next((kernel for kernel in kernels if kernel.role is Role.BASELINE), None)
    return baseline, compared_candidate(comparison, kernels)


def _appended(kernel: KernelResult) -> list[str]:
    """Words that ``--append`` added to the kernel's command line."""
    return [word for item in kernel.append for word in item.split()]


def is_unknown(kernel: KernelResult) -> bool:
    """Whether nothing certain is known of a kernel, by no fault of its own."""
    # Runs of earlier versions, which record no boots, do not say that it is unknown.
    unfinished = kernel.status in (*NOTHING_KNOWN, Status.INTERRUPTED) and not kernel.boots
    return kernel.verdict.unknown or unfinished


def verdict_word(kernel: KernelResult) -> str:
    """``ok``, ``not ok`` or ``unknown``."""
    if is_unknown(kernel):
        return "unknown"
    return "ok" if kernel.verdict.ok else "not ok"


def exit_sentence(result: RunResult) -> str:
    """``exit code 0: …`` with what it stands for."""
    code = ExitCode(result.exit_code)
    return f"exit code {int(code)}: {_EXIT_SENTENCES[code]}"


def verdict_cell(kernel: KernelResult, result: RunResult) -> Cell:
    """``ok``, ``NOT OK``, or ``unknown`` if it was not observed, by no fault of its own.

    ``lost 3``: as expected in itself, but the run fails for what it lost against the baseline.
    """
    if is_unknown(kernel):
        return Cell("unknown", Mood.DOUBTFUL)
    if kernel.role is Role.BASELINE:
        # Whether it is as expected does not count.
        return Cell(str(Role.BASELINE), Mood.PLAIN)
    if not kernel.verdict.ok:
        return Cell("NOT OK", Mood.BAD)
    lost = sum(
        len(losses(comparison, result.kernels))
        for comparison in result.comparisons
        if compared_candidate(comparison, result.kernels) is kernel
    )
    return Cell(f"lost {lost}", Mood.BAD) if lost else Cell("ok", Mood.GOOD)


def rows(result: RunResult) -> list[Row]:
    """All rows of the table of kernels, in reading order; every path that was probed has one."""
    kernels = result.kernels
    names = [name_of(kernel) for kernel in kernels]
    ambiguous = len(set(names)) < len(names)
    return [
        *([_row("spec", kernels, lambda kernel: Cell(kernel.spec))] if ambiguous else []),
        _row("role", kernels, lambda kernel: Cell(kernel.role)),
        _row("status", kernels, _status),
        *([_row("boots", kernels, _boots)] if any(len(one.boots) > 1 for one in kernels) else []),
        *_fact_rows(kernels),
        *_test_rows(kernels),
        _row("taint", kernels, _taint),
        *_event_rows(kernels),
        *([_row("console watch", kernels, _watch)] if any(map(_is_void, kernels)) else []),
        _row("boot+suite", kernels, _seconds),
        _row("verdict", kernels, lambda kernel: verdict_cell(kernel, result)),
    ]


def _row(
    label: str,
    kernels: Sequence[KernelResult],
    cell: Callable[[KernelResult], Cell],
    section: str = "",
) -> Row:
    return Row(label, tuple(cell(kernel) for kernel in kernels), section)


def _status(kernel: KernelResult) -> Cell:
    mood = Mood.PLAIN if kernel.status is Status.COMPLETED else Mood.BAD
    return Cell(kernel.status.replace("_", " "), mood)


def _boots(kernel: KernelResult) -> Cell:
    counts = Counter(boot.status.replace("_", " ") for boot in kernel.boots)
    told = ", ".join(f"{number} {status}" for status, number in counts.items())
    good = counts.keys() <= {Status.COMPLETED.value}
    return Cell(told or NOT_KNOWN, Mood.PLAIN if good else Mood.BAD)


def _watch(kernel: KernelResult) -> Cell:
    watch = kernel.console_watch
    if watch is None:
        return Cell(NOT_KNOWN)
    told = f"{watch.seen} of {watch.written} lines seen"
    return Cell(f"void: {told}", Mood.DOUBTFUL) if _is_void(kernel) else Cell(told)


def _is_void(kernel: KernelResult) -> bool:
    """Whether the silence of a kernel's console proves nothing."""
    return any(check.id == "console_watch" and not check.met for check in kernel.verdict.checks)


def fact_cell(kernel: KernelResult, name: str) -> Cell:
    """The state of a fact; ``-`` if it was never recorded."""
    fact = kernel.facts.named().get(name)
    if fact is None:
        return Cell(NOT_KNOWN)
    check = next((check for check in kernel.verdict.checks if check.id == name), None)
    state = told_state(name, fact)
    text = f"{state} ({fact.value})" if fact.value and state is State.PRESENT else str(state)
    if check is None:
        # Which programs should work is for an expectation to say.
        return Cell(text, Mood.DOUBTFUL if state is State.FAILS else Mood.PLAIN, marks(name, fact))
    if not check.met:
        return Cell(text, Mood.DOUBTFUL if is_unknown(kernel) else Mood.BAD, marks(name, fact))
    mood = Mood.GOOD if state == check.expected else Mood.DOUBTFUL
    return Cell(text, mood, marks(name, fact))


_LEGEND = (
    "who saw a path's state: p a probe, k the witness inside the kernel, c the kernel's code;"
    " - not asked or silent, ! says otherwise"
)


def legend(kernels: Sequence[KernelResult]) -> str:
    """What the letters beside the states stand for; "" if there are none."""
    facts_of_all = (item for kernel in kernels for item in kernel.facts.named().items())
    return _LEGEND if any(marks(name, fact) for name, fact in facts_of_all) else ""


def _fact_rows(kernels: Sequence[KernelResult]) -> list[Row]:
    found: dict[Section, list[Row]] = {section: [] for section in Section}
    for name in dict.fromkeys(name for kernel in kernels for name in kernel.facts.named()):
        section = facts.kind_of(name).section
        cells = tuple(fact_cell(kernel, name) for kernel in kernels)
        found[section].append(Row(facts.short_name(name), cells, section, name))
    found[FACTS].append(_row("af_alg_restrict", kernels, _restrict, FACTS))
    return [row for section in Section for row in found[section]]


@dataclass(frozen=True)
class Explanation:
    """What a state means, and the zero-copy paths that have it on some kernel of the run."""

    state: str
    text: str
    paths: tuple[str, ...]


def explanations(kernels: Sequence[KernelResult]) -> list[Explanation]:
    """What the states of the zero-copy paths mean; one line for all paths that share it."""
    alike: dict[tuple[str, str], dict[str, None]] = {}
    for kernel in kernels:
        for path, fact in kernel.facts.zero_copy.items():
            name = f"zero_copy.{path}"
            state = told_state(name, fact)
            alike.setdefault((state, facts.explain(name, state)), {})[path] = None
    return [Explanation(state, text, tuple(found)) for (state, text), found in alike.items()]


def brief(names: Sequence[str]) -> str:
    """Names of paths with those of one kind together: ``skcipher (splice_file, sendfile)``."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, way = name.partition(".")
        kinds.setdefault(kind, []).append(way)
    return ", ".join(
        f"{kind}.{ways[0]}" if len(ways) == 1 else f"{kind} ({', '.join(ways)})"
        for kind, ways in kinds.items()
    )


def _restrict(kernel: KernelResult) -> Cell:
    if kernel.identity is None and not kernel.plan:
        return Cell(NOT_KNOWN)
    level = kernel.facts.af_alg_restrict
    return Cell("none" if level is None else str(level))


def suite_of(test: str) -> str:
    """The suite of a test id: its first folder."""
    return test.partition("/")[0] if "/" in test else "(no suite)"


def _test_rows(kernels: Sequence[KernelResult]) -> list[Row]:
    suites = list(
        dict.fromkeys(
            suite_of(test) for kernel in kernels for test in (*kernel.plan, *_ids(kernel))
        )
    )
    found = [_row(suite, kernels, _counter(suite), TESTS) for suite in suites]
    if any(missing_tests(kernel) for kernel in kernels):
        found.append(_row(_NEVER_REPORTED, kernels, _missing, TESTS))
    return found


def _ids(kernel: KernelResult) -> list[str]:
    return [test.id for test in kernel.tests]


def _counter(suite: str) -> Callable[[KernelResult], Cell]:
    def count(kernel: KernelResult) -> Cell:
        seen = Counter(test.outcome for test in kernel.tests if suite_of(test.id) == suite)
        failed = sum(seen[outcome] for outcome in FAILURES)
        if not seen.total() or seen.total() == seen[Outcome.MISSING]:
            return Cell(NOT_KNOWN)
        mood = Mood.BAD if failed else Mood.PLAIN
        return Cell(f"{seen[Outcome.PASSED]}/{failed}/{seen[Outcome.SKIPPED]}", mood)

    return count


def _missing(kernel: KernelResult) -> Cell:
    count = len(missing_tests(kernel))
    return Cell(str(count) if kernel.plan else NOT_KNOWN, Mood.BAD if count else Mood.PLAIN)


def _taint(kernel: KernelResult) -> Cell:
    # What a test that killed the kernel did to it was never read.
    if kernel.taint is None or kernel.status is not Status.COMPLETED:
        return Cell(NOT_KNOWN)
    letters = "".join(taint_letters(kernel.taint))
    text = f"{kernel.taint} {letters}" if letters else "0"
    gained = taint_letters(kernel.taint & ~(kernel.taint_before or 0))
    if not gained:
        return Cell(text)
    return Cell(f"{kernel.taint_before} -> {text}", Mood.BAD)


def _event_rows(kernels: Sequence[KernelResult]) -> list[Row]:
    kinds = sorted({event.kind for kernel in kernels for event in kernel.console_events})

    def counter(kind: str) -> Callable[[KernelResult], Cell]:
        def count(kernel: KernelResult) -> Cell:
            number = sum(event.kind == kind for event in kernel.console_events)
            silent = not number and kernel.status in NOTHING_KNOWN
            return Cell(NOT_KNOWN if silent else str(number), Mood.BAD if number else Mood.PLAIN)

        return count

    return [_row(kind, kernels, counter(kind), CONSOLE) for kind in kinds]


def _seconds(kernel: KernelResult) -> Cell:
    if kernel.boot_seconds is None:
        return Cell(NOT_KNOWN)
    suite = f"{kernel.suite_seconds:.1f}" if kernel.suite_seconds is not None else NOT_KNOWN
    return Cell(f"{kernel.boot_seconds:.1f}+{suite} s")


def not_compared(comparison: Comparison, kernels: Sequence[KernelResult]) -> str:
    """Why there is no comparison: ``7.3.4 boot failed``; "" if there is one."""
    if comparison.fault:
        return comparison.fault
    return ", ".join(
        f"{distinct_name(side, kernels)} {side.status.replace('_', ' ')}"
        for side in sides(comparison, kernels)
        if side is not None and side.status in NOTHING_KNOWN
    )


def selected_apart(comparison: Comparison, kernels: Sequence[KernelResult]) -> tuple[str, ...]:
    """What only one of two runs had selected, a sentence for each side."""
    alone = (comparison.only_baseline, comparison.only_candidate)
    roles = ("baseline", "candidate")
    return tuple(
        f"not compared, selected on the {role} only ({name}): {listed(tests)}"
        for role, name, tests in zip(roles, side_names(comparison, kernels), alone, strict=True)
        if tests
    )


def sequences_compared(comparison: Comparison, kernels: Sequence[KernelResult]) -> str:
    """How many sequences of calls both kernels answered, and how many differently; may be ""."""
    baseline, candidate = sides(comparison, kernels)
    if baseline is None or candidate is None:
        return ""
    before, after = baseline.transcripts, candidate.transcripts
    most = max(len(before), len(after))
    if not most:
        return ""
    both = before.keys() & after.keys()
    told = f"{len(both)} sequences of calls compared"
    if len(both) < most / 2:
        why = "another --seed?" if before and after else "one kernel recorded none"
        told += f" of {most}, the others ran on one kernel only: {why}"
    different = sum(before[text] != after[text] for text in both)
    return f"{told}; {different or 'none'} answered differently" if both else told


def change_groups(comparison: Comparison, kernels: Sequence[KernelResult]) -> list[ChangeGroup]:
    """The changes, those alike together, the worst first."""
    lost = set(losses(comparison, kernels))
    alike: dict[tuple[ChangeClass, str, str, str, bool], list[str]] = {}
    for change in comparison.changes:
        alike.setdefault(_kind(change, change in lost), []).append(change.id)
    groups = [
        ChangeGroup(cls, baseline, candidate, explanation, tuple(ids), loss)
        for (cls, baseline, candidate, explanation, loss), ids in alike.items()
    ]
    return sorted(groups, key=lambda group: (not group.loss, CLASSES.index(group.cls)))


def _kind(change: Change, loss: bool) -> tuple[ChangeClass, str, str, str, bool]:
    return change.cls, change.baseline, change.candidate, change.explanation, loss


def frames(event: ConsoleEvent) -> tuple[str, ...]:
    """The first functions of a decoded stack trace, with their places; () if there is none.

    Those that the kernel makes its report with are left out, and guesses ("? function").
    """
    found = [_FRAME.search(line) for line in event.lines if " ? " not in line]
    named = [f"{one[1]} ({one[2]})" for one in found if one and not REPORTING.match(one[1])]
    return tuple(dict.fromkeys(named))[:_FRAMES]


def notes(kernel: KernelResult) -> tuple[str, ...]:
    """What a reader must know of a kernel beside its verdict."""
    unsigned = [
        f"{package.name} {package.version} is from {package.trust}"
        if package.trust == "local"
        else f"{package.name} {package.version}: {package.trust}"
        for package in kernel.packages
        if package.trust != "signed index"
    ]
    # Of those that had no effect the verdict says so.
    added = [word for word in _appended(kernel) if word not in kernel.ignored_arguments]
    arguments = (f"kernel arguments added: {' '.join(added)}",) if added else ()
    return tuple(dict.fromkeys((*kernel.verdict.notes, *kernel.notes, *unsigned, *arguments)))


def common_skips(kernel: KernelResult) -> list[tuple[str, list[str]]]:
    """Reasons of skips with the tests they apply to, the most common first."""
    reasons: dict[str, list[str]] = {}
    for test in kernel.tests:
        if test.outcome is Outcome.SKIPPED:
            reasons.setdefault(test.message or "(no reason given)", []).append(test.id)
    return sorted(reasons.items(), key=lambda item: -len(item[1]))
