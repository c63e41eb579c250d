"""The answer of a run on one screen: some twelve lines for a candidate, a row each for more."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.errors import ExitCode
from harness.judge.causes import Origin, RootCause
from harness.judge.findings import listed
from harness.judge.verdict import reused_in_words
from harness.model import Comparison, KernelResult, Outcome, Role, RunResult, State
from harness.report.answer import (
    Answer,
    Changes,
    PageCache,
    Programs,
    Tests,
    Word,
    ZeroCopy,
    answers,
    sentence_of,
)
from harness.report.options import ReportOptions
from harness.report.overview import distinct_name, selected_apart, side_names
from harness.report.tables import Column, print_table
from harness.report.terminal import print_details
from harness.text import clean

_STYLES = {
    Word.OK: "bold green",
    Word.NOT_OK: "bold red",
    Word.UNKNOWN: "bold yellow",
    Word.INTERRUPTED: "bold yellow",
    Word.BASELINE: "bold",
}
_GOOD, _BAD, _DOUBTFUL = "green", "bold red", "yellow"
_WORDS = {"gone": _GOOD, "safe": _GOOD, "present": _BAD, "WRITABLE": _BAD, "not probed": ""}
_LABEL = 13  # characters of the first column
_WORD = 9  # and of the word in the second
_LOWEST = 24  # lines that every terminal has
_NAMES = 3  # kernels that a cause names on a terminal
_CAUSES = 5  # reasons, and causes of skips, that are told there
#: Reports that hold the details, the one that is easiest to read first.
_DETAILS = ("report.html", "summary.md", "results.json")


def print_result(
    result: RunResult, console: Console, run_dir: Path | None, *, verbose: bool = False
) -> None:
    """Print what a run says; ``run_dir`` is where its reports are, None if nowhere.

    One screen, or with ``verbose`` everything after it. Colour, wrapping and leaving out what
    does not fit are for terminals only; elsewhere every item is one whole line.
    """
    told = answers(result)
    candidates = [answer for answer in told if answer.role is Role.CANDIDATE]
    if len(candidates) == 1:
        others = [answer for answer in told if answer is not candidates[0]]
        _print_one(candidates[0], others, result, console)
    else:
        _print_many(told, result, console)
    if verbose:
        print_details(result, console)
    _print(console, _where(run_dir, verbose=verbose), style="dim")


def pieces(result: RunResult, _options: ReportOptions) -> Iterator[str]:
    """The same as text, for a file."""
    file = io.StringIO()
    print_result(result, Console(file=file, width=80), None)
    yield file.getvalue()


def _where(run_dir: Path | None, *, verbose: bool) -> str:
    more = "" if verbose else "-v lists everything"
    if run_dir is None:
        return more
    best = next((name for name in _DETAILS if (run_dir / name).exists()), "")
    return f"details: {run_dir / best}    {more}".rstrip()


@dataclass(frozen=True)
class _Item:
    """One line of the screen of a single candidate."""

    label: str | None  # None: the text has the whole line
    text: str
    word: str = ""
    style: str = ""  # of the word, or of the text if there is none
    hanging: int = 0  # characters by which further lines of the text are set in

    def lines(self, width: int | None) -> list[Text]:
        """As it is printed; wrapped below its own beginning if there is a width."""
        head = "  " if self.label is None else f"  {self.label:<{_LABEL}}"
        head += f"{self.word} ".ljust(_WORD) if self.word else ""
        text = clean(self.text)
        lines = _wrapped(text, width - len(head), width, self.hanging) if width else [text]
        found: list[Text] = []
        for number, line in enumerate(lines):
            line_head = head if number == 0 else " " * len(head)
            told = Text((line_head + line).rstrip())
            if self.style and self.word and number == 0:
                told.stylize(self.style, 2 + _LABEL, 2 + _LABEL + len(self.word))
            elif self.style and not self.word:
                told.stylize(self.style, len(head))
            found.append(told)
        return found


def _wrapped(text: str, room: int, width: int, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        max(room, width // 3),
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _print(console: Console, text: str, style: str = "") -> None:
    """One line, or several on a terminal that is too narrow for it."""
    text = clean(text)
    lines = _wrapped(text, console.width, console.width) if console.is_terminal else [text]
    for line in lines if text else ():
        console.print(Text(line, style=style), highlight=False, soft_wrap=True)


def _print_one(
    answer: Answer, others: Sequence[Answer], result: RunResult, console: Console
) -> None:
    """The screen of one candidate; changes by cause as far as they fit."""
    width = console.width if console.is_terminal else None
    for line in _heading(answer, ExitCode(result.exit_code), width):
        console.print(line, highlight=False, soft_wrap=True)
    limit = None if width is None else _CAUSES
    head = [line for item in _items(answer, others, limit) for line in item.lines(width)]
    tail = [line for item in _apart(result) for line in item.lines(width)]
    room = max(console.height, _LOWEST) - len(head) - len(tail) - 4
    rest = [cause for cause in answer.change_causes if not cause.gates]
    body = [_cause_item(cause).lines(width) for cause in rest]
    fitting = len(body) if width is None else _fitting(body, room)
    for line in (*head, *(line for lines in body[:fitting] for line in lines)):
        console.print(line, highlight=False, soft_wrap=True)
    if fitting < len(body):
        more = f"and {len(body) - fitting} more causes of changes"
        console.print(Text(f"    {more}", style="dim"), highlight=False)
    for line in tail:
        console.print(line, highlight=False, soft_wrap=True)


def _fitting(body: Sequence[Sequence[Text]], room: int) -> int:
    """How many of the first items have room."""
    used = 0
    for number, lines in enumerate(body):
        used += len(lines)
        if used > room:
            return number
    return len(body)


def _heading(answer: Answer, code: ExitCode, width: int | None) -> list[Text]:
    against = f"   against {answer.against}" if answer.against else ""
    name = clean(f"{answer.name}{against}")
    head = f"{answer.word}  {name}"
    end = f"(exit {int(code)})"
    lines = [head]
    if width and len(head) + len(end) + 3 > width:
        lines = _wrapped(f"{answer.word}  {name}", width - len(end) - 3, width)
    room = (width or 80) - len(lines[0])
    lines[0] += f"   {end}" if width is None else end.rjust(max(room, len(end) + 1))
    told = [Text(line) for line in lines]
    told[0].stylize(_STYLES[answer.word], 0, len(answer.word))
    return told


def _items(answer: Answer, others: Sequence[Answer], limit: int | None) -> Iterator[_Item]:
    """The lines between heading and changes; ``limit`` is how many reasons are told."""
    because = [(_reason(cause), cause.unknown) for cause in answer.gating]
    because += [
        (f"the baseline: {_reason(cause)}", cause.unknown)
        for other in others
        for cause in other.gating
    ]
    for number, (reason, unknown) in enumerate(because[:limit]):
        style = _DOUBTFUL if unknown else _BAD
        yield _Item("" if number else "because", reason, style=style)
    if limit is not None and len(because) > limit:
        yield _Item("", f"and {len(because) - limit} more reasons", style=_BAD)
    yield _zero_copy(answer.zero_copy, answer.baseline_zero_copy)
    yield _page_cache(answer.page_cache)
    yield _Item("tests", tests_in_words(answer.tests))
    if answer.skips:
        yield _Item("", skips_in_words(answer.skips, limit))
    if _programs(answer.programs):
        yield _Item("programs", _programs(answer.programs))
    if answer.by_reference:
        told = ", ".join(answer.by_reference)
        yield _Item(None, f"still by reference, as upstream left it: {told}")
    if answer.changes is not None:
        yield _Item("changes", changes_in_words(answer.changes))


def _reason(cause: RootCause) -> str:
    """A cause with its number, where its words do not tell the only one it is about."""
    if cause.cls is None or cause.count == 1:
        return cause.sentence
    return f"{cause.sentence} ({cause.count} lost)"


def _cause_item(cause: RootCause) -> _Item:
    name = cause.cls.replace("_", " ").removeprefix("newly ") if cause.cls else ""
    return _Item(f"  {name}", cause.why, word=f"{cause.count:>4}")


def _zero_copy(now: ZeroCopy, before: ZeroCopy | None) -> _Item:
    style = _WORDS.get(now.word, _DOUBTFUL)
    return _Item("zero-copy", zero_copy_in_words(now, before), word=now.word, style=style)


def zero_copy_in_words(now: ZeroCopy, before: ZeroCopy | None) -> str:
    """``33 of 33 skcipher and aead inputs copied (baseline: 0)``."""
    if not now.probed:
        return now.why
    told = f"{now.gone} of {now.probed} skcipher and aead inputs copied"
    others = {
        state: count
        for state, count in now.states.items()
        if state in {State.UNREACHABLE, State.UNKNOWN}
    }
    told += "".join(f", {count} {state}" for state, count in others.items())
    if before is not None and before.probed:
        of = f" of {before.probed}" if before.probed != now.probed else ""
        told += f" (baseline: {before.gone}{of})"
    if now.unprobed:
        told += f"; {now.unprobed} were not probed"
    return f"{told}; {now.why}" if now.why else told


def _page_cache(now: PageCache) -> _Item:
    return _Item("page cache", now.why, word=now.word, style=_WORDS.get(now.word, _DOUBTFUL))


def tests_in_words(tests: Tests) -> str:
    """``988 passed, 0 failed, 69 skipped; taint 0, no splat``."""
    told = [f"{tests.passed} passed", f"{tests.failed} failed"]
    kinds = (Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT)
    worse = [f"{tests.outcomes[kind]} {kind}" for kind in kinds if tests.outcomes.get(kind)]
    if worse:
        told[-1] += f" ({', '.join(worse)})"
    told.append(f"{tests.skipped} skipped")
    told += [f"{tests.missing} missing"] if tests.missing else []
    told += [f"{tests.flaky} flaky"] if tests.flaky else []
    taint = "unknown" if tests.taint is None else str(tests.taint)
    gained = f" ({', '.join(tests.gained)} by the tests)" if tests.gained else ""
    splats = f"{tests.splats or 'no'} splat{'s' if tests.splats > 1 else ''}"
    excused = f" that counts ({tests.excused} excused)" if tests.excused else ""
    return f"{', '.join(told)}; taint {taint}{gained}, {splats}{excused}"


def skips_in_words(skips: Sequence[RootCause], limit: int | None = None) -> str:
    """``147 skipped: the sysctl af_alg_restrict is not there; 61: built without …``."""
    told = [f"{cause.count}: {cause.why}" for cause in skips]
    told[0] = f"{skips[0].count} skipped: {skips[0].why}"
    rest = sum(cause.count for cause in skips[limit:]) if limit is not None else 0
    return "; ".join([*told[:limit], *([f"{rest} for other reasons"] if rest else [])])


def changes_in_words(changes: Changes) -> str:
    """``0 lost, 12 unavailable (config), 60 intended, 40 fixed, 146 new``."""
    if changes.obstacle:
        return f"not compared: {changes.obstacle}"
    told = [
        f"{changes.lost} lost",
        f"{changes.unavailable} unavailable (explained)" if changes.unavailable else "",
        f"{changes.allowed} allowed" if changes.allowed else "",
        f"{changes.flaky} flaky" if changes.flaky else "",
        f"{changes.intended} intended",
        f"{changes.fixed} fixed",
        f"{changes.new} new",
    ]
    return ", ".join(part for part in told if part)


def _programs(programs: Programs) -> str:
    told = [
        f"{programs.work} work" if programs.work else "",
        f"{programs.restricted} fail at af_alg_restrict={programs.level} and work at 0"
        if programs.restricted
        else "",
        f"{programs.fail} fail ({', '.join(programs.failing)})" if programs.fail else "",
        f"{programs.unknown} could not be tried" if programs.unknown else "",
    ]
    return ", ".join(part for part in told if part)


def _apart(result: RunResult) -> Iterator[_Item]:
    """What was not observed in this run, and what only one of two had selected."""
    for told in _reused(result):
        yield _Item("reused", told, style="dim")
    for comparison in result.comparisons:
        for told in selected_apart(comparison, result.kernels):
            yield _Item("", told, style="dim")


def _reused(result: RunResult) -> Iterator[str]:
    """Of each kernel that was not booted in this run, which one its result is of."""
    for kernel in result.kernels:
        if kernel.reused is not None:
            name = distinct_name(kernel, result.kernels)
            yield f"{name} was not booted: {reused_in_words(kernel.reused)}"


_WIDE = 100  # columns of a terminal that has room for all numbers


def _columns(*, wide: bool) -> tuple[Column, ...]:
    """So that names of 26 characters have room in 80."""
    return (
        Column("verdict", wrap=False),
        Column("kernel"),
        Column("zero-copy", wrap=False),
        Column("page cache", wrap=False),
        Column("pass/fail/skip" if wide else "failed", right=not wide, wrap=False),
        Column("lost", right=True, wrap=False),
    )


def _print_many(told: Sequence[Answer], result: RunResult, console: Console) -> None:
    """A row for each kernel, then why, each cause once for all kernels that have it."""
    code = ExitCode(result.exit_code)
    _print(console, f"{sentence_of(told)}   (exit {int(code)})", style="bold")
    styles = [_STYLES[answer.word] for answer in told]
    wide = not console.is_terminal or console.width >= _WIDE
    rows = [_row(answer, wide=wide) for answer in told]
    print_table(_columns(wide=wide), rows, console, styles)
    for told_of in _reused(result):
        _print(console, told_of, style="dim")
    for comparison in result.comparisons:
        _print_apart(comparison, result.kernels, console)
    causes: dict[tuple[Origin, str], list[Answer]] = {}
    for answer in told:
        for cause in answer.gating:
            causes.setdefault((cause.origin, _reason(cause)), []).append(answer)
    if causes:
        _print(console, "why not OK, and of how many kernels:")
    origins = list(Origin)
    for (_, reason), concerned in sorted(
        causes.items(), key=lambda item: (-len(item[1]), origins.index(item[0][0]))
    ):
        names = [answer.name for answer in concerned]
        limit = _NAMES if console.is_terminal else len(names)
        item = _Item(None, f"{len(names):>3}  {reason}: {listed(names, limit)}", hanging=5)
        for line in item.lines(console.width if console.is_terminal else None):
            console.print(line, highlight=False, soft_wrap=True)


def _print_apart(comparison: Comparison, kernels: Sequence[KernelResult], console: Console) -> None:
    for line in selected_apart(comparison, kernels):
        _print(console, f"{' to '.join(side_names(comparison, kernels))}: {line}", style="dim")


def _row(answer: Answer, *, wide: bool) -> tuple[str, ...]:
    tests, changes = answer.tests, answer.changes
    numbers = f"{tests.passed}/{tests.failed}/{tests.skipped}" if wide else str(tests.failed)
    return (
        answer.word,
        answer.name,
        _short(answer.zero_copy),
        answer.page_cache.word,
        numbers if tests.outcomes else "-",
        str(changes.lost) if changes is not None and not changes.obstacle else "-",
    )


def _short(zero_copy: ZeroCopy) -> str:
    """``gone 33/33``: of the paths that were probed those that the word is true of."""
    states = {"gone": State.ABSENT, "none seen": State.ABSENT}
    state = states.get(
        zero_copy.word, State(zero_copy.word) if zero_copy.word in set(State) else None
    )
    if state is None or not zero_copy.probed:
        return zero_copy.word
    return f"{zero_copy.word} {zero_copy.states.get(state, 0)}/{zero_copy.probed}"
