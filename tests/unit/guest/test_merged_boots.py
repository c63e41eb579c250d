"""What several boots of a kernel come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.guest.boots import ObservedBoot, result_of
from harness.model import (
    Boot,
    ConsoleEvent,
    ConsoleWatch,
    Control,
    Fact,
    GuestIdentity,
    KernelResult,
    Outcome,
    Purpose,
    Role,
    State,
    Status,
    TestResult,
)

PASSED, FAILED, CRASHED = Outcome.PASSED, Outcome.FAILED, Outcome.CRASHED
_GUEST = GuestIdentity("6.12", "#1", "x86_64", "", "n")
_PANIC = ConsoleEvent("panic", "Kernel panic", 1.0, "b")
PLAN = ("a", "b", "c")


def boot(purpose: Purpose = Purpose.PLAN, /, **outcomes: Outcome) -> ObservedBoot:
    """A boot in which these tests came to this; it died in the one that crashed."""
    fatal = next((test for test, outcome in outcomes.items() if outcome is CRASHED), "")
    return ObservedBoot(
        boot=Boot(
            Status.CRASHED if fatal else Status.COMPLETED,
            "Kernel panic" if fatal else "",
            "tcg",
            _GUEST,
            purpose=purpose,
            asked=() if purpose is Purpose.PLAN else tuple(outcomes),
            fatal_test=fatal,
            boot_seconds=2.0,
            suite_seconds=1.0,
            wall_seconds=4.0,
            taint_before=0,
            taint=0,
            console_events=(_PANIC,) if fatal else (),
            console_watch=ConsoleWatch(3, 3, kernel_log=True),
            outcomes=outcomes,
        ),
        spec="debian:x",
        release="6.12",
        role=Role.CANDIDATE,
        restrict=None,
        plan=PLAN if purpose is Purpose.PLAN else tuple(outcomes),
        tests={
            test: TestResult(test, outcome, message=outcome) for test, outcome in outcomes.items()
        },
        facts={},
        transcripts={},
        collection_errors=(),
        records_lost=0,
        ignored_arguments=(),
        notes=(),
        kernel_notes=("built",),
        packages=(),
        kernel=None,
    )


def merged(*observed: ObservedBoot) -> KernelResult:
    """The result of boots, which are numbered here."""
    numbered = [
        replace(one, boot=replace(one.boot, number=number))
        for number, one in enumerate(observed, 1)
    ]
    return result_of(numbered, "kernels/x")


def outcomes(result: KernelResult) -> list[str]:
    return [test.outcome for test in result.tests]


def with_fact(one: ObservedBoot, state: State) -> ObservedBoot:
    return replace(one, facts={"zero_copy.x": Fact(state, Control.FIRED, "seen", "a")})


def test_one_boot_is_what_it_was() -> None:
    result = merged(boot(a=PASSED, b=FAILED, c=PASSED))
    assert (result.status, result.plan) == (Status.COMPLETED, PLAN)
    assert outcomes(result) == ["passed", "failed", "passed"]
    assert not any(test.attempts for test in result.tests)
    assert (result.boot_seconds, result.suite_seconds, result.wall_seconds) == (2.0, 1.0, 4.0)


def test_the_rest_is_made_up_for_and_the_crash_stays() -> None:
    result = merged(
        boot(a=PASSED, b=CRASHED), boot(Purpose.REST, c=PASSED), boot(Purpose.ALONE, b=CRASHED)
    )
    assert outcomes(result) == ["passed", "crashed", "passed"]
    assert (result.status, result.fatal_test) == (Status.CRASHED, "b")
    assert [attempt.boot for attempt in result.tests[1].attempts] == [1, 3]
    assert not result.tests[1].is_flaky
    assert (result.suite_seconds, result.wall_seconds) == (3.0, 12.0)
    assert result.console_events == (_PANIC, _PANIC)
    assert result.console_watch == ConsoleWatch(9, 9, kernel_log=True)
    assert len(result.boots) == 3


def test_a_crash_that_does_not_come_back_counts_and_is_flaky() -> None:
    alone = boot(Purpose.ALONE, b=PASSED)
    result = merged(boot(a=PASSED, b=CRASHED), boot(Purpose.REST, c=PASSED), alone, alone)
    assert outcomes(result) == ["passed", "crashed", "passed"]
    assert result.tests[1].is_flaky


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        ((FAILED, PASSED, PASSED), PASSED),
        ((PASSED, FAILED, FAILED), FAILED),
        ((FAILED, PASSED), PASSED),  # it did not come back
        ((FAILED, PASSED, FAILED), FAILED),
        ((PASSED, Outcome.SKIPPED, Outcome.ERROR), Outcome.ERROR),
        # What could not run makes no failure good, and takes nothing from what passed.
        ((FAILED, Outcome.SKIPPED, Outcome.SKIPPED), FAILED),
        ((PASSED, Outcome.SKIPPED, Outcome.SKIPPED), PASSED),
        ((Outcome.SKIPPED, PASSED, PASSED), PASSED),
    ],
)
def test_of_other_outcomes_the_most_frequent_counts(
    seen: tuple[Outcome, ...], counts: Outcome
) -> None:
    first, *more = seen
    again = [boot(Purpose.CONFIRM, a=outcome) for outcome in more]
    result = merged(boot(a=first, b=PASSED, c=PASSED), *again)
    assert result.tests[0].outcome is counts
    assert [attempt.outcome for attempt in result.tests[0].attempts] == list(seen)
    assert result.tests[0].is_flaky
    assert result.plan == PLAN


def test_of_repetitions_that_disagree_the_worse_counts() -> None:
    result = merged(boot(a=PASSED, b=PASSED, c=PASSED), boot(a=PASSED, b=FAILED, c=PASSED))
    assert outcomes(result) == ["passed", "failed", "passed"]
    assert result.tests[1].is_flaky


def test_what_never_reported_is_missing() -> None:
    result = merged(boot(a=PASSED, b=CRASHED))
    assert outcomes(result) == ["passed", "crashed", "missing"]
    assert "Kernel panic" in result.tests[2].message


def test_a_boot_that_failed_in_between_is_no_ending() -> None:
    failed = replace(boot(), boot=Boot(Status.BOOT_FAILED, "it stood still", "tcg"))
    result = merged(failed, boot(a=PASSED, b=PASSED, c=PASSED))
    assert result.status is Status.COMPLETED
    assert result.identity == _GUEST
    assert merged(failed, failed).status is Status.BOOT_FAILED


def test_a_run_that_was_stopped_says_so() -> None:
    stopped = replace(
        boot(Purpose.REST, b=PASSED),
        boot=Boot(Status.INTERRUPTED, "stopped in c", "tcg", _GUEST, stopped=True),
        records_lost=1,
    )
    first = boot(a=PASSED)
    assert merged(first, stopped).status is Status.INTERRUPTED
    assert merged(first, stopped).records_lost == 1
    # Once it is gone on with, what the stopped boot had not reported is not lost.
    whole = merged(stopped, boot(a=PASSED, b=PASSED, c=PASSED))
    assert (whole.status, whole.records_lost) == (Status.COMPLETED, 0)


@pytest.mark.parametrize(
    ("first", "again", "counts"),
    [
        (State.UNKNOWN, State.ABSENT, State.ABSENT),
        (State.ABSENT, State.ABSENT, State.ABSENT),
        (State.PRESENT, State.ABSENT, State.PRESENT),  # seen once is seen
        (State.ABSENT, State.PRESENT, State.PRESENT),
        (State.ABSENT, State.UNKNOWN, State.ABSENT),  # what could not tell has no say
        (State.ABSENT, State.UNREACHABLE, State.ABSENT),
    ],
)
def test_facts_that_run_again(first: State, again: State, counts: State) -> None:
    whole = with_fact(boot(a=PASSED, b=PASSED, c=PASSED), first)
    alone = with_fact(boot(Purpose.CONFIRM, a=PASSED), again)
    fact = merged(whole, alone, alone).facts.zero_copy["x"]
    assert fact.state is counts
    assert fact.shapes == 1


def test_present_once_in_several_boots_is_present() -> None:
    whole = with_fact(boot(a=PASSED, b=PASSED, c=PASSED), State.ABSENT)
    alone = [
        with_fact(boot(Purpose.CONFIRM, a=PASSED), state) for state in (State.PRESENT, State.ABSENT)
    ]
    assert merged(whole, *alone).facts.zero_copy["x"].state is State.PRESENT


def test_facts_of_the_rest_add_up() -> None:
    whole = with_fact(boot(a=PASSED, b=CRASHED), State.ABSENT)
    rest = with_fact(boot(Purpose.REST, c=PASSED), State.PRESENT)
    assert merged(whole, rest).facts.zero_copy["x"].state is State.PRESENT


def test_answers_that_most_boots_gave() -> None:
    def answering(purpose: Purpose, answer: str) -> ObservedBoot:
        return replace(boot(purpose, a=PASSED), transcripts={"recv": answer})

    first = answering(Purpose.PLAN, "EAGAIN")
    again = answering(Purpose.CONFIRM, "24")
    assert merged(first, again, again).transcripts == {"recv": "24"}
    assert merged(first, again).transcripts == {"recv": "EAGAIN"}


def test_two_beside_each_other_make_one_plan() -> None:
    result = merged(boot(a=PASSED), boot(Purpose.BESIDE, b=PASSED, c=FAILED))
    assert (result.status, result.plan) == (Status.COMPLETED, PLAN)
    assert outcomes(result) == ["passed", "passed", "failed"]
    assert (result.suite_seconds, result.wall_seconds) == (1.0, 4.0), "at the same time"


def _started(one: ObservedBoot, when: str) -> ObservedBoot:
    return replace(one, boot=replace(one.boot, started=when))


@pytest.mark.parametrize(
    ("first", "second", "seconds"),
    [
        ("2026-11-26T12:00:00.000+00:00", "2026-11-26T12:00:02.500+00:00", 6.5),
        ("2026-11-26T12:00:00+00:00", "2026-11-26T12:00:09+00:00", 13.0),
        ("2026-11-26T12:00:09.000+00:00", "2026-11-26T12:00:00.000+00:00", 4.0),  # a clock's jump
        ("", "2026-11-26T12:00:09.000+00:00", 4.0),
        ("2026-11-26T12:00:00", "2026-11-26T12:00:09.000+00:00", 4.0),
    ],
)
def test_the_second_of_two_may_begin_later(first: str, second: str, seconds: float) -> None:
    result = merged(
        _started(boot(a=PASSED), first),
        _started(boot(Purpose.BESIDE, b=PASSED), second),
    )
    assert result.wall_seconds == seconds


def test_what_each_of_two_says_of_itself_counts() -> None:
    """Of the same fact, and of the same test."""
    first = with_fact(boot(a=PASSED), State.ABSENT)
    beside = with_fact(boot(Purpose.BESIDE, a=FAILED, b=PASSED, c=PASSED), State.PRESENT)
    result = merged(first, beside)
    assert result.facts.named()["zero_copy.x"].state is State.PRESENT
    assert outcomes(result) == ["failed", "passed", "passed"]
    assert [attempt.boot for attempt in result.tests[0].attempts] == [1, 2]


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("which", [0, 1])
def test_either_of_two_may_be_the_one_that_says_how_it_went(killed: bool, which: int) -> None:
    two = [boot(a=PASSED), boot(Purpose.BESIDE, b=PASSED)]
    ended = replace(two[which].boot, status=Status.INTERRUPTED, killed=killed, stopped=not killed)
    two[which] = replace(two[which], boot=ended)
    result = merged(*two)
    assert result.status is Status.INTERRUPTED
    assert (result.status_exit == 3) is killed


def test_a_crash_of_one_of_two() -> None:
    result = merged(boot(a=PASSED), boot(Purpose.BESIDE, b=CRASHED), boot(Purpose.REST, c=PASSED))
    assert (result.status, result.fatal_test) == (Status.CRASHED, "b")
    assert outcomes(result) == ["passed", "crashed", "passed"]
    assert result.wall_seconds == 8.0


def _unheard(status: Status = Status.BOOT_FAILED, **known: Any) -> ObservedBoot:
    """A boot through the whole plan that died before anything was heard of it."""
    one = boot()
    silent = Boot(status, "it died", "tcg", **known)
    return replace(one, boot=silent, plan=())


def test_without_a_boot_that_tells_the_plan_it_is_not_known_what_is_left() -> None:
    """The one beside it ran, which is no whole."""
    beside = boot(Purpose.BESIDE, b=PASSED)
    for observed in ([_unheard(), beside], [_unheard(), beside, _unheard()]):
        result = merged(*observed)
        assert (result.status, result.status_exit) == (Status.INTERRUPTED, 3)
        assert "it died" in result.status_reason
    made_up_for = merged(_unheard(), beside, boot(a=PASSED, c=PASSED))
    assert made_up_for.status is Status.COMPLETED
    assert outcomes(made_up_for) == ["passed", "passed", "passed"]
    # What is known of it all the same: that it crashed, that somebody stopped it.
    assert merged(_unheard(), boot(Purpose.BESIDE, b=CRASHED)).status is Status.CRASHED
    stopped = replace(beside, boot=replace(beside.boot, status=Status.INTERRUPTED, stopped=True))
    result = merged(_unheard(), stopped)
    assert (result.status, result.status_exit) == (Status.INTERRUPTED, None)
