"""What earlier runs say of a test, and what that is worth in judging this one.

A failure is put down to chance only if three things hold: it did not come back in every boot
of this run, the test is known to fail now and then on the very baseline that it is held
against, and it failed no more often than it does there. How a candidate itself fared before
excuses nothing: that it is flaky may be what is wrong with it.
"""

from __future__ import annotations

from math import comb

from harness.model import FAILURES, FATAL, EarlierRecord, KernelResult, Outcome, TestResult

#: Boots of a record from which anything is concluded.
FEWEST = 10
#: What is less probable than that is no chance.
_IMPROBABLE = 0.05


def is_flaky(record: EarlierRecord | None) -> bool:
    """Whether a test is known to come to this and that where nothing differs."""
    return record is not None and record.boots >= FEWEST and 0 < record.passes < record.boots


def chance(test: TestResult, baseline: KernelResult | None) -> str:
    """Why the failure of ``test`` is no more than chance; "" if it may well be more."""
    record = baseline.earlier.get(test.id) if baseline is not None else None
    told = [one.outcome for one in test.attempts if one.outcome in FAILURES | {Outcome.PASSED}]
    failures = sum(outcome is not Outcome.PASSED for outcome in told)
    if baseline is None or record is None or not is_flaky(record) or test.charged:
        return ""
    if not 0 < failures < len(told) or FATAL.intersection((test.outcome, *told)):
        return ""
    rate = (record.boots - record.passes) / record.boots
    if _at_least(failures, len(told), rate) < _IMPROBABLE:
        return ""
    return f"flaky on the baseline {baseline.release} as well, which {_failed(record)}"


def no_fix(test: str, baseline: KernelResult) -> str:
    """Why it is no fix that ``test`` passes now; "" if it may well be one."""
    record = baseline.earlier.get(test)
    if record is None or not is_flaky(record):
        return ""
    return f"flaky on the baseline {baseline.release}, which {_failed(record)}"


def known_of(test: str, kernel: KernelResult, baseline: KernelResult | None) -> str:
    """What is to be said with a failure that stands: ``; flaky before: ...``, or "".

    Also that it was steady: then it is all the more news.
    """
    for one, name in ((baseline, "the baseline"), (kernel, "this kernel")):
        record = one.earlier.get(test) if one is not None else None
        if record is None or record.boots < FEWEST:
            continue
        if is_flaky(record):
            return f"; flaky before, on {name}: {_failed(record)}"
        if record.passes:
            return f"; steady before, on {name}: passed in all of {record.boots} earlier boots"
    return ""


def _failed(record: EarlierRecord) -> str:
    return f"failed it in {record.boots - record.passes} of {record.boots} earlier boots"


def _at_least(count: int, of: int, rate: float) -> float:
    """How probable ``count`` failures or more ``of`` so many are at this rate."""
    return sum(comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(count, of + 1))
