"""What was observed in each boot of a kernel -> the kernel's result; pure."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import ExitCode
from harness.guest.schedule import last_ones
from harness.merge import together
from harness.model import (
    FAILURES,
    FATAL,
    Attempt,
    Boot,
    ConsoleWatch,
    Fact,
    Facts,
    KernelIdentity,
    KernelResult,
    Outcome,
    PackageFile,
    Purpose,
    Role,
    State,
    Status,
    TestResult,
)

#: Boots that go through the plan, or what is left of it.
_OF_PLAN = (Purpose.PLAN, Purpose.BESIDE, Purpose.REST)
#: Outcomes of a test that ran.
_TELLING = FAILURES | {Outcome.PASSED}
#: The worst first.
_BADNESS = (
    Outcome.CRASHED,
    Outcome.TIMEOUT,
    Outcome.ERROR,
    Outcome.FAILED,
    Outcome.MISSING,
    Outcome.SKIPPED,
    Outcome.PASSED,
).index


@dataclass(frozen=True)
class ObservedBoot:
    """One boot with all that the guest reported in it."""

    boot: Boot
    spec: str
    release: str
    role: Role
    restrict: int | None  # af_alg_restrict as booted
    plan: tuple[str, ...]
    tests: Mapping[str, TestResult]  # by id; the one in which the kernel died among them
    facts: Mapping[str, Fact]
    transcripts: Mapping[str, str]
    collection_errors: tuple[str, ...]
    records_lost: int
    ignored_arguments: tuple[str, ...]
    notes: tuple[str, ...]  # on the guest
    kernel_notes: tuple[str, ...]
    packages: tuple[PackageFile, ...]
    kernel: KernelIdentity | None


def result_of(observed: Sequence[ObservedBoot], directory: str) -> KernelResult:
    """What all boots of a kernel, at least one, come to. Not judged yet.

    ``directory`` is that of its files, relative to the run directory.
    """
    boots = tuple(one.boot for one in observed)
    heard = [one for one in observed if one.boot.identity is not None]
    # What was not the kernel asked for tells nothing; where nothing else is, it says why.
    first = next((one for one in heard if one.boot.status is not Status.BOOT_FAILED), None)
    first = first or (heard or observed)[0]
    last = observed[-1]
    plan = next((one.plan for one in observed if one.boot.purpose is Purpose.PLAN and one.plan), ())
    ending = _ending(observed)
    return KernelResult(
        spec=last.spec,
        release=next((one.release for one in observed if one.release), ""),
        role=last.role,
        status=ending.status,
        status_reason=ending.status_reason,
        status_exit=int(ExitCode.INFRASTRUCTURE) if ending.killed else None,
        fatal_test=ending.fatal_test,
        boot_seconds=first.boot.boot_seconds,
        suite_seconds=_total(_in_turn([(one, one.suite_seconds) for one in boots])),
        wall_seconds=_total(_in_turn([(one, one.wall_seconds) for one in boots])),
        taint_before=_either(one.boot.taint_before for one in heard),
        taint=_either(one.boot.taint for one in heard),
        identity=first.boot.identity,
        console_events=tuple(event for boot in boots for event in boot.console_events),
        console_watch=_watch([one.boot for one in heard]),
        ignored_arguments=_each(word for one in observed for word in one.ignored_arguments),
        boots=boots,
        kernel=first.kernel,
        facts=_facts(observed, first.restrict),
        transcripts=_transcripts(observed),
        plan=plan,
        collection_errors=_each(text for one in observed for text in one.collection_errors),
        tests=tuple(_tests(plan, observed, ending)),
        # What a boot that was stopped had no time to report is run again in the next.
        records_lost=sum(
            one.records_lost for one in observed if one is last or not one.boot.stopped
        ),
        packages=last.packages,
        notes=_each([*last.kernel_notes, *_notes(observed)]),
        directory=directory,
    )


def _each(words: Iterator[str] | Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _total(seconds: Iterator[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return round(sum(known), 3) if known else None


def _in_turn(took: Sequence[tuple[Boot, float | None]]) -> Iterator[float | None]:
    """What each boot took beyond the one that it was beside, if it was."""
    first: tuple[Boot, float | None] | None = None  # of two that are beside each other
    for boot, seconds in took:
        if boot.purpose is not Purpose.BESIDE:
            yield seconds
            first = boot, seconds
        else:
            after = _seconds_after(first[0], boot) if first is not None else 0.0
            before = (first[1] if first is not None else None) or 0.0
            yield seconds if seconds is None else max(0.0, after + seconds - before)
            first = None


def _seconds_after(first: Boot, second: Boot) -> float:
    """How long after one boot another was started; 0 where that is not known."""
    try:
        began = [datetime.datetime.fromisoformat(boot.started) for boot in (first, second)]
        return max(0.0, (began[1] - began[0]).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _either(taints: Iterator[int | None]) -> int | None:
    """Every bit that any boot had; None if it was never read."""
    known = [taint for taint in taints if taint is not None]
    whole = 0
    for taint in known:
        whole |= taint
    return whole if known else None


def _watch(heard: Sequence[Boot]) -> ConsoleWatch | None:
    watches = [boot.console_watch for boot in heard if boot.console_watch is not None]
    if not watches:
        return None
    return ConsoleWatch(
        written=sum(watch.written for watch in watches),
        seen=sum(watch.seen for watch in watches),
        kernel_log=all(watch.kernel_log for watch in watches),
    )


def _notes(observed: Sequence[ObservedBoot]) -> Iterator[str]:
    several = len(observed) > 1
    for one in observed:
        for note in one.notes:
            yield f"boot {one.boot.number}: {note}" if several else note


def _ending(observed: Sequence[ObservedBoot]) -> Boot:
    """The boot that says how it went with the kernel as a whole.

    The last, if it was stopped or killed, or if no guest ever reported; else the first in
    which the kernel died, or the last of those heard. Of two beside each other either may be
    the last. Where none of those that go through the whole plan was heard, but one beside it,
    it is as if the kernel had been killed: what the plan was is not known.
    """
    boots = [one.boot for one in observed]
    ran = [boot for boot in boots if boot.identity is not None]
    for last in reversed(last_ones(boots)):
        if not ran or last.status is Status.INTERRUPTED:
            return last
        if last.status is Status.BOOT_FAILED and last.identity is not None:
            return last  # another kernel than the one asked for
    died = next((boot for boot in ran if boot.died), None)
    whole = [boot for boot in boots if boot.purpose is Purpose.PLAN]
    if died is None and whole and not any(boot.identity for boot in whole):
        reason = f"no guest told what all there was to run: {whole[-1].status_reason}"
        return replace(whole[-1], status=Status.INTERRUPTED, status_reason=reason, killed=True)
    return died or ran[-1]


def _tests(
    plan: Sequence[str], observed: Sequence[ObservedBoot], ending: Boot
) -> Iterator[TestResult]:
    """A result for every planned test, in the plan's order."""
    for test in plan:
        tried = [(one.boot, one.tests[test]) for one in observed if test in one.tests]
        if tried:
            yield _one_of(tried)
        else:
            why = ending.status_reason or ending.status
            yield TestResult(test, Outcome.MISSING, message=f"never reported: {why}")


def _one_of(tried: Sequence[tuple[Boot, TestResult]]) -> TestResult:
    """A test that one boot ran or several.

    That the kernel died of it once is not made good by boots in which it did not. What came
    back in no boot that was to confirm it does not count. Of other outcomes the most frequent
    one does, of equally frequent ones the worse. A boot that could not run it (skipped) has no
    say beside one that could.
    """
    if len(tried) == 1:
        return tried[0][1]
    results = [result for _, result in tried]
    fatal = [
        result
        for boot, result in tried
        if result.outcome in FATAL and boot.died and boot.fatal_test == result.id
    ]
    if fatal:
        chosen = fatal[0]
    else:
        told = [(boot, result.outcome) for boot, result in tried if result.outcome in _TELLING]
        again = [outcome for boot, outcome in told if boot.purpose is Purpose.CONFIRM]
        outcomes = [outcome for _, outcome in told] or [result.outcome for result in results]
        if again and results[0].outcome not in again:
            outcomes = again
        most = max(outcomes.count(outcome) for outcome in outcomes)
        frequent = {outcome for outcome in outcomes if outcomes.count(outcome) == most}
        worst = min(frequent, key=_BADNESS)
        chosen = next(result for result in results if result.outcome is worst)
    attempts = tuple(
        Attempt(boot.number, result.outcome, result.message, boot.purpose) for boot, result in tried
    )
    return replace(chosen, attempts=attempts)


def _transcripts(observed: Sequence[ObservedBoot]) -> dict[str, str]:
    """Sequences of calls and the answers that most boots gave; of equally frequent ones the
    first."""
    answers: dict[str, Counter[str]] = {}
    for one in observed:
        for calls, seen in one.transcripts.items():
            answers.setdefault(calls, Counter())[seen] += 1
    return {calls: seen.most_common(1)[0][0] for calls, seen in answers.items()}


def _facts(observed: Sequence[ObservedBoot], restrict: int | None) -> Facts:
    named: dict[str, Fact] = {}
    for one in observed:
        if one.boot.identity is None or one.boot.status is Status.BOOT_FAILED:
            continue
        for name, fact in one.facts.items():
            known = named.get(name)
            if known is None:
                named[name] = fact
            elif one.boot.purpose in _OF_PLAN and (
                one.boot.round == 1 or fact.state is not known.state
            ):
                named[name] = together(known, fact)
    named |= dict(_confirmed(named, observed))
    return Facts.of(named, restrict)


def _confirmed(
    named: Mapping[str, Fact], observed: Sequence[ObservedBoot]
) -> Iterator[tuple[str, Fact]]:
    """Facts of which boots that ran their tests again alone saw another state.

    What was seen to be present once is present. Else what most boots saw counts, if they saw
    something: a boot that could not tell makes nothing good.
    """
    alone = [one for one in observed if one.boot.purpose is Purpose.CONFIRM]
    for name, fact in named.items():
        seen = [one.facts[name] for one in alone if name in one.facts]
        counts = Counter([fact.state, *(other.state for other in seen)])
        state = State.PRESENT if counts[State.PRESENT] else counts.most_common(1)[0][0]
        if state in {fact.state, State.UNKNOWN, State.UNREACHABLE}:
            continue
        other = next(other for other in seen if other.state is state)
        words = f"{other.evidence}; in {counts[state]} boots, and {fact.state} in another"
        yield name, replace(other, evidence=f"{words} ({fact.evidence})")
