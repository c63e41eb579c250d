"""summary.md: the run in GitHub-flavoured Markdown, verdict first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.judge import facts
from harness.judge.defects import defects
from harness.judge.exit_code import NOTHING_KNOWN, ran_in_part
from harness.judge.findings import listed
from harness.model import (
    FAILURES,
    Change,
    Comparison,
    ConsoleEvent,
    KernelResult,
    Purpose,
    Reproducer,
    Role,
    RunResult,
    Status,
)
from harness.report.options import ReportOptions
from harness.report.overview import (
    ZERO_COPY,
    Mood,
    Row,
    change_groups,
    common_skips,
    distinct_name,
    exit_sentence,
    explanations,
    is_unknown,
    legend,
    name_of,
    not_compared,
    notes,
    rows,
    selected_apart,
    sequences_compared,
    side_names,
    verdict_cell,
)
from harness.report.reproducer import LEGEND, program, steps
from harness.text import clean

_DETAIL_LINES = 40
_MARKS = {Mood.BAD: "**{}**"}


def pieces(result: RunResult, _options: ReportOptions) -> Iterator[str]:
    """``result`` as Markdown."""
    for line in summary_lines(result):
        yield f"{line}\n"


def summary_lines(result: RunResult) -> Iterator[str]:
    """The lines of the summary."""
    yield f"# AF_ALG: {exit_sentence(result)}"
    yield ""
    for kernel in result.kernels:
        yield from _verdict(kernel, result)
    yield ""
    yield f"{_code(result.command)}, started {result.started}, seed {result.seed}."
    host = result.host
    reason = f" ({_text(host.accel_reason)})" if host.accel_reason else ""
    yield f"Accelerator {host.accel or 'none'}{reason}, QEMU {host.qemu}, vng {host.vng}."
    table = rows(result)
    paths = [row for row in table if row.section == ZERO_COPY]
    if paths:
        yield from _table("Zero copy", "path", paths, result.kernels)
        yield from _explanations(result)
    others = [row for row in table if row.section != ZERO_COPY]
    yield from _table("Kernels", "", others, result.kernels)
    for comparison in result.comparisons:
        yield from _changes(comparison, result)
    for kernel in result.kernels:
        yield from _kernel(kernel, result)


def _text(text: str) -> str:
    """Plain text inside Markdown: one line, nothing of it taken for markup."""
    # An underscore between letters is none; escaping it would only spoil the source.
    return re.sub(r"[\\|*<`\[\]]|\b_(?!\w)|(?<!\w)_", r"\\\g<0>", clean(text))


def _code(text: str) -> str:
    """A name or command, verbatim."""
    verbatim = clean(text).replace("|", "\\|")
    fence = "``" if "`" in verbatim else "`"
    return f"{fence}{verbatim}{fence}"


def _verdict(kernel: KernelResult, result: RunResult) -> Iterator[str]:
    counts = kernel.status in NOTHING_KNOWN or ran_in_part(kernel)
    role = " (baseline)" if counts else " (baseline, does not count)"
    role = role if kernel.role is Role.BASELINE else ""
    name = _text(distinct_name(kernel, result.kernels))
    yield f"- **{verdict_cell(kernel, result).text}** {name}{role}"
    completed = kernel.status is Status.COMPLETED and not is_unknown(kernel)
    if kernel.role is Role.BASELINE and completed:
        return
    for reason in kernel.verdict.reasons:
        yield f"  - {_text(reason)}"


def _table(
    title: str, corner: str, found: Sequence[Row], kernels: Sequence[KernelResult]
) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {corner} | " + " | ".join(_text(name_of(kernel)) for kernel in kernels) + " |"
    yield "|---|" + "---|" * len(kernels)
    for row in found:
        cells = (_MARKS.get(cell.mood, "{}").format(_text(cell.marked)) for cell in row.cells)
        yield f"| {_text(row.title)} | " + " | ".join(cells) + " |"


def _explanations(result: RunResult) -> Iterator[str]:
    """What each state of each path means, and the letters beside it."""
    letters = legend(result.kernels)
    if letters:
        yield ""
        yield f"{_text(letters[:1].upper() + letters[1:])}."
    yield ""
    yield "| path | what goes by it | state | what it means |"
    yield "|---|---|---|---|"
    for one in explanations(result.kernels):
        for path in one.paths:
            cells = map(_text, (path, facts.describe(f"zero_copy.{path}"), one.state, one.text))
            yield "| " + " | ".join(cells) + " |"


def _changes(comparison: Comparison, result: RunResult) -> Iterator[str]:
    yield ""
    names = side_names(comparison, result.kernels)
    yield f"## Changes from {_text(names[0])} to {_text(names[1])}"
    yield ""
    groups = change_groups(comparison, result.kernels)
    obstacle = not_compared(comparison, result.kernels)
    if obstacle:
        yield f"Not compared: {_text(obstacle)}."
        return
    compared = sequences_compared(comparison, result.kernels)
    for line in (*selected_apart(comparison, result.kernels), *([compared] if compared else [])):
        yield f"{_text(line[:1].upper() + line[1:])}."
        yield ""
    if not groups:
        yield "None in what both observed."
        return
    yield "| class | what | baseline | candidate | explanation |"
    yield "|---|---|---|---|---|"
    for group in groups:
        cls = f"**{group.cls}**" if group.loss else str(group.cls)
        for name in group.ids:
            cells = map(_text, (group.baseline, group.candidate, group.explanation))
            yield f"| {cls.replace('_', ' ')} | {_code(name)} | " + " | ".join(cells) + " |"
    if any(change.reproducer for change in comparison.changes):
        yield ""
        yield f"{LEGEND}."
    for change in comparison.changes:
        if change.reproducer is not None:
            yield from _reproducer(change, change.reproducer, names)


def _reproducer(change: Change, found: Reproducer, names: tuple[str, str]) -> Iterator[str]:
    """The shortest sequence of calls that shows a change, as a table and as a program."""
    subject, _, _ = found.sequence.partition(": ")
    yield ""
    yield f"### {_code(change.id)}: {_text(change.cls)}"
    yield ""
    yield f"Why: {_text(change.explanation)}. The shortest sequence, on {_code(subject)}:"
    yield ""
    yield f"| call | {_text(names[0])} | {_text(names[1])} |"
    yield "|---|---|---|"
    for call, was, now in steps(found):
        mark = "**" if was != now else ""
        yield f"| {_code(call)} | {mark}{_text(was)}{mark} | {mark}{_text(now)}{mark} |"
    yield ""
    yield "```python"
    yield program(found, *names)
    yield "```"
    if found.others:
        yield ""
        left_out = f" and {found.others_left_out} more" if found.others_left_out else ""
        yield f"The same with: {', '.join(map(_code, found.others))}{left_out}."


def _kernel(kernel: KernelResult, result: RunResult) -> Iterator[str]:
    sections = [
        *_failures(kernel),
        *_boots(kernel),
        *_skips(kernel),
        *_defects(kernel),
        *(f"- {_text(note)}" for note in notes(kernel)),
    ]
    if not sections:
        return
    yield ""
    yield f"## {_text(distinct_name(kernel, result.kernels))}"
    yield ""
    yield from sections
    if kernel.reproduce:
        yield ""
        yield f"Again: {_code(kernel.reproduce)}"


def _failures(kernel: KernelResult) -> Iterator[str]:
    for test in kernel.tests:
        if test.outcome in FAILURES:
            yield f"- **{test.outcome}** {_code(test.id)}: {_text(test.message)}"
            yield from _fenced(test.details.splitlines())


_PURPOSES = {
    Purpose.PLAN: "all that was selected",
    Purpose.REST: "the rest",
    Purpose.ALONE: "alone",
    Purpose.CONFIRM: "what was lost, again",
}


def _boots(kernel: KernelResult) -> Iterator[str]:
    """What each boot was for, how it ended and what was heard on its console."""
    several = len(kernel.boots) > 1
    for boot in kernel.boots if several else ():
        status = boot.status.replace("_", " ")
        reason = f": {_text(boot.status_reason)}" if boot.status_reason else ""
        what = _PURPOSES[boot.purpose]
        if boot.purpose is Purpose.ALONE:
            what = f"{_code(', '.join(boot.asked))} alone"
        yield f"- boot {boot.number} of {len(kernel.boots)} ({what}): {status}{reason}"
        yield from _events(boot.console_events)
    if not several:
        yield from _events(kernel.console_events)


def _events(events: Sequence[ConsoleEvent]) -> Iterator[str]:
    for event in events:
        where = f"in {_code(event.test)}" if event.test else "before the first test"
        yield f"- console, {event.seconds:.1f} s, {where}: {event.kind}: {_text(event.title)}"
        yield from _fenced(event.lines)


def _fenced(lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield "  ~~~~"
    yield from (f"  {clean(line)}" for line in lines[:_DETAIL_LINES])
    if len(lines) > _DETAIL_LINES:
        yield f"  ... {len(lines) - _DETAIL_LINES} more lines in results.json"
    yield "  ~~~~"


def _defects(kernel: KernelResult) -> Iterator[str]:
    not_seen = defects(kernel).not_seen
    if not_seen:
        yield f"- provoked, not seen: {', '.join(not_seen)}"


def _skips(kernel: KernelResult) -> Iterator[str]:
    for reason, tests in common_skips(kernel):
        yield f"- skipped ({len(tests)}): {_text(reason)}: {_code(listed(tests))}"
