"""What NIPA, the CI of netdev, takes: an exit code of its own, and checks for patchwork."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import IntEnum

from harness.model import KernelResult, Outcome, Role, RunResult
from harness.report.answer import Answer, Word, answer_of
from harness.report.options import ReportOptions, called
from harness.text import short

#: Patchwork's column, and its slug of a context.
_DESCRIPTION = 255
_CONTEXT = 200
_NOT_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


class NipaExit(IntEnum):
    """Exit codes as NIPA's executor reads them; anything else is a failure."""

    PASS = 0
    FAIL = 1
    SKIP = 4
    WARN = 5


#: State of a check in patchwork.
_STATES = {
    NipaExit.PASS: "success",
    NipaExit.WARN: "warning",
    NipaExit.SKIP: "warning",
    NipaExit.FAIL: "fail",
}


def nipa_exit(result: RunResult) -> NipaExit:
    """What the run comes to for NIPA: the worst of its candidates."""
    found = [
        _of(answer_of(kernel, result), kernel)
        for kernel in result.kernels
        if kernel.role is Role.CANDIDATE
    ]
    order = (NipaExit.FAIL, NipaExit.WARN, NipaExit.SKIP, NipaExit.PASS)
    return next((code for code in order if code in found), NipaExit.SKIP)


def _of(answer: Answer, kernel: KernelResult) -> NipaExit:
    if answer.word is Word.NOT_OK:
        return NipaExit.FAIL
    ran = any(test.outcome not in {Outcome.SKIPPED, Outcome.MISSING} for test in kernel.tests)
    if not ran:
        return NipaExit.SKIP
    # Nothing speaks against it, but something was not seen, or not the same each time.
    if answer.word is not Word.OK or answer.tests.flaky:
        return NipaExit.WARN
    return NipaExit.PASS


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """A check for each candidate, as patchwork's API takes it."""
    checks = []
    for kernel in result.kernels:
        if kernel.role is not Role.CANDIDATE:
            continue
        answer = answer_of(kernel, result)
        name = called(kernel, result.kernels, options)
        check = {
            "state": _STATES[_of(answer, kernel)],
            "description": short(_described(answer), _DESCRIPTION),
            "context": f"afalg-{_NOT_SLUG.sub('-', name)}"[:_CONTEXT],
        }
        if options.url:
            check["target_url"] = options.url
        checks.append(check)
    yield json.dumps(checks, indent=1) + "\n"


def _described(answer: Answer) -> str:
    if answer.gating:
        more = f" (and {len(answer.gating) - 1} more)" if len(answer.gating) > 1 else ""
        return f"{answer.word}: {answer.gating[0].sentence}{more}"
    tests = answer.tests
    return (
        f"{answer.word}: zero-copy {answer.zero_copy.word}, page cache {answer.page_cache.word},"
        f" {tests.passed} passed, {tests.failed} failed, {tests.skipped} skipped"
    )
