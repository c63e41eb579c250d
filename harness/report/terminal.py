"""The verdict on the terminal: a column per kernel, then what changed, then why not ok."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.judge.exit_code import NOTHING_KNOWN, ran_in_part
from harness.model import Comparison, KernelResult, Reproducer, Role, RunResult, Status
from harness.report.overview import (
    Mood,
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
_IDS_SHOWN = 5  # of a group of changes that is no loss
_REASONS_SHOWN = 12
_TRACES_SHOWN = 3
_BASELINE_REASONS = 1
_ELSEWHERE = "(summary.md has all)"
_COLUMN = 12  # characters of a kernel's column if there are four


def print_verdict(result: RunResult, console: Console, run_dir: Path | None) -> None:
    """Print the verdict of a run; ``run_dir`` is where its files are, None if nowhere.

    Colour and wrapping are for terminals only; elsewhere every item is one plain line.
    """
    _line(console, _host(result), style="dim")
    console.print(_table(result))
    _print_explanations(result, console)
    for comparison in result.comparisons:
        _print_changes(comparison, result, console, cut=run_dir is not None)
    for kernel in result.kernels:
        _print_reasons(kernel, result, console, cut=run_dir is not None)
    for kernel in result.kernels:
        _print_notes(kernel, result, console)
    console.print()
    if run_dir is not None:
        _line(console, f"run directory: {run_dir}")
    style = "bold green" if result.exit_code == 0 else "bold red"
    _line(console, exit_sentence(result), style=style)


def _host(result: RunResult) -> str:
    host = result.host
    reason = f" ({host.accel_reason})" if host.accel_reason else ""
    return f"accelerator: {host.accel or 'none'}{reason}; QEMU {host.qemu}, vng {host.vng}"


def _line(console: Console, text: str, indent: int = 0, style: str = "") -> None:
    """One item; on a terminal it wraps below its own beginning, elsewhere it never wraps."""
    lines = [" " * indent + clean(text)]
    if console.is_terminal:
        lines = textwrap.wrap(
            lines[0],
            console.width,
            subsequent_indent=" " * (indent + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    for line in lines:
        console.print(Text(line, style=style), highlight=False, soft_wrap=True)


def _heading(kernel: KernelResult) -> Text:
    """The kernel's name, broken where people read it apart: four kernels fit in 80 columns."""
    lines = [""]
    for part in re.split(r"(?=[+/-])|(?<=:)|(?<= )", clean(name_of(kernel))):
        if lines[-1] and (part[:1] == "+" or len(lines[-1] + part) > _COLUMN):
            lines.append("")
        lines[-1] += part
    return Text("\n".join(map(str.strip, lines)), style="bold")


def _table(result: RunResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False)
    table.add_column("kernel", no_wrap=True)
    for kernel in result.kernels:
        table.add_column(_heading(kernel), overflow="fold")
    section = ""
    for row in rows(result):
        if row.section != section:
            section = row.section
            if section:
                table.add_row(Text(section, style="dim"))
        indent = "  " if row.section else ""
        cells = [Text(clean(cell.marked), style=_STYLES[cell.mood]) for cell in row.cells]
        table.add_row(Text(indent + clean(row.label)), *cells)
    return table


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


def _print_changes(comparison: Comparison, result: RunResult, console: Console, cut: bool) -> None:
    """What changed; ``cut`` long lists if a report on file has them whole."""
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
        shown = group.ids[:_IDS_SHOWN] if cut and not group.loss else group.ids
        for name in shown:
            _line(console, name, indent=4)
            _print_reproducer(
                reproducers.get(name), side_names(comparison, result.kernels), console
            )
        if len(shown) < len(group.ids):
            _line(console, f"and {len(group.ids) - len(shown)} more {_ELSEWHERE}", indent=4)
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


def _print_reasons(kernel: KernelResult, result: RunResult, console: Console, cut: bool) -> None:
    """Why a kernel is not ok, or unknown; of a baseline in short, since it does not count."""
    if kernel.verdict.ok:
        return
    counts = kernel.status in NOTHING_KNOWN or ran_in_part(kernel)
    baseline = kernel.role is Role.BASELINE and not counts
    reasons = kernel.verdict.reasons
    name = distinct_name(kernel, result.kernels)
    console.print()
    if baseline:
        title = f"{name}, the baseline, is {_FINDINGS[verdict_word(kernel)]} (does not count):"
        reasons = reasons[:_BASELINE_REASONS] if cut else reasons
    else:
        reasons = reasons[:_REASONS_SHOWN] if cut else reasons
        title = f"{name} is {verdict_word(kernel)}:"
    _line(console, title, style="" if baseline else _verdict_style(kernel))
    for reason in reasons:
        _line(console, f"- {reason}", indent=2)
    hidden = len(kernel.verdict.reasons) - len(reasons)
    if hidden:
        _line(console, f"- and {hidden} more {_ELSEWHERE}", indent=2)
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


def print_tests(result: RunResult, console: Console) -> None:
    """Print every test's outcome, a line each, with its message's first line (``-v``)."""
    for kernel in result.kernels:
        name = clean(distinct_name(kernel, result.kernels))
        console.print(Text(f"\ntests on {name}", style="bold"), highlight=False)
        for test in kernel.tests:
            message = test.message.partition("\n")[0]
            line = f"  {test.outcome:8} {test.seconds:7.3f} s  {test.id}  {message}".rstrip()
            console.print(clean(line), markup=False, highlight=False, soft_wrap=True)
