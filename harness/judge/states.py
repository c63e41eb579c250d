"""What a recorded fact is worth once its positive control is taken into account."""

from __future__ import annotations

from dataclasses import replace

from harness.judge.facts import kind_of
from harness.judge.witnesses import code_contradicts, contradiction
from harness.model import Control, Fact, State, Witness


def told_state(name: str, fact: Fact | None) -> State:
    """The state that ``fact`` tells; ``unknown`` if it is missing or void.

    A control that failed voids whatever was seen, and so does a witness inside the kernel
    that saw otherwise; a program that does its job without AF_ALG tells nothing of it.
    ``absent`` is not known where the code of the kernel still can do otherwise, and without
    a control that fired: "did not see it" is no evidence if the probe might have been
    blind.
    """
    if fact is None or fact.witness is Witness.DISAGREED:
        return State.UNKNOWN
    if fact.control is Control.FAILED and fact.state is not State.UNREACHABLE:
        return State.UNKNOWN
    uncontrolled = fact.control is not Control.FIRED and kind_of(name).needs_control
    if fact.state is State.ABSENT and (uncontrolled or code_contradicts(name, fact)):
        return State.UNKNOWN
    return fact.state


def only_code_contradicts(name: str, fact: Fact) -> bool:
    """Whether nothing but the kernel's code keeps a path from being told as gone.

    That is no proof of the opposite: code that can refer to pages may never do so.
    """
    silenced = told_state(name, replace(fact, code=None))
    return silenced is State.ABSENT and code_contradicts(name, fact)


def why_unknown(fact: Fact | None) -> str:
    """One phrase on why a state is unknown."""
    if fact is None:
        return "never recorded"
    if fact.witness is Witness.DISAGREED:
        return f"the witness inside the kernel saw otherwise: {fact.evidence}".rstrip(": ")
    if fact.control is Control.FAILED:
        return "the control failed, so the observation is void"
    if fact.control is Control.FIRED and fact.state is State.ABSENT and fact.code is not None:
        return contradiction(fact)
    if fact.state is State.ABSENT:
        return "recorded as absent without a control, so the observation is void"
    return fact.evidence or "the probe did not run"
