"""What the witnesses of a zero-copy path say: a probe, the kernel's own probes, its code.

The code has a say where input is judged: a path that probes saw copied, in whatever shapes,
while calls still lead from there to what takes pages, is not known to be gone. A probe that
saw the page itself is right whatever the code seems to say: where ``get_page()`` is inlined
it may not be seen there.
"""

from __future__ import annotations

import re

from harness.judge.facts import Section, Weight, kind_of
from harness.model import CodeFinding, CodeWord, Fact, State, Witness

_BY_CODE = {State.PRESENT: CodeWord.CAN, State.ABSENT: CodeWord.CANNOT}
_TOLD = tuple(_BY_CODE)


def code_contradicts(name: str, fact: Fact) -> bool:
    """Whether a judged path was copied by all that was seen, and the code still can refer to
    pages."""
    kind = kind_of(name)
    judged = kind.section is Section.ZERO_COPY and kind.weight is Weight.JUDGED
    return judged and fact.state is State.ABSENT and _word(fact) is CodeWord.CAN


def contradiction(fact: Fact) -> str:
    """``copied in each of 14 shapes tried, but af_alg_sendmsg() still calls ...``."""
    tried = f"each of {fact.shapes} shapes tried" if fact.shapes > 1 else "the one shape tried"
    return f"copied in {tried}, but {_way_to_pages(fact.code)}"


def _way_to_pages(code: CodeFinding | None) -> str:
    if code is None or len(code.evidence) < 2:
        return "its code still can refer to pages"
    caller, taker = code.evidence[-2:]
    if re.fullmatch(r"\w+", taker):
        return f"{caller}() still calls {taker}()"
    return f"its code still leads there: {' -> '.join(code.evidence)}"


def marks(name: str, fact: Fact) -> str:
    """A letter for each witness that says what the fact says: ``pkc``; - silent, ! otherwise.

    "" where nobody but the probe was asked, or there is no state to agree with.
    """
    asked = fact.code is not None or fact.witness is not Witness.NONE
    if fact.state not in _TOLD or not asked:
        return ""
    if not kind_of(name).probed:
        return f"-k{_mark_of_code(fact)}"
    kprobe = {Witness.AGREED: "k", Witness.DISAGREED: "!"}.get(fact.witness, "-")
    return f"p{kprobe}{_mark_of_code(fact)}"


def _mark_of_code(fact: Fact) -> str:
    word = _word(fact)
    if word in (None, CodeWord.SILENT):
        return "-"
    return "c" if word is _BY_CODE[fact.state] else "!"


def evidence(name: str, fact: Fact) -> str:
    """What was seen of a fact, and which witnesses say the same: the evidence of its state."""
    said = [fact.evidence] if fact.evidence else []
    if fact.state in _TOLD and fact.code is not None:
        said.append(_of_code(name, fact, fact.code))
    if fact.state in _TOLD and fact.witness is Witness.SILENT:
        said.append("the witness inside the kernel could not be asked")
    return "; ".join(said)


def _of_code(name: str, fact: Fact, code: CodeFinding) -> str:
    told = f"the kernel's code {code.in_words()}"
    if code.word is CodeWord.SILENT:
        return f"the kernel's code is {code.in_words()}"
    if code_contradicts(name, fact):
        return contradiction(fact)
    if fact.state is State.ABSENT and code.word is CodeWord.CANNOT:
        return f"proven twice: {told}"
    return told


def _word(fact: Fact) -> CodeWord | None:
    return fact.code.word if fact.code is not None else None
