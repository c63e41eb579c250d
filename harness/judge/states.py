"""What a recorded fact is worth once its positive control is taken into account."""

from __future__ import annotations

from harness.judge.facts import kind_of
from harness.model import Control, Fact, State, Witness


def told_state(name: str, fact: Fact | None) -> State:
    """The state that ``fact`` tells; ``unknown`` if it is missing or void.

    A control that failed voids whatever was seen, and so does a witness inside the kernel
    that saw otherwise; a program that does its job without AF_ALG tells nothing of it.
    ``absent`` without a control that fired is void too: "did not see it" is no evidence if
    the probe might have been blind.
    """
    if fact is None or fact.witness is Witness.DISAGREED:
        return State.UNKNOWN
    if fact.control is Control.FAILED and fact.state is not State.UNREACHABLE:
        return State.UNKNOWN
    uncontrolled = fact.control is not Control.FIRED and kind_of(name).needs_control
    if fact.state is State.ABSENT and uncontrolled:
        return State.UNKNOWN
    return fact.state


def why_unknown(fact: Fact | None) -> str:
    """One phrase on why a state is unknown."""
    if fact is None:
        return "never recorded"
    if fact.witness is Witness.DISAGREED:
        return f"the witness inside the kernel saw otherwise: {fact.evidence}".rstrip(": ")
    if fact.control is Control.FAILED:
        return "the control failed, so the observation is void"
    if fact.state is State.ABSENT:
        return "recorded as absent without a control, so the observation is void"
    return fact.evidence or "the probe did not run"
