"""What the next boot runs, on simulated kernels: nothing is booted here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.defaults import MOST_BOOTS
from harness.guest.schedule import WHOLE, Limits, Order, next_order
from harness.model import Boot, ConsoleEvent, GuestIdentity, Outcome, Purpose, Status

_GUEST = GuestIdentity("6.12", "#1", "x86_64", "", "n")
_PANIC = ConsoleEvent("panic", "Kernel panic", 1.0)
_INT3 = ConsoleEvent("oops", "Oops: int3: 0000 [#1] SMP NOPTI", 1.0)


@dataclass
class Kernel:
    """A kernel that dies in some tests; what it does in each boot is told by its number."""

    plan: Sequence[str]
    kills: Callable[[str, int], bool] = lambda _test, _boot: False
    boots: list[Boot] = field(default_factory=list)
    hangs: bool = False

    def boot(self, order: Order) -> Boot:
        """One boot; the first test that kills it ends it."""
        number = len(self.boots) + 1
        outcomes: dict[str, Outcome] = {}
        fatal = ""
        for test in order.tests or self.plan:
            if self.kills(test, number):
                fatal = test
                outcomes[test] = Outcome.TIMEOUT if self.hangs else Outcome.CRASHED
                break
            outcomes[test] = Outcome.PASSED
        died = Status.HUNG if self.hangs else Status.CRASHED
        return Boot(
            died if fatal else Status.COMPLETED,
            accel="tcg",
            identity=_GUEST,
            number=number,
            purpose=order.purpose,
            round=order.round,
            asked=order.tests,
            fatal_test=fatal,
            outcomes=outcomes,
        )

    def run(self, limits: Limits = Limits()) -> list[Order]:  # noqa: B008
        """Boot until it is over; the orders in turn."""
        orders: list[Order] = []
        while (order := next_order(self.plan, self.boots, limits)) is not None:
            orders.append(order)
            self.boots.append(self.boot(order))
            assert len(orders) < 1000
        return orders


PLAN = tuple(f"t{number}" for number in range(12))


def test_a_kernel_that_lives_is_booted_once() -> None:
    assert Kernel(PLAN).run() == [WHOLE]


@pytest.mark.parametrize("hangs", [False, True])
def test_the_rest_goes_on_and_what_died_runs_alone(hangs: bool) -> None:
    """Of twelve tests three kill it: seven boots, and the nine others have an outcome."""
    bad = {"t2", "t5", "t8"}
    kernel = Kernel(PLAN, lambda test, _: test in bad, hangs=hangs)
    assert kernel.run() == [
        WHOLE,
        Order(Purpose.REST, PLAN[3:]),
        Order(Purpose.REST, PLAN[6:]),
        Order(Purpose.REST, PLAN[9:]),
        *(Order(Purpose.ALONE, (test,)) for test in ("t2", "t5", "t8")),
    ]


def test_what_does_not_die_again_runs_alone_twice() -> None:
    kernel = Kernel(PLAN, lambda test, boot: (test, boot) == ("t11", 1))
    assert kernel.run() == [WHOLE, *2 * [Order(Purpose.ALONE, ("t11",))]]


def test_a_crash_at_the_second_time_alone_is_enough() -> None:
    kernel = Kernel(PLAN, lambda test, boot: test == "t11" and boot in (1, 3))
    assert kernel.run() == [WHOLE, *2 * [Order(Purpose.ALONE, ("t11",))]]


def test_there_is_a_limit() -> None:
    kernel = Kernel(PLAN, lambda _test, _boot: True)
    assert len(kernel.run(Limits(boots=5))) == 5


@given(st.sets(st.sampled_from(PLAN)), st.integers(1, 30))
def test_nothing_is_run_twice_and_all_that_fits_is_run(bad: set[str], limit: int) -> None:
    kernel = Kernel(PLAN, lambda test, _: test in bad)
    orders = kernel.run(Limits(boots=limit))
    assert len(orders) <= limit
    through = [boot for boot in kernel.boots if boot.purpose is not Purpose.ALONE]
    ran = [test for boot in through for test in boot.outcomes]
    assert len(ran) == len(set(ran))
    if limit >= 2 * len(bad) + 1:
        assert set(ran) == set(PLAN)
        alone = [boot.asked for boot in kernel.boots if boot.purpose is Purpose.ALONE]
        assert sorted(alone) == sorted((test,) for test in bad)


def test_repetition_is_the_whole_plan_in_fresh_boots() -> None:
    kernel = Kernel(PLAN, lambda test, boot: (test, boot) == ("t3", 1))
    orders = kernel.run(Limits(repeat=2))
    assert orders == [
        WHOLE,
        Order(Purpose.REST, PLAN[4:]),
        *2 * [Order(Purpose.ALONE, ("t3",))],
        Order(round=2),
    ]


def _unheard(status: Status = Status.BOOT_FAILED, **known: object) -> Boot:
    return Boot(status, accel="tcg", **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("boots", "order"),
    [
        ([_unheard(console_events=(_PANIC,))], WHOLE),
        ([_unheard()], WHOLE),  # it stood still, which may be the emulator's doing
        ([_unheard(), _unheard()], None),
        ([Boot(Status.BOOT_FAILED, accel="kvm")], None),
        ([Boot(Status.BOOT_FAILED, accel="kvm", console_events=(_PANIC,))], WHOLE),
        ([_unheard(Status.INTERRUPTED, killed=True)], WHOLE),  # QEMU failed, not the kernel
        ([_unheard(Status.INTERRUPTED, stopped=True)], WHOLE),  # of a run that is gone on with
        # Of two causes none has come twice.
        ([_unheard(Status.INTERRUPTED, killed=True), _unheard()], WHOLE),
        ([_unheard(), _unheard(Status.INTERRUPTED, killed=True)], WHOLE),
        ([_unheard(console_events=(_INT3, _PANIC)), _unheard(console_events=(_PANIC,))], WHOLE),
        ([_unheard(), _unheard(Status.INTERRUPTED, killed=True), _unheard()], None),
        (2 * [_unheard(Status.INTERRUPTED, killed=True)], None),
        (2 * [_unheard(console_events=(_INT3, _PANIC))], None),
    ],
)
def test_of_a_boot_that_nothing_was_heard_of(boots: list[Boot], order: Order | None) -> None:
    assert next_order((), boots, Limits()) == order


def test_a_boot_that_the_emulator_ended_is_none_of_the_kernel() -> None:
    """The limit is of the kernel's boots."""
    once = Limits(boots=1)
    assert next_order((), [_unheard(console_events=(_INT3, _PANIC))], once) == WHOLE
    assert next_order((), [_unheard(console_events=(_PANIC,))], once) is None
    assert next_order((), 2 * [_unheard(console_events=(_INT3, _PANIC))], once) is None


def test_after_a_boot_that_the_emulation_ended_the_rest_goes_on() -> None:
    proved = replace(_INT3, lines=("Code: 55 53 66 <90> e8",))
    ran = Kernel(PLAN).boot(WHOLE)
    ended = replace(
        ran,
        status=Status.INTERRUPTED,
        killed=True,
        console_events=(proved, _PANIC),
        outcomes=dict.fromkeys(PLAN[:3], Outcome.PASSED),
    )
    assert next_order(PLAN, [ended], Limits(boots=1)) == Order(Purpose.REST, PLAN[3:])
    outside = replace(ended, console_events=())
    assert next_order(PLAN, [outside], Limits()) is None
    silent = replace(ended, outcomes={})
    assert next_order(PLAN, [silent, silent], Limits()) is None


def test_another_kernel_than_the_one_asked_for_is_not_asked_again() -> None:
    assert next_order((), [Boot(Status.BOOT_FAILED, identity=_GUEST)], Limits()) is None


def test_a_boot_in_the_midst_that_fails_is_made_up_for() -> None:
    rest = Order(Purpose.REST, PLAN[3:])
    died = Kernel(PLAN, lambda test, _: test == "t2").boot(WHOLE)
    failed = Boot(Status.BOOT_FAILED, accel="tcg", number=2, purpose=Purpose.REST, asked=PLAN[3:])
    assert next_order(PLAN, [died, failed], Limits()) == rest
    assert next_order(PLAN, [died, failed, failed], Limits()) is None


def test_what_was_stopped_goes_on_where_it_ended() -> None:
    stopped = Boot(
        Status.INTERRUPTED,
        identity=_GUEST,
        stopped=True,
        outcomes=dict.fromkeys(PLAN[:4], Outcome.PASSED),
    )
    assert next_order(PLAN, [stopped], Limits()) == Order(Purpose.REST, PLAN[4:])
    assert next_order((), [stopped], Limits()) == WHOLE


def test_what_was_killed_from_outside_is_not_gone_on_with() -> None:
    killed = Boot(Status.INTERRUPTED, identity=_GUEST, killed=True)
    assert next_order(PLAN, [killed], Limits()) is None


def test_deaths_outside_any_test_end_where_nothing_moves() -> None:
    """Two boots in a row in which no test came to an end."""
    idle = Boot(Status.CRASHED, accel="tcg", identity=_GUEST)
    assert next_order(PLAN, [idle], Limits()) == Order(Purpose.REST, PLAN)
    assert next_order(PLAN, [idle, idle], Limits()) is None
    assert next_order((), [idle], Limits()) == WHOLE
    assert next_order((), [idle, idle], Limits()) is None


def test_a_death_after_the_last_test_leaves_nothing_to_run() -> None:
    outcomes = dict.fromkeys(PLAN, Outcome.PASSED)
    done = Boot(Status.CRASHED, accel="tcg", identity=_GUEST, outcomes=outcomes)
    assert next_order(PLAN, [done], Limits()) is None
    assert MOST_BOOTS >= 7


class _Pair(Kernel):
    """A kernel whose first boot has another beside it, for the second half of the plan."""

    def begin(self, first: Boot, beside: Boot) -> None:
        self.boots += [first, beside]

    def half(self, *, second: bool, dies_in: str = "") -> Boot:
        """One of the two."""
        mine = [test for test in self.plan if (test >= "t6") is second]
        until = mine.index(dies_in) + 1 if dies_in else len(mine)
        outcomes = dict.fromkeys(mine[:until], Outcome.PASSED)
        outcomes |= {dies_in: Outcome.CRASHED} if dies_in else {}
        return Boot(
            Status.CRASHED if dies_in else Status.COMPLETED,
            accel="tcg",
            identity=_GUEST,
            purpose=Purpose.BESIDE if second else Purpose.PLAN,
            asked=("file",) if second else (),
            left=() if second else ("file",),
            fatal_test=dies_in,
            outcomes=outcomes,
        )


_TEN = tuple(f"t{number}" for number in range(10))
_KILLED = {"status": Status.INTERRUPTED, "killed": True}
_STOPPED = {"status": Status.INTERRUPTED, "stopped": True}
_UNHEARD = {"status": Status.BOOT_FAILED, "identity": None}


def _pair(first: dict[str, Any], second: dict[str, Any]) -> tuple[_Pair, list[Order]]:
    """``first`` and ``second``: what is otherwise in a boot that completes."""
    kernel = _Pair(_TEN)
    boots = []
    for number, changes in enumerate((first, second)):
        dies_in = changes.pop("dies_in", "")
        boot = kernel.half(second=bool(number), dies_in=dies_in)
        boots.append(replace(boot, **changes))
    kernel.begin(*boots)
    return kernel, kernel.run()


def test_two_that_complete_are_all() -> None:
    assert _pair({}, {})[1] == []


@pytest.mark.parametrize(
    ("first", "second", "orders"),
    [
        ({"dies_in": "t2"}, {}, [(Purpose.REST, _TEN[3:6]), (Purpose.ALONE, ("t2",))]),
        ({}, {"dies_in": "t7"}, [(Purpose.REST, _TEN[8:]), (Purpose.ALONE, ("t7",))]),
        (
            {"dies_in": "t2"},
            {"dies_in": "t7"},
            [
                (Purpose.REST, (*_TEN[3:6], *_TEN[8:])),
                (Purpose.ALONE, ("t2",)),
                (Purpose.ALONE, ("t7",)),
            ],
        ),
        ({}, {**_UNHEARD, "outcomes": {}}, [(Purpose.REST, _TEN[6:])]),
        ({**_STOPPED, "outcomes": {"t0": Outcome.PASSED}}, {}, [(Purpose.REST, _TEN[1:6])]),
        ({}, {**_STOPPED, "outcomes": {}}, [(Purpose.REST, _TEN[6:])]),
        ({}, {**_STOPPED, "identity": None, "outcomes": {}}, [(Purpose.REST, _TEN[6:])]),
        # It says nothing of the kernel, and so does what is then missing.
        ({**_KILLED, "outcomes": {}}, {}, []),
        ({}, {**_KILLED, "outcomes": {}}, []),
    ],
)
def test_what_one_of_two_does_not_bring_is_run(
    first: dict[str, Any], second: dict[str, Any], orders: list[tuple[Purpose, tuple[str, ...]]]
) -> None:
    kernel, seen = _pair(dict(first), dict(second))
    kills = [order for order in seen if order.purpose is Purpose.ALONE]
    assert [(order.purpose, order.tests) for order in seen if order not in kills] == [
        order for order in orders if order[0] is not Purpose.ALONE
    ]
    assert list(dict.fromkeys((order.purpose, order.tests) for order in kills)) == [
        order for order in orders if order[0] is Purpose.ALONE
    ]
    lost = any(boot.killed for boot in kernel.boots)
    assert lost or {test for boot in kernel.boots for test in boot.outcomes} == set(_TEN)


@pytest.mark.parametrize("first", [_UNHEARD, {**_STOPPED, "identity": None}, _STOPPED])
def test_no_plan_is_made_of_a_part(first: dict[str, Any]) -> None:
    """The first guest said nothing, or did not collect: all of it is run anew."""
    kernel = _Pair(_TEN)
    kernel.begin(
        replace(kernel.half(second=False), **{**first, "outcomes": {}}), kernel.half(second=True)
    )
    assert next_order((), kernel.boots, Limits()) == WHOLE


def test_a_repetition_follows_two() -> None:
    kernel = _Pair(_TEN)
    kernel.begin(kernel.half(second=False), kernel.half(second=True))
    assert kernel.run(Limits(repeat=2)) == [Order(round=2)]
