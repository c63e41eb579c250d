"""report.eml: the run as a mail to a kernel mailing list: plain text, 72 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from email.message import EmailMessage

from harness.judge.findings import listed
from harness.model import KernelResult, Role, RunResult
from harness.report.answer import Word, answers, sentence
from harness.report.options import ReportOptions, called
from harness.report.shared import SharedCause, seen, shared_causes
from harness.text import clean, short

COLUMNS = 72
_SENTENCE = 400
_LINES = 5  # of what was seen of one cause
_LINE = 300  # characters of each
_CAUSES = 20
_KERNELS = 100
_NAMES = 6
_HASH = re.compile(r"\b[0-9a-f]{40}\b")


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """``result`` as a mail without sender and recipient, for git send-email or a mail client.

    Where a bisect named what introduced it, a paragraph tells regzbot, the tracker of the
    kernel's regressions.
    """
    kind = "[REGRESSION] " if options.introduced else ""
    mail = EmailMessage()
    mail["Subject"] = _ascii(f"{kind}AF_ALG: {short(sentence(result), 160)}")
    mail.set_content("\n".join(_Body(result, options).lines()) + "\n", charset="us-ascii")
    yield mail.as_string()


def _ascii(text: str) -> str:
    """Lists take plain text, and not all who read them have fonts."""
    return clean(text).encode("ascii", "replace").decode()


def wrapped(text: str, first: str = "", further: str | None = None) -> list[str]:
    """``text`` in lines of at most COLUMNS characters."""
    return textwrap.wrap(
        _ascii(text),
        COLUMNS,
        initial_indent=first,
        subsequent_indent=" " * len(first) if further is None else further,
        break_on_hyphens=False,
    )


def _command(words: str) -> list[str]:
    """A command to copy, broken where a shell takes it."""
    lines, line = [], "  "
    for word in re.split(r"\s+", _ascii(words)):
        if len(line) + len(word) + 2 > COLUMNS and line.strip():
            lines.append(f"{line}\\")
            line = "      "
        line += f"{word} "
    broken = [one for whole in (*lines, line.rstrip()) for one in _pieces_of(whole)]
    return broken


def _pieces_of(line: str) -> list[str]:
    """A word longer than a line, in pieces that a shell joins again."""
    found = []
    while len(line) > COLUMNS:
        found.append(f"{line[: COLUMNS - 1]}\\")
        line = line[COLUMNS - 1 :]
    return [*found, line]


class _Body:
    """The text of the mail."""

    def __init__(self, result: RunResult, options: ReportOptions) -> None:
        self._result = result
        self._options = options
        self._told = list(zip(result.kernels, answers(result), strict=True))

    def _name(self, kernel: KernelResult) -> str:
        return short(called(kernel, self._result.kernels, self._options), 100)

    def lines(self) -> Iterator[str]:
        yield from wrapped(f"Result of the AF_ALG tests: {short(sentence(self._result), 400)}.")
        yield ""
        yield from self._table()
        named = ((self._name(kernel), answer) for kernel, answer in self._told)
        causes = shared_causes(named)
        for shared in causes[:_CAUSES]:
            yield ""
            yield from self._cause(shared)
        if len(causes) > _CAUSES:
            yield ""
            yield f"- and {len(causes) - _CAUSES} more causes"
        yield from self._changes()
        yield from self._again()
        if self._options.url:
            yield ""
            yield f"Reports: {_ascii(self._options.url)}"[:990]
        if self._options.introduced:
            yield ""
            yield f"#regzbot introduced: {_introduced(self._options.introduced)}"

    def _table(self) -> Iterator[str]:
        for kernel, answer in self._told[:_KERNELS]:
            tests = answer.tests
            told = "; ".join(
                (
                    f"zero-copy {answer.zero_copy.word}",
                    f"page cache {answer.page_cache.word}",
                    f"{tests.passed} passed, {tests.failed} failed, {tests.skipped} skipped",
                    *([f"{answer.changes.lost} lost"] if answer.changes is not None else []),
                )
            )
            word = "baseline" if answer.word is Word.BASELINE else str(answer.word)
            yield from wrapped(f"{word}: {self._name(kernel)}", "  ")
            yield from wrapped(told, "      ")
        if len(self._told) > _KERNELS:
            yield f"  and {len(self._told) - _KERNELS} more"

    def _cause(self, shared: SharedCause) -> Iterator[str]:
        word = "not known" if shared.cause.unknown else "seen"
        yield from wrapped(f"{short(shared.cause.sentence, _SENTENCE)}", "- ")
        if len(self._told) > 2:
            yield from wrapped(f"{word} on {listed(shared.names, _NAMES)}", "  ")
        told = seen(shared.cause)
        for line in told[:_LINES]:
            yield from wrapped(short(line, _LINE), "    ", "      ")
        if len(told) > _LINES:
            yield f"    and {len(told) - _LINES} more"

    def _changes(self) -> Iterator[str]:
        """What came with it; only where it is about one kernel."""
        candidates = [one for one in self._told if one[0].role is Role.CANDIDATE]
        if len(candidates) != 1:
            return
        answer = candidates[0][1]
        told = [cause for cause in answer.change_causes if not cause.gates]
        if not told:
            return
        yield ""
        yield from wrapped(f"Other changes from {short(answer.against, 100)}:")
        yield ""
        for cause in told[:_CAUSES]:
            count = f" ({cause.count})" if cause.count > 1 else ""
            word = str(cause.cls).replace("_", " ")
            yield from wrapped(f"{word}: {short(cause.sentence, _SENTENCE)}{count}", "- ")
        if len(told) > _CAUSES:
            yield f"- and {len(told) - _CAUSES} more"

    def _again(self) -> Iterator[str]:
        names = [kernel for kernel, answer in self._told if answer.gating and kernel.reproduce]
        if not names:
            return
        yield ""
        yield "To see it again:"
        yield ""
        for kernel in names[:3]:
            yield from _command(short(kernel.reproduce, 2000))


def _introduced(named: str) -> str:
    """One commit whole, two of a range shortened: the line must not be broken."""
    text = short(_ascii(named), 200)
    return text if ".." not in text else _HASH.sub(lambda found: found[0][:12], text)
