"""What happened to a kernel, grouped by what it comes from: one root cause instead of 33 lines.

Reasons of a verdict, skipped tests and changes are grouped by the fact, the defect, the report
of the kernel, the sysctl or the option that they share. Nothing is left out: what shares
nothing with anything is a cause of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.judge.exit_code import NOTHING_KNOWN, compared_candidate, losses, ran_in_part
from harness.judge.facts import Section, Weight, kind_of
from harness.judge.findings import first_line, listed, said
from harness.judge.known_changes import change_behind
from harness.judge.splats import boots_of
from harness.judge.states import told_state, why_unknown
from harness.model import (
    FAILURES,
    Cause,
    Change,
    ChangeClass,
    Comparison,
    Ground,
    KernelResult,
    Outcome,
    Reason,
    Role,
    State,
    TestResult,
)

PAGE_CACHE = "page_cache_write"
COPY_FAIL = "CVE-2026-31431"


class Topic(StrEnum):
    """What a root cause accounts for."""

    VERDICT = "verdict"  # reasons for which a kernel is not ok, or unknown
    SKIPS = "skips"  # tests that could not be run
    CHANGES = "changes"  # differences from the baseline


class Origin(StrEnum):
    """The sort of a root cause; of reasons, what matters most stands first."""

    DEATH = "death"  # the kernel died, fell silent or does not boot
    NOT_RUN = "not_run"  # planned tests are missing, or nothing ran at all
    PAGE_CACHE = "page_cache"  # Copy Fail
    ZERO_COPY = "zero_copy"  # paths share pages, or are not told
    REPORT = "report"  # what the kernel said on its console, or a taint
    DEFECT = "defect"  # a known one, by its CVE
    TEST = "test"  # a test that failed, of no known defect
    EXPECTATION = "expectation"  # any other that was not met
    POLICY = "policy"  # af_alg_restrict and its allowlists
    CONFIG = "config"  # what the kernel was built without
    KNOWN_CHANGE = "known_change"  # of the kernel, on purpose
    ALGORITHM = "algorithm"  # a name that cannot be bound
    HOST = "host"  # the guest or the harness lacks something
    BEHAVIOUR = "behaviour"  # another answer to the same calls, or another fact
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class RootCause:
    """What several tests, facts or changes come from."""

    topic: Topic
    origin: Origin
    #: One line, complete in itself: "zero-copy present on 33 of 33 paths".
    sentence: str
    why: str  # the same without the number of tests, where the number is told beside it
    #: Test ids, full names of facts, or ids of changes or checks, in their order, none twice.
    ids: tuple[str, ...]
    #: What was seen of each, a line for each id, in the same order.
    lines: tuple[str, ...] = ()
    gates: bool = False  # the run fails for it
    unknown: bool = False  # it is a want of knowledge that is not the kernel's fault
    cls: ChangeClass | None = None  # of changes

    @property
    def count(self) -> int:
        """How many tests, facts or changes it accounts for."""
        return len(self.ids)


def verdict_causes(kernel: KernelResult) -> tuple[RootCause, ...]:
    """Why a kernel is not ok, or unknown; () if it is ok.

    Those of a candidate gate the run; of a baseline only what kept it from running whole.
    """
    verdict = kernel.verdict
    grounds = verdict.grounds or tuple(map(Ground, verdict.reasons))
    found = _VerdictCauses(kernel).of(grounds)
    return tuple(sorted(found, key=lambda cause: _ORIGINS.index(cause.origin)))


_ORIGINS = list(Origin)


@dataclass(frozen=True)
class _Group:
    """By what grounds are alike."""

    origin: Origin
    key: str


class _VerdictCauses:
    """Groups the grounds of one verdict."""

    def __init__(self, kernel: KernelResult) -> None:
        self._kernel = kernel
        self._facts = kernel.facts.named()
        self._tests = {test.id: test for test in kernel.tests}
        self._checks = {check.id: check for check in kernel.verdict.checks}
        self._in_part = kernel.status in NOTHING_KNOWN or ran_in_part(kernel)
        self._died_in = {boot.fatal_test for boot in boots_of(kernel) if boot.died}

    def of(self, grounds: Sequence[Ground]) -> Iterator[RootCause]:
        groups: dict[_Group, list[Ground]] = {}
        for ground in grounds:
            for part in self._parts(ground):
                groups.setdefault(self._group(part), []).append(part)
        for group, parts in self._with_taint(groups).items():
            ids = _unique(name for part in parts for name in part.ids)
            sentence = self._sentence(group, parts, ids)
            yield RootCause(
                topic=Topic.VERDICT,
                origin=group.origin,
                sentence=sentence,
                why=sentence,
                ids=ids,
                lines=tuple(map(self._line, ids)),
                gates=self._kernel.role is Role.CANDIDATE
                or (self._in_part and group.origin in {Origin.DEATH, Origin.NOT_RUN}),
                unknown=all(part.unknown for part in parts),
            )

    def _parts(self, ground: Ground) -> Iterator[Ground]:
        """Failed tests that were told together may have failed for other reasons."""
        several = [name for name in ground.ids if name in self._tests]
        if len(several) == len(ground.ids) and all(map(self._has_failed, several)) and several:
            for name in several:
                yield Ground(ground.sentence, (name,), ground.unknown)
        else:
            yield ground

    def _has_failed(self, name: str) -> bool:
        return self._tests[name].outcome in FAILURES

    def _group(self, ground: Ground) -> _Group:
        name = ground.ids[0] if ground.ids else ""
        check = self._checks.get(name)
        if check is not None and check.explicit:
            return _Group(Origin.EXPECTATION, ground.sentence)
        if name == PAGE_CACHE:
            return _Group(Origin.PAGE_CACHE, told_state(name, self._facts.get(name)))
        if name in self._facts:
            state = told_state(name, self._facts[name])
            if kind_of(name).section is Section.ZERO_COPY:
                return _Group(Origin.ZERO_COPY, f"{state} {ground.unknown}")
            return _Group(Origin.EXPECTATION, name)
        if name in self._tests and self._has_failed(name):
            return self._of_test(self._tests[name])
        if name.startswith(("console.", "taint.")):
            return _Group(Origin.REPORT, name)
        if name == "status":
            died = bool(self._died_in) or "does not boot" in ground.sentence
            return _Group(Origin.DEATH if died else Origin.NOT_RUN, ground.sentence)
        missing = name == "plan" or name in self._tests or name in self._kernel.plan
        return _Group(Origin.NOT_RUN if missing else Origin.OTHER, ground.sentence)

    def _of_test(self, test: TestResult) -> _Group:
        if test.defect is not None and (test.defect.cve or test.defect.fix):
            return _Group(Origin.DEFECT, test.defect.cve or test.defect.fix)
        return _Group(Origin.TEST, f"{test.outcome} {said(test.message) or test.id}")

    def _with_taint(self, groups: dict[_Group, list[Ground]]) -> dict[_Group, list[Ground]]:
        """A taint is told with the report that it came with."""
        found: dict[_Group, list[Ground]] = {}
        for group, parts in groups.items():
            kind = _TAINTED_BY.get(group.key)
            report = next(
                (one for one in groups if kind and one.key.startswith(f"console.{kind}.")), group
            )
            found.setdefault(report, []).extend(parts)
        return found

    def _sentence(self, group: _Group, parts: Sequence[Ground], ids: Sequence[str]) -> str:
        if group.origin is Origin.ZERO_COPY:
            return self._of_paths(ids)
        if group.origin is Origin.PAGE_CACHE:
            fact = self._facts[PAGE_CACHE]
            if told_state(PAGE_CACHE, fact) is State.PRESENT:
                return f"the page cache can be written through a request ({COPY_FAIL})"
            return f"not known whether the page cache is safe ({COPY_FAIL}): {why_unknown(fact)}"
        if group.origin is Origin.DEFECT:
            return self._of_defect(group.key, ids)
        is_of_many = not parts[0].sentence.startswith(tuple(ids))
        if group.origin is Origin.TEST and (len(ids) > 1 or is_of_many):
            outcome, _, message = group.key.partition(" ")
            who = f"{len(ids)} tests" if len(ids) > 1 else ids[0]
            return f"{who} {_OUTCOMES.get(outcome, outcome)}: {message}"
        if group.origin is Origin.REPORT and len(ids) > 1:
            return f"{parts[0].sentence}, and the kernel is tainted by it"
        if group.origin is Origin.TEST:
            message = first_line(self._tests[ids[0]].message)
            return (
                parts[0].sentence.replace(message, said(message)) if message else parts[0].sentence
            )
        return parts[0].sentence

    def _of_paths(self, ids: Sequence[str]) -> str:
        probed = [name for name in ids if kind_of(name).probed]
        of = sum(1 for name in self._facts if is_judged_input(name))
        state = told_state(ids[0], self._facts[ids[0]])
        if not probed:
            return f"zero-copy {state} in what the tests spliced in ({listed(ids)})"
        why = f": {why_unknown(self._facts[ids[0]])}" if state is State.UNKNOWN else ""
        return f"zero-copy {state} on {len(probed)} of {of} paths{why}"

    def _of_defect(self, key: str, ids: Sequence[str]) -> str:
        test = self._tests[ids[0]]
        fix = test.defect.fix if test.defect is not None else ""
        by = f" (fixed by {fix})" if fix and fix != key else ""
        if len(ids) > 1:
            return f"{key}: {len(ids)} tests failed{by}"
        before, _, after = said(test.message).partition(f"{key}: ")
        return f"{key}: {after or before or test.id}{by}"

    def _line(self, name: str) -> str:
        """What was seen of an id."""
        test, fact, check = self._tests.get(name), self._facts.get(name), self._checks.get(name)
        if test is not None:
            return f"{name}: {test.outcome}: {first_line(test.message)}".removesuffix(": ")
        if fact is not None:
            return f"{name}: {told_state(name, fact)}: {first_line(fact.evidence)}"
        return f"{name}: {check.seen}" if check is not None else name


#: Letters of taint that come with reports of a kind.
_TAINTED_BY = {"taint.W": "warning", "taint.D": "oops", "taint.L": "soft_lockup"}
_OUTCOMES = {"error": "ended in an error", "timeout": "timed out"}


def is_judged_input(name: str) -> bool:
    """Whether a fact is that of a probed skcipher or aead input path, on which a verdict rests."""
    kind = kind_of(name)
    return kind.section is Section.ZERO_COPY and kind.weight is Weight.JUDGED and kind.probed


def skip_causes(kernel: KernelResult) -> tuple[RootCause, ...]:
    """Why tests were skipped, what accounts for most of them first."""
    groups: dict[tuple[Origin, str], list[TestResult]] = {}
    for test in kernel.tests:
        if test.outcome is Outcome.SKIPPED:
            groups.setdefault(_why_skipped(test), []).append(test)
    found = (
        RootCause(
            topic=Topic.SKIPS,
            origin=origin,
            sentence=f"{_tests(tests)} skipped: {_named(why, tests)}",
            why=_named(why, tests),
            ids=tuple(test.id for test in tests),
            lines=tuple(f"{test.id}: {first_line(test.message)}" for test in tests),
        )
        for (origin, why), tests in groups.items()
    )
    return tuple(sorted(found, key=lambda cause: -cause.count))


def _tests(tests: Sequence[object]) -> str:
    return "1 test" if len(tests) == 1 else f"{len(tests)} tests"


def _why_skipped(test: TestResult) -> tuple[Origin, str]:
    return _why(test.reason) or (Origin.OTHER, first_line(test.message) or "no reason given")


def _why(reason: Reason | None) -> tuple[Origin, str] | None:
    """The sort of a reason, and the words that all with the same cause share."""
    if reason is None:
        return None
    match reason.cause:
        case Cause.NO_SYSCTL:
            return Origin.POLICY, f"the sysctl {reason.name} is not there"
        case Cause.NO_SOCKET:
            return Origin.CONFIG, f"no AF_ALG socket ({reason.errno})"
        case Cause.NO_OPTION:
            return Origin.CONFIG, f"built without {reason.name}"
        case Cause.NO_MODULE:
            return Origin.CONFIG, "the kernel has no such module"
        case Cause.NOT_BOUND if reason.restrict:
            return Origin.POLICY, f"refused at af_alg_restrict={reason.restrict}"
        case Cause.NOT_BOUND if reason.errno == "ENOENT":
            return Origin.ALGORITHM, "no such algorithm"
        case Cause.NOT_BOUND:
            return Origin.ALGORITHM, f"algorithms refused ({reason.errno})"
        case Cause.PROGRAM_RESTRICTED:
            return Origin.POLICY, f"fails at af_alg_restrict={reason.restrict}, works at 0"
        case Cause.UNPRIVILEGED_RESTRICTED:
            return Origin.POLICY, f"refused to all but root at af_alg_restrict={reason.restrict}"
        case Cause.NOT_FIXED:
            return Origin.DEFECT, f"might crash a kernel without {reason.name}"
        case Cause.SOURCE_COPIES:
            return Origin.KNOWN_CHANGE, f"{reason.name} hands over copies by itself"
        case Cause.HOST:
            return Origin.HOST, f"the guest lacks {reason.name}" if reason.name else "the guest"
        case _ if reason.name:
            return Origin.OTHER, f"{reason.name}{f': {reason.errno}' if reason.errno else ''}"
    return None


def _named(why: str, tests: Sequence[TestResult]) -> str:
    """The words, with the algorithms that they are about."""
    lost = [test.reason for test in tests if test.reason and test.reason.cause is Cause.NOT_BOUND]
    names = [name for name, _ in Counter(reason.name for reason in lost).most_common()]
    return f"{why}: {listed(names)}" if names else why


def change_causes(comparison: Comparison, kernels: Sequence[KernelResult]) -> tuple[RootCause, ...]:
    """The changes by what they come from: what the run fails for first, then by class."""
    baseline = next((kernel for kernel in kernels if kernel.role is Role.BASELINE), None)
    candidate = compared_candidate(comparison, kernels)
    lost = set(losses(comparison, kernels))
    before, after = _tests_of(baseline), _tests_of(candidate)
    groups: dict[tuple[bool, ChangeClass, Origin, str], list[Change]] = {}
    for change in comparison.changes:
        origin, why = _why_changed(change, before.get(change.id), after.get(change.id))
        groups.setdefault((change in lost, change.cls, origin, why), []).append(change)
    found = [
        RootCause(
            topic=Topic.CHANGES,
            origin=origin,
            sentence=_told(origin, why, changes),
            why=_told(origin, why, changes),
            ids=_unique(change.id for change in changes),
            lines=tuple(_change_line(change) for change in _first_of_each(changes)),
            gates=gates,
            cls=cls,
        )
        for (gates, cls, origin, why), changes in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (not one.gates, CLASSES.index(one.cls), -one.count)))


#: What matters most stands first.
CLASSES = (
    ChangeClass.REGRESSED,
    ChangeClass.VANISHED,
    ChangeClass.NEWLY_UNAVAILABLE,
    ChangeClass.FLAKY,
    ChangeClass.FIXED,
    ChangeClass.INTENDED,
    ChangeClass.NEW,
)


def _tests_of(kernel: KernelResult | None) -> Mapping[str, TestResult]:
    return {test.id: test for test in kernel.tests} if kernel is not None else {}


def _why_changed(
    change: Change, before: TestResult | None, after: TestResult | None
) -> tuple[Origin, str]:
    """The sort of what a change comes from, and the words that all of that cause share.

    ``before`` and ``after`` are the test that it is about, on each side.
    """
    step = f"{change.baseline} -> {change.candidate}"
    known = change_behind(change.explanation)
    if known is not None:
        origin = Origin.POLICY if "allowlist" in known.name else Origin.KNOWN_CHANGE
        return origin, known.title
    kind = kind_of(change.id)
    if kind.section is Section.ZERO_COPY and kind.weight is Weight.JUDGED:
        return Origin.ZERO_COPY, step
    if change.id == PAGE_CACHE:
        return Origin.PAGE_CACHE, change.explanation or step
    if change.id.startswith("console."):
        return Origin.REPORT, change.id
    defect = next((test.defect for test in (before, after) if test and test.defect), None)
    if defect is not None and (defect.cve or defect.fix) and _failed_on_one(before, after):
        return Origin.DEFECT, f"{defect.cve or defect.fix}: {step}"
    options = re.findall(r"CONFIG_\w+", change.explanation)
    if change.cls is ChangeClass.NEWLY_UNAVAILABLE and options:
        return Origin.CONFIG, "left out of the config"
    skipped = next((test for test in (after, before) if _is_skip(test)), None)
    if skipped is not None:
        origin, why = _why_skipped(skipped)
        if skipped is after:
            return origin, f"{step}: {why}"
        return origin, f"{step} (before: {why})"
    if change.explanation:
        return _behaviour(change), change.explanation
    return _behaviour(change), f"{change.id}: {step}"


def _behaviour(change: Change) -> Origin:
    return Origin.TEST if "::" in change.id else Origin.BEHAVIOUR


def _failed_on_one(*tests: TestResult | None) -> bool:
    return any(test is not None and test.outcome in FAILURES for test in tests)


def _is_skip(test: TestResult | None) -> bool:
    return test is not None and test.outcome is Outcome.SKIPPED


def _told(origin: Origin, why: str, changes: Sequence[Change]) -> str:
    """The sentence of changes of one cause."""
    first = changes[0]
    if origin is Origin.ZERO_COPY:
        return _told_paths(changes)
    if origin is Origin.CONFIG and why == "left out of the config":
        return f"{why}: {', '.join(_options(changes))}"
    if origin is Origin.KNOWN_CHANGE and (options := _options(changes)):
        return f"{why}: {', '.join(options)}"
    if origin is Origin.REPORT:
        return f"{first.baseline} -> {first.candidate}: {first.explanation} ({first.id})"
    if len(changes) == 1 and first.id not in why:
        return f"{first.id}: {why}"
    return why


def _told_paths(changes: Sequence[Change]) -> str:
    step = f"{changes[0].baseline} -> {changes[0].candidate}"
    probed = [change.id for change in changes if kind_of(change.id).probed]
    others = [change.id.removeprefix("zero_copy.") for change in changes if change.id not in probed]
    told = [f"on {len(probed)} paths"] if probed else []
    told += [f"in what the tests spliced in ({', '.join(others)})"] if others else []
    return f"zero-copy {step} {' and '.join(told)}"


def _options(changes: Sequence[Change]) -> tuple[str, ...]:
    """The options that the explanations name, without what they all begin with."""
    found = (re.findall(r"CONFIG_(?:CRYPTO_)?(\w+)", change.explanation) for change in changes)
    return _unique(name for names in found for name in names)


def _first_of_each(changes: Sequence[Change]) -> list[Change]:
    return list({change.id: change for change in reversed(changes)}.values())[::-1]


def _change_line(change: Change) -> str:
    line = f"{change.id}: {change.baseline} -> {change.candidate}"
    return f"{line}: {change.explanation}" if change.explanation else line


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
