"""What several tests recorded of one fact -> the fact."""

from __future__ import annotations

from dataclasses import replace

from harness.model import Fact, State, Witness

#: The strongest word first: a path is there if one shape of it is, and what one test cannot
#: tell is not made good by what another saw.
_STRENGTH = (State.PRESENT, State.UNKNOWN, State.ABSENT, State.UNREACHABLE)
_TOLD = (State.PRESENT, State.ABSENT)
#: A witness that contradicts one test, or could not be asked by one, is no witness to all.
_DOUBT = (Witness.DISAGREED, Witness.SILENT, Witness.AGREED, Witness.NONE)


def together(before: Fact | None, seen: Fact) -> Fact:
    """What a fact is once another test recorded it as well; of other words the last counts."""
    if before is None or not {before.state, seen.state} <= set(_STRENGTH):
        return seen
    stronger, weaker = sorted((before, seen), key=lambda fact: _STRENGTH.index(fact.state))
    words = dict.fromkeys(filter(None, (stronger.evidence, weaker.evidence)))
    tests = dict.fromkeys((stronger.test, *stronger.others, weaker.test, *weaker.others))
    joined = replace(
        stronger,
        evidence="; ".join(words),
        others=tuple(test for test in tests if test and test != stronger.test),
    )
    if stronger.state in _TOLD and weaker.state in _TOLD:
        joined = replace(joined, shapes=stronger.shapes + weaker.shapes)
    if stronger.state is weaker.state:
        witness = min(stronger.witness, weaker.witness, key=_DOUBT.index)
        joined = replace(joined, witness=witness)
    return joined
