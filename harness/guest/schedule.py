"""What a kernel's next boot is to run, given its boots so far; no input, no output.

After a boot in which the kernel died, the rest of the plan goes on in the next one. Then each
test in which it died runs once more alone, and once more still if it did not die again.

The first boot may have another one beside it, which takes a part of the plan off it. That plan
is whole all the same, so that what the other does not bring is left to run, as after a death.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from harness.defaults import MOST_BOOTS
from harness.emulator import emulator_fault
from harness.model import Boot, Outcome, Purpose, Status

#: In a row without a word of the guest for one cause, or without a step forward, before it is
#: given up.
_IN_VAIN = 2
#: A test in which the kernel died runs alone so often, unless it dies of it again before.
_TRIES_ALONE = 2


@dataclass(frozen=True)
class Order:
    """What a boot is to run."""

    purpose: Purpose = Purpose.PLAN
    tests: tuple[str, ...] = ()  # ids, or files of tests; (): all that was selected
    round: int = 1
    left: tuple[str, ...] = ()  # files whose tests are left to the guest beside it


WHOLE = Order()


@dataclass(frozen=True)
class Limits:
    """How much of it there may be."""

    boots: int = MOST_BOOTS  # of one kernel, for each repetition of the plan
    repeat: int = 1  # how often the whole plan is run, in fresh boots


def next_order(plan: Sequence[str], boots: Sequence[Boot], limits: Limits) -> Order | None:
    """What the next boot of a kernel is for; None if it is over.

    ``plan`` is what the guest of its first boot said that it would run, () if it said
    nothing; ``boots`` are all so far, those of an interrupted run included: what was stopped
    is gone on with.
    """
    if not boots:
        return WHOLE
    # What the emulator did to a guest is no boot of the kernel's.
    if sum(emulator_fault(boot) is None for boot in boots) >= limits.boots * limits.repeat:
        return None
    if not plan:  # only what goes through all that was selected tells it
        boots = [boot for boot in boots if boot.purpose is Purpose.PLAN]
        if not boots:
            return WHOLE
    last = boots[-1]
    if last.identity is None and last.purpose is not Purpose.BESIDE:
        return _once_more(boots)
    if any(boot.identity and _is_no_result(boot) for boot in last_ones(boots)):
        return None
    if not plan:
        return _same(last) if last.stopped or (last.died and not _in_vain(boots)) else None
    if last.stopped and last.purpose is Purpose.CONFIRM:
        return _same(last)
    return _of_round(plan, boots, last.round) or _next_round(last, limits)


def last_ones(boots: Sequence[Boot]) -> Sequence[Boot]:
    """The last boot, and if that was beside another one, this as well."""
    beside = bool(boots) and boots[-1].purpose is Purpose.BESIDE
    return boots[-2:] if beside else boots[-1:]


def _is_no_result(boot: Boot) -> bool:
    """Whether it was another kernel, or something outside ended it."""
    return boot.status is Status.BOOT_FAILED or (boot.killed and emulator_fault(boot) is None)


def _once_more(boots: Sequence[Boot]) -> Order | None:
    """After a boot of which nothing was heard."""
    last = boots[-1]
    if last.stopped:
        return _same(last)
    # One that was ended from outside, or by a known fault of the emulator, is no second
    # opinion on a kernel that died by itself.
    silent = list(takewhile(lambda boot: boot.identity is None, reversed(boots)))
    causes = Counter((boot.killed, emulator_fault(boot) is not None) for boot in silent)
    once_more = max(causes.values()) < _IN_VAIN and _may_be_the_emulator(last)
    return _same(last) if once_more else None


def _may_be_the_emulator(boot: Boot) -> bool:
    """Whether to try once more: before it was heard, a kernel died or stood still, or QEMU did.

    QEMU 7.2's TCG now and then lets a CPU run a stale ``int3`` of the kernel's live patching
    ("Oops: int3" at boot), or fails by an assertion of its own (msix_table_mmio_write()) while
    PCI devices are set up. What each boot amounts to is for the judge to say.
    """
    if boot.status is not Status.BOOT_FAILED:
        return boot.status is Status.INTERRUPTED and not boot.stopped
    return boot.deadly_report is not None or (boot.accel == "tcg" and not boot.killed)


def _same(boot: Boot) -> Order:
    return Order(boot.purpose, boot.asked, boot.round)


def _of_round(plan: Sequence[str], boots: Sequence[Boot], number: int) -> Order | None:
    """What is left of one repetition of the plan."""
    mine = [boot for boot in boots if boot.round == number and boot.purpose is not Purpose.CONFIRM]
    whole = [boot for boot in mine if boot.purpose is not Purpose.ALONE]
    culprits = culprits_of(whole)
    known = {test for boot in whole for test in boot.outcomes} | set(culprits)
    rest = tuple(test for test in plan if test not in known)
    tried = [boot for boot in whole if boot.identity or boot.purpose is Purpose.BESIDE]
    if rest and any(map(_was_cut_short, last_ones(tried))) and not _in_vain(whole):
        return Order(Purpose.REST, rest, number)
    for culprit in culprits:
        alone = [
            boot
            for boot in mine
            if boot.purpose is Purpose.ALONE and boot.asked == (culprit,) and not boot.stopped
        ]
        if len(alone) < _TRIES_ALONE and not any(died_again(boot, culprit) for boot in alone):
            return Order(Purpose.ALONE, (culprit,), number)
    return None


def _was_cut_short(boot: Boot) -> bool:
    """Whether what it did not run is left to run: all, if nothing was heard of it."""
    emulated = emulator_fault(boot) is not None
    return boot.identity is None or boot.died or boot.stopped or emulated


def _next_round(last: Boot, limits: Limits) -> Order | None:
    if last.round >= limits.repeat:
        return None
    return Order(round=last.round + 1)


def culprits_of(boots: Sequence[Boot]) -> tuple[str, ...]:
    """The tests in which a kernel died, in the order in which it did."""
    return tuple(dict.fromkeys(boot.fatal_test for boot in boots if boot.died and boot.fatal_test))


def died_again(boot: Boot, culprit: str) -> bool:
    """Whether a boot that ran ``culprit`` alone ended as the one before it."""
    return boot.died or boot.outcomes.get(culprit) in {Outcome.CRASHED, Outcome.TIMEOUT}


def _in_vain(boots: Sequence[Boot]) -> bool:
    """Whether the last boots in a row brought no outcome of any test, and blame none."""
    last = [boot for boot in boots if boot.identity is not None and not boot.stopped][-_IN_VAIN:]
    return len(last) == _IN_VAIN and not any(boot.outcomes or boot.fatal_test for boot in last)
