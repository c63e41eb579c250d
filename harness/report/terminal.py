"""Everything that a run says, for a terminal or a pipe: a column per kernel, what changed, why.

What a person asks first is on the screen that stands before it (harness/report/screen.py).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.judge.exit_code import NOTHING_KNOWN, ran_in_part
from harness.model import (
    Comparison,
    KernelResult,
    Reproducer,
    Role,
    RunResult,
    Status,
    TestResult,
)
from harness.report.overview import (
    Cell,
    Mood,
    Row,
    brief,
    change_groups,
    distinct_name,
    exit_sentence,
    explanations,
    frames,
    is_unknown,
    legend,
    name_of,
    not_compared,
    notes,
    rows,
    selected_apart,
    sequences_compared,
    side_names,
    sides,
    verdict_word,
)
from harness.report.reproducer import told_steps
from harness.text import clean

_STYLES = {Mood.PLAIN: "", Mood.GOOD: "green", Mood.BAD: "bold red", Mood.DOUBTFUL: "yellow"}
#: What a baseline is, in the words of its verdict.
_FINDINGS = {"not ok": "not as expected", "unknown": "unknown"}
_TRACES_SHOWN = 3
_COLUMN = 12  # characters of a kernel's column at least: four of them fit into 80


def print_details(result: RunResult, console: Console) -> None:
    """Print all that a run says: tests, states, changes, reasons and notes.

    Colour and wrapping are for terminals only; elsewhere every item is one plain line.
    """
    _print_tests(result, console)
    console.print()
    _line(console, _host(result), style="dim")
    _print_table(result, console)
    _print_explanations(result, console)
    for comparison in result.comparisons:
        _print_changes(comparison, result, console)
    for kernel in result.kernels:
        _print_reasons(kernel, result, console)
    for kernel in result.kernels:
        _print_notes(kernel, result, console)
    console.print()
    style = "bold green" if result.exit_code == 0 else "bold red"
    _line(console, exit_sentence(result), style=style)


def _host(result: RunResult) -> str:
    host = result.host
    reason = f" ({host.accel_reason})" if host.accel_reason else ""
    return f"accelerator: {host.accel or 'none'}{reason}; QEMU {host.qemu}, vng {host.vng}"


def _line(console: Console, text: str, indent: int = 0, style: str = "") -> None:
    """One item; on a terminal it wraps below its own beginning, elsewhere it never wraps."""
    for line in _lines(console, text, indent):
        console.print(Text(line, style=style), highlight=False, soft_wrap=True)


def _lines(console: Console, text: str, indent: int) -> list[str]:
    lines = [" " * indent + clean(text)]
    if console.is_terminal and len(lines[0]) > console.width:
        lines = textwrap.wrap(
            lines[0],
            console.width,
            subsequent_indent=" " * (indent + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _print_table(result: RunResult, console: Console) -> None:
    """A row for each property; on a terminal as many kernels at a time as it has columns for."""
    found = rows(result)
    names = [clean(name_of(kernel)) for kernel in result.kernels]
    if not console.is_terminal:
        for line in _aligned(found, names):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    labels = max(len(row.label) + 2 for row in found)
    at_once = max(1, (console.width - labels) // (_COLUMN + 1))
    for first in range(0, len(names), at_once):
        console.print(_table(found, names, slice(first, first + at_once)))


def _aligned(found: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    """The table in lines of any length, for programs and pagers."""
    lines = [("kernel", *names)]
    for row, section in zip(found, _sections(found), strict=True):
        lines += [(section,)] if section else []
        indent = "  " if row.section else ""
        lines.append((indent + clean(row.label), *(clean(cell.marked) for cell in row.cells)))
    widths = [
        max(len(line[place]) for line in lines if len(line) > place)
        for place in range(len(names) + 1)
    ]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=False))
        yield "  ".join(cells).rstrip()


def _sections(found: Sequence[Row]) -> Iterator[str]:
    """For each row the heading that stands above it, "" for none."""
    section = ""
    for row in found:
        yield row.section if row.section != section else ""
        section = row.section


def _heading(name: str) -> Text:
    """A kernel's name, broken where people read it apart: four kernels fit in 80 columns."""
    lines = [""]
    for part in re.split(r"(?=[+/-])|(?<=:)|(?<= )", name):
        if lines[-1] and (part[:1] == "+" or len(lines[-1] + part) > _COLUMN):
            lines.append("")
        lines[-1] += part
    return Text("\n".join(map(str.strip, lines)), style="bold")


def _table(found: Sequence[Row], names: Sequence[str], shown: slice) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False)
    table.add_column("kernel", no_wrap=True)
    for name in names[shown]:
        table.add_column(_heading(name), overflow="fold")
    for row, section in zip(found, _sections(found), strict=True):
        if section:
            table.add_row(Text(section, style="dim"))
        indent = "  " if row.section else ""
        table.add_row(Text(indent + clean(row.label)), *map(_styled, row.cells[shown]))
    return table


def _styled(cell: Cell) -> Text:
    return Text(clean(cell.marked), style=_STYLES[cell.mood])


def _print_explanations(result: RunResult, console: Console) -> None:
    """What the states of the zero-copy paths mean."""
    found = explanations(result.kernels)
    if found:
        console.print()
        _line(console, "what the states of the zero-copy paths mean:")
    for one in found:
        _line(console, f"- {one.state}: {one.text}: {brief(one.paths)}", indent=2)
    letters = legend(result.kernels)
    if letters:
        _line(console, letters)


def _print_changes(comparison: Comparison, result: RunResult, console: Console) -> None:
    names = " to ".join(side_names(comparison, result.kernels))
    groups = change_groups(comparison, result.kernels)
    console.print()
    obstacle = not_compared(comparison, result.kernels)
    if obstacle:
        _line(console, f"not compared: {obstacle}")
        return
    if not groups:
        _line(console, f"no changes from {names} {_caveat(comparison, result)}".rstrip())
        _print_sequences(comparison, result, console)
        return
    _line(console, f"changes from {names} {_caveat(comparison, result)}".rstrip(), style="bold")
    reproducers = {change.id: change.reproducer for change in comparison.changes}
    for group in groups:
        _line(console, group.headline, indent=2, style="bold red" if group.loss else "")
        for name in group.ids:
            _line(console, name, indent=4)
            _print_reproducer(
                reproducers.get(name), side_names(comparison, result.kernels), console
            )
    _print_sequences(comparison, result, console)


def _print_reproducer(
    reproducer: Reproducer | None, names: tuple[str, str], console: Console
) -> None:
    """The shortest sequence of calls that shows a difference."""
    if reproducer is None:
        return
    for line in told_steps(reproducer, *names):
        _line(console, line, indent=6)
    more = len(reproducer.others) + reproducer.others_left_out
    if more:
        _line(console, f"and {more} more sequences of this sort", indent=6)


def _print_sequences(comparison: Comparison, result: RunResult, console: Console) -> None:
    told = sequences_compared(comparison, result.kernels)
    for line in (*selected_apart(comparison, result.kernels), *([told] if told else [])):
        _line(console, line, indent=2, style="dim")


def _caveat(comparison: Comparison, result: RunResult) -> str:
    """Says which side was not observed whole, so that silence is not taken for sameness."""
    partial = [
        f"{distinct_name(kernel, result.kernels)} {kernel.status.replace('_', ' ')}"
        for kernel in sides(comparison, result.kernels)
        if kernel is not None and kernel.status is not Status.COMPLETED
    ]
    return f"(only what both observed: {', '.join(partial)})" if partial else ""


def _print_reasons(kernel: KernelResult, result: RunResult, console: Console) -> None:
    """Why a kernel is not ok, or unknown; of a baseline it is said that it does not count."""
    if kernel.verdict.ok:
        return
    counts = kernel.status in NOTHING_KNOWN or ran_in_part(kernel)
    baseline = kernel.role is Role.BASELINE and not counts
    name = distinct_name(kernel, result.kernels)
    console.print()
    if baseline:
        title = f"{name}, the baseline, is {_FINDINGS[verdict_word(kernel)]} (does not count):"
    else:
        title = f"{name} is {verdict_word(kernel)}:"
    _line(console, title, style="" if baseline else _verdict_style(kernel))
    for reason in kernel.verdict.reasons:
        _line(console, f"- {reason}", indent=2)
    if not baseline:
        _print_frames(kernel, console)
    if not baseline and kernel.reproduce:
        _line(console, f"again: {kernel.reproduce}", indent=2)


def _verdict_style(kernel: KernelResult) -> str:
    return _STYLES[Mood.DOUBTFUL if is_unknown(kernel) else Mood.BAD]


def _print_frames(kernel: KernelResult, console: Console) -> None:
    """Where in its source a kernel was when it reported something, as far as that is known."""
    events = [event for event in kernel.console_events if event.test]
    told = [f"{event.kind}: {' < '.join(frames(event))}" for event in events if frames(event)]
    for line in list(dict.fromkeys(told))[:_TRACES_SHOWN]:
        _line(console, f"- {line}", indent=4)


def _print_notes(kernel: KernelResult, result: RunResult, console: Console) -> None:
    found = notes(kernel)
    if found:
        console.print()
        _line(console, f"notes on {distinct_name(kernel, result.kernels)}:")
        for note in found:
            _line(console, f"- {note}", indent=2)


def _print_tests(result: RunResult, console: Console) -> None:
    """Every test's outcome, a line each, with its message's first line."""
    for kernel in result.kernels:
        console.print()
        _line(console, f"tests on {distinct_name(kernel, result.kernels)}", style="bold")
        lines = [line for test in kernel.tests for line in _lines(console, _told(test), indent=2)]
        # All at once: one by one they take a second for each thousand.
        console.print(Text("\n".join(lines)), highlight=False, soft_wrap=True)


def _told(test: TestResult) -> str:
    message = test.message.partition("\n")[0]
    return f"{test.outcome:8} {test.seconds:7.3f} s  {test.id}  {message}".rstrip()
