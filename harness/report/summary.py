"""summary.md: the run for a comment on a pull request: the answer, and all else folded.

GitHub takes comments of up to 64 KiB. What does not fit is left out, the least important
first, and a line says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from harness.judge.causes import RootCause
from harness.judge.defects import defects
from harness.judge.findings import listed
from harness.model import (
    FAILURES,
    Change,
    ChangeClass,
    ConsoleEvent,
    KernelResult,
    Purpose,
    Reproducer,
    Role,
    RunResult,
)
from harness.report.answer import Answer, Word, answers, sentence
from harness.report.markup import code, fenced, folded, plain, table
from harness.report.options import ReportOptions, called
from harness.report.overview import (
    ZERO_COPY,
    Cell,
    Mood,
    Row,
    exit_sentence,
    explanations,
    legend,
    not_compared,
    notes,
    rows,
    selected_apart,
    sequences_compared,
    sides,
)
from harness.report.reproducer import LEGEND, program, steps
from harness.report.shared import SharedCause, gating_once, seen, shared_causes
from harness.text import short

LIMIT = 60_000  # bytes
_TABLE = 24_000  # of them for the table of kernels
_CAUSES = 18_000  # and for what the run fails for
_CHANGES = 18_000  # and for those of changes

_CODE_LINES = 30
_LINES = 30  # of what was seen of one cause
_LINE = 200  # characters of each
_NAMES = 6  # of kernels that share a cause
_REPRODUCERS = 6
_FAILURES = 20
_SKIPS = 30


#: In the order in which they are told, below what the run fails for.
_CLASSES = [cls.replace("_", " ") for cls in ChangeClass]


@dataclass(frozen=True)
class _Section:
    """A part that is there as a whole or not at all."""

    title: str
    lines: tuple[str, ...]

    @property
    def size(self) -> int:
        """In bytes, with the empty line before it."""
        return 1 + sum(len(line.encode(errors="replace")) + 1 for line in self.lines)


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """``result`` as Markdown of at most LIMIT bytes."""
    for line in summary_lines(result, options):
        yield f"{line}\n"


def summary_lines(result: RunResult, options: ReportOptions | None = None) -> Iterator[str]:
    """The lines of the summary."""
    summary = _Summary(result, options or ReportOptions())
    sections = [section for section in summary.sections() if section.lines]
    # The line that says what is left out has its place, too.
    left = LIMIT - 2000
    left_out: list[str] = []
    for number, section in enumerate(sections):
        if section.size > left:
            left_out.append(section.title)
            continue
        left -= section.size
        if number:
            yield ""
        yield from section.lines
    if left_out:
        yield ""
        yield f"Left out here for their size, in results.json: {plain(listed(left_out), 1500)}."


class _Summary:
    """The parts of the summary of one run."""

    def __init__(self, result: RunResult, options: ReportOptions) -> None:
        self._result = result
        self._kernels = result.kernels
        self._answers = list(zip(result.kernels, answers(result), strict=True))
        self._called = {
            id(kernel): called(kernel, result.kernels, options) for kernel in result.kernels
        }

    def sections(self) -> Iterator[_Section]:
        """All of them, the most important first."""
        yield _Section("the answer", tuple(self._head()))
        yield _Section("why", tuple(self._why()))
        yield _Section("changes", tuple(self._changes()))
        yield _Section("zero copy", tuple(self._paths()))
        yield from self._details()
        yield _Section("facts", tuple(self._facts()))
        yield from self._reproducers()

    def _name(self, kernel: KernelResult | None) -> str:
        return self._called[id(kernel)] if kernel is not None else "?"

    def _head(self) -> Iterator[str]:
        result, host = self._result, self._result.host
        yield f"# AF_ALG: {plain(sentence(result))}"
        yield ""
        yield f"{plain(exit_sentence(result)).capitalize()}."
        yield ""
        lost = any(answer.changes is not None for _, answer in self._answers)
        head = ["kernel", "", "zero-copy", "page cache", "passed/failed/skipped"]
        told = (self._row(kernel, answer, lost) for kernel, answer in self._answers)
        shown, more = _within(told, _TABLE)
        yield from table([*head, *(["lost"] if lost else []), "why"], shown)
        if more:
            yield ""
            yield f"And {more} more kernels in results.json."
        yield ""
        reason = f", {plain(host.accel_reason, 120)}" if host.accel_reason else ""
        yield (
            f"{code(result.command, 600)}, started {plain(result.started)}; accelerator"
            f" {plain(host.accel or 'none')}{reason}; QEMU {plain(host.qemu)},"
            f" vng {plain(host.vng)}."
        )

    def _row(self, kernel: KernelResult, answer: Answer, lost: bool) -> list[str]:
        tests = answer.tests
        word = str(answer.word) if answer.word is not Word.BASELINE else "baseline"
        zero_copy = answer.zero_copy
        told = zero_copy.word
        if zero_copy.word in {"gone", "present", "none seen"} and zero_copy.probed:
            told += f" ({zero_copy.gone} of {zero_copy.probed} copied)"
        causes = gating_once(answer)
        why = plain(causes[0].sentence, 160) if causes else ""
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        counts = str(answer.changes.lost) if answer.changes is not None else ""
        return [
            plain(self._name(kernel), 120),
            f"**{word}**" if answer.word in {Word.NOT_OK, Word.UNKNOWN} else word,
            told,
            answer.page_cache.word,
            f"{tests.passed}/{tests.failed}/{tests.skipped}",
            *([counts] if lost else []),
            f"{why}{more}",
        ]

    def _why(self) -> Iterator[str]:
        """Each cause once, with the kernels that have it."""
        named = ((self._name(kernel), answer) for kernel, answer in self._answers)
        causes = shared_causes(named)
        if not causes:
            return
        yield "## Why"
        shown, more = _within(map(_why, causes), _CAUSES)
        for lines in shown:
            yield ""
            yield from lines
        if more:
            yield ""
            yield f"- {more} more causes in results.json"

    def _changes(self) -> Iterator[str]:
        """What differs from the baseline, each cause once, with the candidates that have it."""
        alike: dict[tuple[bool, str, str], list[tuple[str, RootCause]]] = {}
        for kernel, answer in self._answers:
            for cause in answer.change_causes:
                key = (not cause.gates, _class(cause), cause.sentence)
                alike.setdefault(key, []).append((self._name(kernel), cause))
        body = list(self._compared())
        order = sorted(alike.items(), key=lambda item: (item[0][0], _CLASSES.index(item[0][1])))
        several = len(self._result.comparisons) > 1
        found, more = _within((self._change(key, *item) for key, item in order), _CHANGES)
        if found:
            head = ["class", "what", "", *(["on"] if several else []), "ids"]
            told = found if several else [[*row[:3], row[4]] for row in found]
            body += ["", *table(head, told)]
        if more:
            body += ["", f"And {more} more causes in results.json."]
        if body:
            baseline = next(map(self._name, _baselines(self._kernels)), "the baseline")
            yield from folded(f"changes from {baseline}: {len(alike)} causes", body)

    def _change(
        self,
        key: tuple[bool, str, str],
        first: tuple[str, RootCause],
        *others: tuple[str, RootCause],
    ) -> list[str]:
        content, word, sentence_of = key
        found = (first, *others)
        _, cause = first
        ids = cause.ids if cause.count > 1 or cause.ids[0] not in cause.sentence else ()
        names = list(dict.fromkeys(name for name, _ in found))
        candidates = sum(kernel.role is Role.CANDIDATE for kernel in self._kernels)
        where = "all" if len(names) == candidates else listed(names, _NAMES)
        most = max(one.count for _, one in found)
        return [
            word if content else f"**{word}**",
            plain(sentence_of),
            str(most),
            plain(where),
            self._ids(ids),
        ]

    def _compared(self) -> Iterator[str]:
        """What was compared, and what was not; candidates alike together."""
        alike: dict[str, list[str]] = {}
        for comparison in self._result.comparisons:
            obstacle = not_compared(comparison, self._kernels)
            told = [
                obstacle and f"not compared: {obstacle}",
                *selected_apart(comparison, self._kernels),
                sequences_compared(comparison, self._kernels),
            ]
            name = self._name(sides(comparison, self._kernels)[1])
            for line in filter(None, told):
                alike.setdefault(line, []).append(name)
        for line, names in alike.items():
            yield f"- {plain(listed(names, _NAMES))}: {plain(line)}"

    def _ids(self, ids: Sequence[str]) -> str:
        shown = ", ".join(code(name, 120) for name in ids[:3])
        return f"{shown} and {len(ids) - 3} more" if len(ids) > 3 else shown

    def _paths(self) -> Iterator[str]:
        found = [row for row in rows(self._result) if row.section == ZERO_COPY]
        if not found:
            return
        body = list(self._table(found))
        letters = legend(self._kernels)
        if letters:
            body += ["", f"{plain(letters[:1].upper() + letters[1:])}."]
        body += ["", "| paths | state | what it means |", "|---|---|---|"]
        for one in explanations(self._kernels):
            cells = (plain(listed(list(one.paths), 4)), plain(one.state), plain(one.text))
            body.append(f"| {' | '.join(cells)} |")
        yield from folded(f"zero copy: {len(found)} paths", body)

    def _facts(self) -> Iterator[str]:
        found = [row for row in rows(self._result) if row.section != ZERO_COPY]
        yield from folded(f"{len(found)} more facts", list(self._table(found)))

    def _table(self, found: Sequence[Row]) -> Iterator[str]:
        """Kernels beside each other; rows that say the same are one."""
        alike: dict[tuple[str, ...], list[str]] = {}
        for row in found:
            cells = tuple(_cell(cell) for cell in row.cells)
            alike.setdefault(cells, []).append(row.title)
        names = [plain(self._name(kernel), 80) for kernel in self._kernels]
        told = [[plain(listed(titles, 4)), *cells] for cells, titles in alike.items()]
        yield from table(["", *names], told)

    def _details(self) -> Iterator[_Section]:
        for kernel, answer in self._answers:
            parts: list[Callable[[], Iterator[str]]] = [
                partial(_failures, kernel, answer),
                partial(_boots, kernel),
                partial(_skips, answer),
                partial(_notes, kernel),
            ]
            lines = [line for part in parts for line in part()]
            if not lines:
                continue
            if kernel.reproduce:
                lines += ["", f"Again: {code(kernel.reproduce)}"]
            title = f"{self._name(kernel)}: failures, boots, skips, notes"
            yield _Section(title, tuple(folded(title, lines)))

    def _reproducers(self) -> Iterator[_Section]:
        for comparison in self._result.comparisons:
            found = [
                (change, change.reproducer)
                for change in comparison.changes
                if change.reproducer is not None
            ]
            if not found:
                continue
            old, new = map(self._name, sides(comparison, self._kernels))
            lines = [f"{LEGEND}."]
            for change, reproducer in found[:_REPRODUCERS]:
                lines += _reproducer(change, reproducer, (old, new))
            if len(found) > _REPRODUCERS:
                lines += ["", f"And {len(found) - _REPRODUCERS} more in results.json."]
            title = f"{new}: {len(found)} sequences of calls that {old} answers differently"
            yield _Section(title, tuple(folded(title, lines)))


def _why(shared: SharedCause) -> list[str]:
    """A cause, the kernels that have it, and what was seen on the first of them."""
    cause = shared.cause
    word = " (not known)" if cause.unknown else ""
    lines = [f"- **{plain(cause.sentence)}**{word}: {plain(listed(shared.names, _NAMES))}"]
    told = list(fenced([short(line, _LINE) for line in seen(cause)], _LINES))
    if told:
        lines += ["", *folded(f"{cause.count} seen on {shared.names[0]}", told)]
    return lines


def _cell(cell: Cell) -> str:
    text = plain(cell.marked, 60)
    return f"**{text}**" if cell.mood is Mood.BAD else text


def _class(cause: RootCause) -> str:
    return str(cause.cls).replace("_", " ")


def _baselines(kernels: Sequence[KernelResult]) -> list[KernelResult]:
    return [kernel for kernel in kernels if kernel.role is Role.BASELINE]


def _within(items: Iterable[Sequence[str]], size: int) -> tuple[list[Sequence[str]], int]:
    """As many of the first items, each some pieces of text, as fit; and how many do not."""
    every = list(items)
    for place, item in enumerate(every):
        size -= sum(len(text.encode(errors="replace")) + 3 for text in item)
        if size < 0:
            return every[:place], len(every) - place
    return every, 0


def _reproducer(change: Change, found: Reproducer, names: tuple[str, str]) -> Iterator[str]:
    """The shortest sequence of calls that shows a change, as a table and as a program."""
    subject, _, _ = found.sequence.partition(": ")
    yield ""
    yield f"### {code(change.id)}: {plain(change.cls)}"
    yield ""
    yield f"Why: {plain(change.explanation)}. The shortest sequence, on {code(subject)}:"
    yield ""
    told = []
    for call, was, now in steps(found):
        mark = "**" if was != now else ""
        told.append([code(call), f"{mark}{plain(was)}{mark}", f"{mark}{plain(now)}{mark}"])
    yield from table(["call", plain(names[0]), plain(names[1])], told)
    yield ""
    yield from fenced(program(found, *names).splitlines(), 200, "python")
    if found.others:
        left_out = f" and {found.others_left_out} more" if found.others_left_out else ""
        yield ""
        yield f"The same with: {', '.join(map(code, found.others))}{left_out}."


def _failures(kernel: KernelResult, answer: Answer) -> Iterator[str]:
    told = {name for cause in answer.gating for name in cause.ids[1:]}
    failed = [test for test in kernel.tests if test.outcome in FAILURES]
    shown = [test for test in failed if test.id not in told][:_FAILURES]
    for test in shown:
        yield f"- **{test.outcome}** {code(test.id)}: {plain(test.message)}"
        if test.details:
            yield ""
            yield from (f"  {line}" for line in fenced(test.details.splitlines(), _CODE_LINES))
    if len(shown) < len(failed):
        yield f"- {len(failed) - len(shown)} more that failed, most of them of the same causes"


_PURPOSES = {
    Purpose.PLAN: "all that was selected",
    Purpose.BESIDE: "a part, beside the first",
    Purpose.REST: "the rest",
    Purpose.ALONE: "alone",
    Purpose.CONFIRM: "what was lost, again",
}


def _boots(kernel: KernelResult) -> Iterator[str]:
    """What each boot was for, how it ended and what was heard on its console."""
    several = len(kernel.boots) > 1
    for boot in kernel.boots if several else ():
        status = boot.status.replace("_", " ")
        reason = f": {plain(boot.status_reason)}" if boot.status_reason else ""
        what = _PURPOSES[boot.purpose]
        if boot.left:
            what += ", but for what the next ran"
        if boot.purpose is Purpose.ALONE:
            what = f"{code(', '.join(boot.asked))} alone"
        yield f"- boot {boot.number} of {len(kernel.boots)} ({what}): {status}{reason}"
        yield from _events(boot.console_events)
    if not several:
        yield from _events(kernel.console_events)


def _events(events: Sequence[ConsoleEvent]) -> Iterator[str]:
    for event in events:
        where = f"in {code(event.test)}" if event.test else "before the first test"
        told = f"{plain(event.kind)}: {plain(event.title)}"
        yield f"- console, {event.seconds:.1f} s, {where}: {told}"
        if event.lines:
            yield ""
            yield from (f"  {line}" for line in fenced(event.lines, _CODE_LINES))


def _skips(answer: Answer) -> Iterator[str]:
    for cause in answer.skips[:_SKIPS]:
        yield f"- {plain(cause.sentence)}: {code(listed(list(cause.ids)))}"
    if len(answer.skips) > _SKIPS:
        yield f"- skipped for {len(answer.skips) - _SKIPS} more reasons"


def _notes(kernel: KernelResult) -> Iterator[str]:
    not_seen = defects(kernel).not_seen
    if not_seen:
        yield f"- provoked, not seen: {plain(', '.join(not_seen))}"
    yield from (f"- {plain(note)}" for note in notes(kernel))
