"""checklist.md: a run as an item of a release checklist, for whoever lets a kernel package out.

It says what was judged, which is the kernel of some packages and no installed system, what it
was held against, each point that a release waits for, and which layer of the kernel blocks
what of AF_ALG.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.judge.defects import defects
from harness.judge.findings import listed
from harness.judge.layers import Layer, barriers
from harness.model import Boot, KernelResult, Role, RunResult, Status
from harness.report.answer import Answer, Word, answers
from harness.report.markup import code, fenced, plain
from harness.report.options import ReportOptions
from harness.report.overview import is_unknown
from harness.report.screen import changes_in_words, tests_in_words, zero_copy_in_words
from harness.report.screen import pieces as screen_pieces

FILE_NAME = "checklist.md"
_MARKS = {True: "x", False: " ", None: "?"}
_LAST_GOOD = "--baseline last-good"  # of a run's command
_PAGE_CACHE = {"safe": True, "WRITABLE": False}
_NAMED = 12  # CVEs that an item lists


@dataclass(frozen=True)
class Item:
    """One point of the list."""

    holds: bool | None  # None: it is not known
    what: str
    seen: str

    def line(self) -> str:
        """``- [x] what: seen``; an open box is one that does not hold, ``[?]`` is not known."""
        return f"- [{_MARKS[self.holds]}] {self.what}: {plain(self.seen)}"


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """The checklist of each candidate, as Markdown that reads well as plain text, too."""
    for kernel, answer in zip(result.kernels, answers(result), strict=True):
        if kernel.role is Role.CANDIDATE:
            yield "\n".join([*_lines(kernel, answer, result), ""])
    yield "\n## The answer\n\n"
    screen = "".join(screen_pieces(result, options)).rstrip().splitlines()
    yield "".join(f"{line}\n" for line in fenced(screen, len(screen)))


def _lines(kernel: KernelResult, answer: Answer, result: RunResult) -> Iterator[str]:
    yield f"# Release checklist, AF_ALG: {plain(answer.name)} is {answer.word}"
    yield ""
    run = f"run {result.id} of {result.started}" if result.id else f"run of {result.started}"
    yield f"exit code {int(answer.exit_code)}; {plain(run)}"
    yield ""
    yield "## What is judged"
    yield ""
    yield from _judged(kernel)
    yield from _against(answer, result)
    yield ""
    yield "## The list"
    yield ""
    yield from (item.line() for item in items(kernel, answer))
    yield from _because(answer)
    yield ""
    yield "## Which layer blocks what"
    yield ""
    yield from _layers(kernel)


def _judged(kernel: KernelResult) -> Iterator[str]:
    if kernel.packages:
        yield "The kernel of these packages, as built, and no installed system:"
        yield ""
        for package in kernel.packages:
            told = f"{package.name} {package.version}"
            yield f"- {plain(told)} (sha256 {code(package.sha256)}, {plain(package.trust)})"
        yield ""
    else:
        yield f"The kernel {plain(kernel.exact or kernel.spec)}, as built, and no installed system."
        yield ""
    yield "It was booted in a VM with a minimal root. What an installed system may add is not"
    yield "judged: modprobe.d, sysctl.d, the boot loader's arguments, other packages. They can"
    yield "block more of AF_ALG than is told here, or open what the kernel's policy blocks."
    if kernel.append:
        yield f"Arguments added to its command line: {code(' '.join(kernel.append))}."


def _against(answer: Answer, result: RunResult) -> Iterator[str]:
    baseline = next((one for one in result.kernels if one.role is Role.BASELINE), None)
    if baseline is None:
        yield "It was compared with nothing."
        return
    last = ", the last good one of its lineage in the store" if _LAST_GOOD in result.command else ""
    good = "" if baseline.verdict.ok else ", which is not as a candidate must be itself"
    if is_unknown(baseline):
        good = ", of which nothing certain is known"
    yield f"It was compared with {plain(answer.against)}{last}{good}."


def items(kernel: KernelResult, answer: Answer) -> Iterator[Item]:
    """What a release waits for, each with what was seen of it."""
    yield _ran(kernel, answer)
    yield Item(
        {"gone": True, "present": False}.get(answer.zero_copy.word),
        "zero-copy input is gone",
        zero_copy_in_words(answer.zero_copy, answer.baseline_zero_copy) or answer.zero_copy.word,
    )
    yield Item(
        _PAGE_CACHE.get(answer.page_cache.word),
        "the page cache cannot be written through a request",
        answer.page_cache.why
        if answer.page_cache.word in _PAGE_CACHE
        else f"{answer.page_cache.word}: {answer.page_cache.why}",
    )
    yield _holes(kernel)
    yield _tests(answer)
    yield _lost(answer)
    if answer.programs.work or answer.programs.fail or answer.programs.restricted:
        yield _programs(answer)


def _ran(kernel: KernelResult, answer: Answer) -> Item:
    what = "it boots, and all that was planned ran"
    ran = len(kernel.plan) - answer.tests.missing
    seen = f"{ran:,} of {len(kernel.plan):,} tests in {_boots(kernel.boots)}"
    if kernel.status is Status.COMPLETED and kernel.plan:
        return Item(not answer.tests.missing, what, seen)
    why = f"{kernel.status.replace('_', ' ')}: {kernel.status_reason}".rstrip(": ")
    unknown = answer.word in (Word.UNKNOWN, Word.INTERRUPTED)
    return Item(None if unknown else False, what, why)


def _boots(boots: tuple[Boot, ...]) -> str:
    return "1 boot" if len(boots) == 1 else f"{len(boots)} boots"


def _holes(kernel: KernelResult) -> Item:
    found = defects(kernel)
    what = "no known hole of AF_ALG shows"
    closed = f"{len(found.not_seen)} were provoked and did not show"
    if found.unprovoked:
        closed += f"; {len(found.unprovoked)} could not be provoked"
    if found.seen:
        return Item(False, what, f"{listed(found.seen, _NAMED)} did; {closed}")
    if not found.not_seen:
        return Item(None, what, "none was provoked")
    return Item(True, what, closed)


def _tests(answer: Answer) -> Item:
    tests = answer.tests
    what = "every test passes, and the kernel reports nothing"
    if not tests.outcomes:
        return Item(None, what, "none ran")
    seen = tests_in_words(tests)
    if tests.failed or tests.splats or (tests.gained and answer.word is Word.NOT_OK):
        return Item(False, what, seen)
    # Of what never ran, and of a kernel that was not asked at the end, nothing is known.
    whole = tests.passed and not tests.missing and tests.taint is not None
    return Item(True if whole else None, what, seen)


def _lost(answer: Answer) -> Item:
    what = (
        f"nothing is lost against {plain(answer.against)}"
        if answer.against
        else ("nothing is lost against the last good one")
    )
    if answer.changes is None:
        seen = "it could not be compared" if answer.against else "there was none to compare with"
        return Item(None, what, seen)
    if answer.changes.obstacle:
        return Item(None, what, f"not compared: {answer.changes.obstacle}")
    return Item(not answer.changes.lost, what, changes_in_words(answer.changes))


def _programs(answer: Answer) -> Item:
    programs = answer.programs
    what = "programs that use AF_ALG do their work, as booted or once the policy is opened"
    seen = f"{programs.work} do as booted"
    if programs.restricted:
        seen += f", {programs.restricted} at af_alg_restrict=0 only"
    if programs.fail:
        seen += f", {programs.fail} do not ({listed(programs.failing)})"
    return Item(not programs.fail, what, seen)


def _because(answer: Answer) -> Iterator[str]:
    if answer.gating:
        yield ""
        yield f"{answer.word} because:"
        yield ""
        yield from (f"- {plain(cause.sentence)}" for cause in answer.gating)


def _layers(kernel: KernelResult) -> Iterator[str]:
    """A line for each barrier, and for each layer that blocks nothing."""
    found = barriers(kernel)
    for layer in Layer:
        of_layer = [barrier for barrier in found if barrier.layer is layer]
        for barrier in of_layer:
            yield f"- {layer}, {plain(barrier.by)}: {plain(barrier.what)}"
        if not of_layer:
            yield f"- {layer}: {_nothing(layer, kernel)}"


def _nothing(layer: Layer, kernel: KernelResult) -> str:
    if kernel.identity is None:
        return "not known, it never ran"
    match layer:
        case Layer.CONFIG:
            return "blocks nothing that was tried" if kernel.config else "its config is not known"
        case Layer.POLICY:
            level = kernel.facts.af_alg_restrict
            return "there is no af_alg_restrict" if level is None else "af_alg_restrict=0 as booted"
        case Layer.BOOT:
            return "none that concerns AF_ALG"
