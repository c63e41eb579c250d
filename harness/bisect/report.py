"""What a bisect tells at its end: a summary for the terminal, and bisect.md."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.bisect.ends import Ends
from harness.bisect.search import described
from harness.bisect.state import Step

_ENTRIES_SHOWN = 12  # lines of a changelog on the terminal


@dataclass(frozen=True)
class Conclusion:
    """The result in words, whatever was searched."""

    question: str
    names: tuple[str, str]  # the user's words for the older end and the newer one
    ends: Ends
    old: Step
    new: Step
    last_old: str = ""  # spec, "" if nothing was found
    first_new: tuple[str, ...] = ()  # specs, or commits; several if some could not be tested
    details: tuple[str, ...] = ()  # of the commit, or of the changelog between the two
    short_details: tuple[str, ...] = ()  # the same for the terminal
    suites: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # further words of the commands that reproduce the ends
    noun: str = "kernel"
    log: str = field(default="")  # git bisect log

    @property
    def is_found(self) -> bool:
        """Whether one kernel or commit was named."""
        return len(self.first_new) == 1


def answer(conclusion: Conclusion) -> list[str]:
    """The answer in one to three lines."""
    names = conclusion.names
    old, new, noun = conclusion.old, conclusion.new, conclusion.noun
    if not conclusion.first_new:
        unjudged = [step for step in (old, new) if not step.value]
        if unjudged:
            told = [f"{step.spec} cannot be judged: {step.reason}" for step in unjudged]
            return [*told, "with --fresh the same command tries again"]
        return [
            f"the ends do not differ: {old.spec} is {old.value}, {new.spec} is {new.value}",
            "nothing was searched",
        ]
    if conclusion.is_found:
        lines = [f"first {names[1]} {noun}: {conclusion.first_new[0]}"]
    else:
        lines = [
            f"the first {names[1]} {noun} is one of {len(conclusion.first_new)}, for the others"
            f" could not be tested: {', '.join(conclusion.first_new)}"
        ]
    if conclusion.last_old:
        lines.append(f"last {names[0]} {noun}: {conclusion.last_old}")
    change = f"{conclusion.ends.old} -> {conclusion.ends.new}"
    lines.append(f"{conclusion.question}: {change}")
    return lines


def reproduce(conclusion: Conclusion) -> list[str]:
    """The commands that show each side of the change again."""
    specs = [conclusion.last_old or conclusion.old.spec, *conclusion.first_new[-1:]]
    if conclusion.noun == "commit":
        specs = [conclusion.old.spec, conclusion.new.spec]
    words = [word for suite in conclusion.suites for word in ("--suite", suite)]
    return [
        shlex.join(["afalg-harness", "run", spec, *words, *conclusion.options])
        for spec in dict.fromkeys(specs)
    ]


def terminal_lines(conclusion: Conclusion, steps: Sequence[Step], *, whole: bool = False) -> str:
    """The summary for the terminal; ``whole`` has all that is known to be between the two."""
    lines = [*answer(conclusion), ""]
    if whole and conclusion.details:
        lines += [*conclusion.details, ""]
    elif conclusion.short_details:
        lines += [*conclusion.short_details[:_ENTRIES_SHOWN]]
        left = len(conclusion.short_details) - _ENTRIES_SHOWN
        lines += [f"  and {left} more lines (bisect.md has all)"] if left > 0 else []
        lines.append("")
    tested = sum(bool(step.runs) for step in steps)
    boots = sum(len(step.runs) for step in steps)
    skipped = sum(not step.value for step in steps)
    lines.append(f"{tested} tested with {boots} boots, {skipped} skipped; again:")
    lines += [f"  {command}" for command in reproduce(conclusion)]
    return "\n".join(lines)


def markdown(conclusion: Conclusion, steps: Sequence[Step]) -> str:
    """The content of bisect.md."""
    lines = [f"# Bisect of {conclusion.question}", ""]
    lines += [f"- {line}" for line in answer(conclusion)]
    lines += ["", "## Steps", "", "| kernel | release | seen | seconds | runs |", "|-|-|-|-|-|"]
    for step in steps:
        seen = described(step).replace("|", "\\|").replace("\n", " ")
        runs = ", ".join(f"[{run}]({run})" for run in step.runs)
        lines.append(f"| {step.spec} | {step.release} | {seen} | {step.seconds:.0f} | {runs} |")
    lines += ["", "## Again", "", "```", *reproduce(conclusion), "```"]
    if conclusion.details:
        lines += ["", f"## What is between the two {conclusion.noun}s", "", "```"]
        lines += [*conclusion.details, "```"]
    if conclusion.log:
        lines += ["", "## git bisect log", "", "```", conclusion.log.rstrip(), "```"]
    return "\n".join(lines) + "\n"
