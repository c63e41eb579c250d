"""The answer that a run gives of each kernel, as values, before any report puts it in words.

Is zero-copy gone, is the page cache safe, does everything else work, what was lost, may this
be merged? All of it is made of a ``RunResult`` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from immutabledict import immutabledict

from harness.errors import ExitCode
from harness.judge.causes import (
    COPY_FAIL,
    PAGE_CACHE,
    RootCause,
    change_causes,
    is_judged_input,
    skip_causes,
    verdict_causes,
)
from harness.judge.exit_code import (
    NOTHING_KNOWN,
    compared_candidate,
    exit_code,
    losses,
    ran_in_part,
)
from harness.judge.facts import NAMES, Section, Weight, kind_of, short_name
from harness.judge.findings import listed
from harness.judge.splats import taint_letters
from harness.judge.states import told_state, why_unknown
from harness.judge.verdict import missing_tests
from harness.model import (
    FAILURES,
    Cause,
    ChangeClass,
    Comparison,
    KernelResult,
    Outcome,
    Role,
    RunResult,
    State,
    Status,
)
from harness.report.overview import distinct_name, is_unknown, not_compared


class Word(StrEnum):
    """What a kernel is, in a word."""

    OK = "OK"
    NOT_OK = "NOT OK"
    UNKNOWN = "UNKNOWN"
    BASELINE = "BASELINE"  # shown and compared with; whether it is as expected does not count
    INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True)
class ZeroCopy:
    """What became of the probed skcipher and aead input paths."""

    #: "gone", "present", "unknown", "unreachable", "none seen" (not all paths were probed),
    #: "not probed".
    word: str
    states: Mapping[State, int] = field(default_factory=immutabledict)  # how many paths have it
    unprobed: int = 0  # paths that the suite knows and this run did not probe
    why: str = ""  # why it is not known, or which pages of other tests were shared

    @property
    def probed(self) -> int:
        """How many paths have a state."""
        return sum(self.states.values())

    @property
    def gone(self) -> int:
        """How many of them copy."""
        return self.states.get(State.ABSENT, 0)


@dataclass(frozen=True)
class PageCache:
    """Whether the page cache can be written through a request (CVE-2026-31431)."""

    word: str  # "safe", "WRITABLE", "unreachable", "unknown", "not probed"
    why: str = ""


@dataclass(frozen=True)
class Tests:
    """Tests by what became of them, and what the kernel said of itself meanwhile."""

    __test__ = False

    outcomes: Mapping[Outcome, int] = field(default_factory=immutabledict)
    flaky: int = 0
    missing: int = 0
    taint: int | None = None  # None: not known
    gained: tuple[str, ...] = ()  # letters of taint that came with the tests
    #: Reports of the kernel that count, and those that are expected or the baseline's as well.
    splats: int = 0
    excused: int = 0

    @property
    def passed(self) -> int:
        """Tests that passed."""
        return self.outcomes.get(Outcome.PASSED, 0)

    @property
    def failed(self) -> int:
        """Tests that failed, errors, crashes and time-outs among them."""
        return sum(self.outcomes.get(outcome, 0) for outcome in FAILURES)

    @property
    def skipped(self) -> int:
        """Tests that could not be run."""
        return self.outcomes.get(Outcome.SKIPPED, 0)


@dataclass(frozen=True)
class Changes:
    """Differences from the baseline by class; what the run fails for is ``lost`` and no other."""

    lost: int = 0
    unavailable: int = 0
    intended: int = 0
    fixed: int = 0
    new: int = 0
    flaky: int = 0
    allowed: int = 0  # would be lost, and were expected explicitly
    obstacle: str = ""  # why nothing was compared


@dataclass(frozen=True)
class Programs:
    """Programs that use AF_ALG, each as root and as nobody."""

    work: int = 0
    fail: int = 0  # for another reason than the policy
    failing: tuple[str, ...] = ()  # which of them: "kcapi_rng.stdrng"
    restricted: int = 0  # fail under the policy as booted, and work at 0
    level: int | None = None  # of the policy as booted
    unknown: int = 0


@dataclass(frozen=True)
class Answer:
    """What a run says of one kernel."""

    name: str  # that tells it from the others of the run
    role: Role
    word: Word
    exit_code: ExitCode  # of a run of this kernel and the baseline alone
    zero_copy: ZeroCopy
    page_cache: PageCache
    tests: Tests
    programs: Programs
    by_reference: tuple[str, ...]  # "hash input", "skcipher and aead output"
    causes: tuple[RootCause, ...]  # why it is not ok, or unknown
    skips: tuple[RootCause, ...]
    against: str = ""  # name of the baseline, "" if there is none
    baseline_zero_copy: ZeroCopy | None = None
    changes: Changes | None = None  # None: there is no baseline
    change_causes: tuple[RootCause, ...] = ()

    @property
    def gating(self) -> tuple[RootCause, ...]:
        """All for which the run fails or does not know: reasons first, then what was lost.

        Losses of tests that are reasons already are not told a second time.
        """
        reasons = tuple(cause for cause in self.causes if cause.gates)
        told = {name for cause in reasons for name in cause.ids}
        lost = (cause for cause in self.change_causes if cause.gates)
        return (*reasons, *(cause for cause in lost if not set(cause.ids) <= told))


def answers(result: RunResult) -> tuple[Answer, ...]:
    """The answer of each kernel of a run, in its order; the baseline has one, too."""
    return tuple(answer_of(kernel, result) for kernel in result.kernels)


def answer_of(kernel: KernelResult, result: RunResult) -> Answer:
    """What the run says of ``kernel``, one of its kernels."""
    kernels = result.kernels
    baseline = next((one for one in kernels if one.role is Role.BASELINE), None)
    baseline = baseline if baseline is not kernel else None
    comparison = next(
        (one for one in result.comparisons if compared_candidate(one, kernels) is kernel), None
    )
    code = _exit_code(kernel, baseline, comparison)
    changes = _changes(comparison, kernels) if comparison is not None else None
    return Answer(
        name=distinct_name(kernel, kernels),
        role=kernel.role,
        word=_word(kernel, lost=changes is not None and changes.lost > 0, code=code),
        exit_code=code,
        zero_copy=zero_copy(kernel),
        page_cache=page_cache(kernel),
        tests=tests_of(kernel),
        programs=programs(kernel),
        by_reference=by_reference(kernel),
        causes=verdict_causes(kernel),
        skips=skip_causes(kernel),
        against=distinct_name(baseline, kernels) if baseline is not None else "",
        baseline_zero_copy=zero_copy(baseline) if baseline is not None else None,
        changes=changes,
        change_causes=change_causes(comparison, kernels) if comparison is not None else (),
    )


def _exit_code(
    kernel: KernelResult, baseline: KernelResult | None, comparison: Comparison | None
) -> ExitCode:
    if kernel.role is Role.BASELINE:
        return ExitCode.REGRESSION if ran_in_part(kernel) else _of_the_lost(kernel)
    kernels = [kernel] if baseline is None else [baseline, kernel]
    return exit_code(kernels, [comparison] if comparison is not None else [])


def _of_the_lost(kernel: KernelResult) -> ExitCode:
    if kernel.status in NOTHING_KNOWN:
        return ExitCode(kernel.status_exit or ExitCode.INFRASTRUCTURE)
    return ExitCode.OK


def _word(kernel: KernelResult, *, lost: bool, code: ExitCode) -> Word:
    if kernel.status is Status.INTERRUPTED and code is ExitCode.INTERRUPTED:
        return Word.INTERRUPTED
    if is_unknown(kernel):
        return Word.UNKNOWN
    if kernel.role is Role.BASELINE:
        return Word.BASELINE
    if not kernel.verdict.ok or lost:
        return Word.NOT_OK
    # Where the run fails by no fault of this kernel's, its baseline was not had, or not whole.
    return Word.OK if code is ExitCode.OK else Word.UNKNOWN


def zero_copy(kernel: KernelResult) -> ZeroCopy:
    """What became of the input paths of a kernel; nothing is concluded from what was not seen."""
    facts = kernel.facts.named()
    told = {name: told_state(name, fact) for name, fact in facts.items() if is_judged_input(name)}
    states = immutabledict(Counter(told.values()))
    unprobed = sum(is_judged_input(name) and name not in told for name in NAMES)
    seen_elsewhere = [
        short_name(name)
        for name, fact in facts.items()
        if _is_witness(name) and told_state(name, fact) is State.PRESENT
    ]
    doubtful = next((name for name, state in told.items() if state is State.UNKNOWN), None)
    why = ""
    if states.get(State.PRESENT):
        word = "present"
    elif seen_elsewhere:
        word, why = "present", f"in what the tests spliced in ({listed(seen_elsewhere)})"
    elif doubtful is not None:
        word, why = "unknown", why_unknown(facts[doubtful])
    elif not told:
        word = "not probed"
    elif not states.get(State.ABSENT):
        word, why = "unreachable", facts[next(iter(told))].evidence
    else:
        word = "none seen" if unprobed else "gone"
    return ZeroCopy(word, states, unprobed, why)


def _is_witness(name: str) -> bool:
    """Whether a fact is of what any test spliced in, by the witness inside the kernel alone."""
    kind = kind_of(name)
    return kind.section is Section.ZERO_COPY and kind.weight is Weight.JUDGED and not kind.probed


def page_cache(kernel: KernelResult) -> PageCache:
    """Whether the page cache of a kernel can be written through a request."""
    fact = kernel.facts.page_cache_write
    if fact is None:
        return PageCache("not probed", COPY_FAIL)
    match told_state(PAGE_CACHE, fact):
        case State.ABSENT:
            return PageCache("safe", f"not writable through a request ({COPY_FAIL})")
        case State.PRESENT:
            return PageCache("WRITABLE", f"can be written through a request ({COPY_FAIL})")
        case State.UNREACHABLE:
            return PageCache("unreachable", f"{fact.evidence} ({COPY_FAIL})")
        case _:
            return PageCache("unknown", f"{why_unknown(fact)} ({COPY_FAIL})")


def tests_of(kernel: KernelResult) -> Tests:
    """The tests of a kernel by what became of them."""
    missing = missing_tests(kernel)
    outcomes = Counter(test.outcome for test in kernel.tests)
    del outcomes[Outcome.MISSING]
    reports = [check for check in kernel.verdict.checks if _is_report(check.id)]
    counted = {check.id for check in reports if not check.met}
    # What a test that killed the kernel did to it was never read.
    known = kernel.taint is not None and kernel.status is Status.COMPLETED
    gained = (kernel.taint or 0) & ~(kernel.taint_before or 0) if known else 0
    return Tests(
        outcomes=immutabledict(outcomes),
        flaky=sum(test.is_flaky for test in kernel.tests),
        missing=len(missing),
        taint=kernel.taint if known else None,
        gained=taint_letters(gained),
        splats=len(counted),
        excused=len({check.id for check in reports} - counted),
    )


def _is_report(check: str) -> bool:
    return check.startswith("console.")


def programs(kernel: KernelResult) -> Programs:
    """What became of the programs that use AF_ALG."""
    found: Counter[str] = Counter()
    failing: dict[str, None] = {}
    for name, fact in kernel.facts.named().items():
        if kind_of(name).section is not Section.PROGRAMS:
            continue
        state = told_state(name, fact)
        restricted = fact.reason is not None and fact.reason.cause is Cause.PROGRAM_RESTRICTED
        if state is State.WORKS:
            found["work"] += 1
        elif state is State.FAILS:
            found["restricted" if restricted else "fail"] += 1
            if not restricted:
                failing[short_name(name).rpartition(".")[0]] = None
        else:
            found["unknown"] += 1
    return Programs(
        work=found["work"],
        fail=found["fail"],
        failing=tuple(failing),
        restricted=found["restricted"],
        level=kernel.facts.af_alg_restrict,
        unknown=found["unknown"],
    )


def by_reference(kernel: KernelResult) -> tuple[str, ...]:
    """What still shares pages where nobody promised otherwise: "skcipher and aead output"."""
    kinds: dict[str, list[str]] = {"input": [], "output": []}
    for name, fact in kernel.facts.named().items():
        kind = kind_of(name)
        reported = kind.section is Section.ZERO_COPY and kind.weight is Weight.REPORTED
        if reported and told_state(name, fact) is State.PRESENT:
            data, _, way = short_name(name).partition(".")
            direction = "output" if way.startswith("recv") else "input"
            if data not in kinds[direction]:
                kinds[direction].append(data)
    return tuple(
        f"{' and '.join(', '.join(data).rsplit(', ', 1))} {direction}"
        for direction, data in kinds.items()
        if data
    )


def _changes(comparison: Comparison, kernels: Sequence[KernelResult]) -> Changes:
    lost = set(losses(comparison, kernels))
    rest = Counter(change.cls for change in comparison.changes if change not in lost)
    return Changes(
        lost=len(lost),
        unavailable=rest[ChangeClass.NEWLY_UNAVAILABLE],
        intended=rest[ChangeClass.INTENDED],
        fixed=rest[ChangeClass.FIXED],
        new=rest[ChangeClass.NEW],
        flaky=rest[ChangeClass.FLAKY],
        allowed=rest[ChangeClass.REGRESSED] + rest[ChangeClass.VANISHED],
        obstacle=not_compared(comparison, kernels),
    )


def sentence(result: RunResult) -> str:
    """What a run says, in one sentence."""
    return sentence_of(answers(result))


def sentence_of(answered: Sequence[Answer]) -> str:
    """What the answers of a run's kernels come to, in one sentence."""
    told = [answer for answer in answered if answer.role is Role.CANDIDATE]
    if not told:
        return "no candidate was judged"
    if len(told) == 1:
        return f"{told[0].name} {_of_one(told[0])}"
    count = Counter(answer.word for answer in told)
    if len(count) == 1:
        return f"all {len(told)} candidates are {told[0].word}"
    return f"of {len(told)} candidates " + ", ".join(
        f"{count[word]} {'is' if count[word] == 1 else 'are'} {word}"
        for word in Word
        if count[word]
    )


def _of_one(answer: Answer) -> str:
    gating = answer.gating
    against = f", against {answer.against}" if answer.against else ""
    if answer.word is Word.OK:
        return f"is OK{against}: zero-copy {answer.zero_copy.word}, nothing lost"
    first = f": {gating[0].sentence}" if gating else ""
    more = f", and {len(gating) - 1} more" if len(gating) > 1 else ""
    return f"is {answer.word}{against}{first}{more}"
