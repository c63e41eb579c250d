"""A kernel's result as cases that pass, fail or are skipped, as CI servers take it.

One case is red for each root cause for which the run fails, and no other: of tests that
failed alike the first one is, and the others name it. What belongs to no test (zero-copy on
33 paths, a report on the console, a change of behaviour) has a case under ``verdict`` or
``changes``, whose name is the same from one run to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from harness.judge.causes import Origin, RootCause, Topic
from harness.judge.exit_code import NOTHING_KNOWN, ran_in_part
from harness.judge.verdict import missing_tests
from harness.model import FAILURES, KernelResult, Outcome, Role, RunResult, TestResult
from harness.report.answer import Answer, answer_of

VERDICT, CHANGES = "verdict", "changes"

#: Cases that are there whether red or not, so that a server can follow them.
_STANDING = {
    Origin.DEATH: "status",
    Origin.ZERO_COPY: "zero_copy",
    Origin.PAGE_CACHE: "page_cache",
    Origin.REPORT: "console",
}
_NOT_RUN = (*FAILURES - {Outcome.FAILED}, Outcome.MISSING)


class Mark(StrEnum):
    """What a case came to."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    ERROR = "error"  # what could not run, or is not known

    @property
    def is_red(self) -> bool:
        """Whether the run fails for it."""
        return self in {Mark.FAILED, Mark.ERROR}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test, or one cause that belongs to none."""

    group: str  # "functional/test_hash.py", "verdict", "changes"
    name: str
    mark: Mark
    kind: str = ""  # "timeout", "missing", "unknown", "regressed", "zero_copy", ...
    message: str = ""  # one line
    text: str = ""  # the same at length
    seconds: float = 0.0
    ids: tuple[str, ...] = ()  # what it is about, of a case that is no test


def cases(kernel: KernelResult, result: RunResult) -> tuple[Case, ...]:
    """All cases of a kernel, one of the run's: the verdict, the tests, what was lost."""
    return tuple(_unlike(_Cases(kernel, result).all()))


def _unlike(found: Iterable[Case]) -> Iterator[Case]:
    """The cases, no two by the same name."""
    seen: Counter[tuple[str, str]] = Counter()
    for case in found:
        seen[case.group, case.name] += 1
        number = seen[case.group, case.name]
        yield case if number == 1 else replace(case, name=f"{case.name} {number}")


@dataclass
class _Carriers:
    """Which test is red for which cause."""

    first: dict[str, RootCause] = field(default_factory=dict)
    further: dict[str, str] = field(default_factory=dict)  # id -> the one that is red for it
    loose: list[RootCause] = field(default_factory=list)  # of no test


class _Cases:
    """Makes the cases of one kernel."""

    def __init__(self, kernel: KernelResult, result: RunResult) -> None:
        self._kernel = kernel
        self._answer: Answer = answer_of(kernel, result)
        self._tests = {test.id: test for test in kernel.tests}
        for name in missing_tests(kernel):
            missing = TestResult(name, Outcome.MISSING, message="planned, never reported")
            self._tests.setdefault(name, missing)
        self._checks = {check.id: check for check in kernel.verdict.checks}
        self._carriers = self._carried()

    def all(self) -> Iterator[Case]:
        found = [*self._verdict(), *map(self._test, self._tests.values())]
        found += [_of_cause(cause) for cause in self._carriers.loose if _is_change(cause)]
        if self._must_be_red() and not any(case.mark.is_red for case in found):
            found.append(self._nothing_but_the_verdict())
        yield from found

    def _carried(self) -> _Carriers:
        carriers = _Carriers()
        told: set[str] = set()
        for cause in self._answer.gating:
            ids = [name for name in cause.ids if name not in told]
            told.update(ids)
            if cause.origin is Origin.DEATH and self._kernel.fatal_test in self._tests:
                ids = [self._kernel.fatal_test]
            elif cause.ids and not ids:
                continue  # told with another cause
            of_tests = [name for name in ids if name in self._tests]
            if not of_tests:
                carriers.loose.append(cause)
                continue
            head, *others = of_tests
            carriers.first.setdefault(head, cause)
            carriers.further |= dict.fromkeys(others, head)
        return carriers

    def _verdict(self) -> Iterator[Case]:
        red = [_of_cause(cause) for cause in self._carriers.loose if not _is_change(cause)]
        yield from red
        for origin, name in _STANDING.items():
            if any(case.name == name for case in red) or not self._is_known(origin):
                continue
            excused = [cause for cause in self._answer.causes if cause.origin is origin]
            excused = [cause for cause in excused if not cause.gates]
            passed = Case(group=VERDICT, name=name, mark=Mark.PASSED)
            yield self._excused(passed, excused[0]) if excused else passed

    def _excused(self, case: Case, cause: RootCause) -> Case:
        message = f"on the baseline, which is not judged: {cause.sentence}"
        return replace(case, mark=Mark.SKIPPED, message=message, text="\n".join(cause.lines))

    def _is_known(self, origin: Origin) -> bool:
        """Whether anything was learnt of what a standing case is about."""
        kernel = self._kernel
        if origin is Origin.ZERO_COPY:
            return bool(kernel.facts.zero_copy)
        if origin is Origin.PAGE_CACHE:
            return kernel.facts.page_cache_write is not None
        return kernel.status not in NOTHING_KNOWN

    def _test(self, test: TestResult) -> Case:
        group, _, name = test.id.partition("::")
        case = Case(
            group=group,
            name=name or group,
            mark=Mark.PASSED,
            seconds=test.seconds,
            text=test.details,
        )
        if not name:
            case = replace(case, group="")
        message = test.message or str(test.outcome)
        if test.id in self._carriers.first:
            return self._red(case, test, self._carriers.first[test.id])
        if test.id in self._carriers.further:
            told = f"{test.outcome}, of the same cause as {self._carriers.further[test.id]}"
            return replace(case, mark=Mark.SKIPPED, kind="same cause", message=f"{told}: {message}")
        if test.outcome is Outcome.PASSED:
            return replace(case, text="")
        if test.outcome is Outcome.SKIPPED:
            return replace(case, mark=Mark.SKIPPED, message=message)
        check = self._checks.get(test.id)
        if check is not None and check.met:
            told = f"known, {test.outcome}: {check.explanation or message}"
        elif self._kernel.role is Role.BASELINE:
            told = f"on the baseline, which is not judged: {test.outcome}: {message}"
        else:
            told = f"{test.outcome}: {message}"
        return replace(case, mark=Mark.SKIPPED, message=told)

    def _red(self, case: Case, test: TestResult, cause: RootCause) -> Case:
        mark = Mark.ERROR if test.outcome in _NOT_RUN or cause.unknown else Mark.FAILED
        kind = str(cause.cls or test.outcome)
        sentence = cause.sentence
        if test.message and len(cause.ids) == 1 and not _is_change(cause):
            sentence = f"{test.outcome}: {test.message}" if mark is Mark.ERROR else test.message
        text = _joined(sentence, *_told_lines(cause), test.message, test.details)
        return replace(case, mark=mark, kind=kind, message=sentence, text=text)

    def _must_be_red(self) -> bool:
        kernel = self._kernel
        if kernel.role is Role.BASELINE:
            return kernel.status in NOTHING_KNOWN or ran_in_part(kernel)
        return not kernel.verdict.ok

    def _nothing_but_the_verdict(self) -> Case:
        reasons = self._kernel.verdict.reasons
        return Case(
            group=VERDICT,
            name=VERDICT,
            mark=Mark.ERROR if self._kernel.verdict.unknown else Mark.FAILED,
            kind=VERDICT,
            message=reasons[0] if reasons else str(self._answer.word),
            text="\n".join(reasons),
        )


def _is_change(cause: RootCause) -> bool:
    return cause.topic is Topic.CHANGES


def _told_lines(cause: RootCause) -> tuple[str, ...]:
    """What was seen of each id; nothing that the sentence has said."""
    return cause.lines if len(cause.ids) > 1 else ()


def _joined(*parts: str) -> str:
    return "\n".join(dict.fromkeys(part for part in parts if part))


def _of_cause(cause: RootCause) -> Case:
    """A cause that is about no test."""
    first = cause.ids[0] if cause.ids else str(cause.origin)
    is_error = cause.unknown or cause.origin in {Origin.DEATH, Origin.NOT_RUN}
    kind = "unknown" if cause.unknown else str(cause.cls or cause.origin)
    return Case(
        group=CHANGES if _is_change(cause) else VERDICT,
        name=first if _is_change(cause) else _STANDING.get(cause.origin, first),
        mark=Mark.ERROR if is_error else Mark.FAILED,
        kind=kind,
        message=cause.sentence,
        text=_joined(cause.sentence, *cause.lines),
        ids=cause.ids,
    )
