"""Two kernels' answers to the same sequences of calls -> the shortest that tell them apart.

A transcript is the text of a sequence (``skcipher cbc(aes) key16: send 24 more; recv 24``)
and the answers to its calls, in the same order. The suite plays every subsequence of what
it draws (tests/afalg/sequences.py), so that shrinking needs no kernel: the beginnings of a
sequence are known with it, and a sequence is minimal if it differs and nothing that is left
of it without some of its calls does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from harness.model import Change, ChangeClass, KernelResult, Reproducer

#: First folder of the ids of such changes, and of the tests that record transcripts.
SUITE = "differential"
_SEPARATOR = "; "
_OTHERS = 20  # sequences told beside the shortest


@dataclass(frozen=True)
class Divergence:
    """A sequence whose last call, and no earlier one, is answered differently."""

    subject: str  # "skcipher cbc(aes) key16"
    calls: tuple[str, ...]
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]

    @property
    def last(self) -> tuple[str, str, str]:
        """The call that tells the kernels apart, and both answers to it."""
        return self.calls[-1], self.baseline[-1], self.candidate[-1]

    @property
    def type(self) -> str:
        """The type of the algorithm: skcipher, aead, hash, rng."""
        return self.subject.partition(" ")[0]

    def text(self) -> str:
        """The sequence as text."""
        return f"{self.subject}: {_SEPARATOR.join(self.calls)}"


def divergences(baseline: Mapping[str, str], candidate: Mapping[str, str]) -> list[Divergence]:
    """Every sequence that both answered, cut after the first call answered differently."""
    found: dict[tuple[str, tuple[str, ...]], Divergence] = {}
    for text, before in baseline.items():
        after = candidate.get(text, before)
        if before == after:
            continue
        subject, _, rest = text.partition(": ")
        calls, was, now = (tuple(part.split(_SEPARATOR)) for part in (rest, before, after))
        until = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), None)
        if until is None or until >= len(calls):
            continue  # cut short: nothing both answered differs
        end = until + 1
        one = Divergence(subject, calls[:end], was[:end], now[:end])
        found[one.subject, one.calls] = one
    return list(found.values())


def minimal(found: Iterable[Divergence]) -> list[Divergence]:
    """Those of which no shorter one is left when some calls are left out, shortest first."""
    kept: dict[str, list[Divergence]] = {}
    for one in sorted(found, key=lambda one: (len(one.calls), len(one.text()), one.text())):
        shorter = kept.setdefault(one.subject, [])
        if not any(_is_subsequence(other.calls, one.calls) for other in shorter):
            shorter.append(one)
    every = [one for subject in kept.values() for one in subject]
    return sorted(every, key=lambda one: (len(one.calls), len(one.text()), one.text()))


def _is_subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    rest = iter(whole)
    return all(call in rest for call in part)


@dataclass(frozen=True)
class KnownAnswer:
    """A change of the kernel by which it answers a call differently, on purpose.

    ``explains`` says whether a divergence bears its signature, in the direction old to new.
    """

    name: str
    commit: str  # mainline
    explains: Callable[[Divergence], bool]

    @property
    def explanation(self) -> str:
        """The sentence for people."""
        return f"{self.name} ({self.commit})"


#: A number of bytes: no kernel says more digits, and a stored run may hold any text.
_COUNT = "[0-9]{1,18}"
_RECEIVED = re.compile(
    rf"(?:.*, )?({_COUNT})(?: ([0-9a-f]{{8}}))?((?: hole {_COUNT}-{_COUNT})*)( beyond)?( trunc)?"
)
_FED = re.compile(rf"fed ({_COUNT})\b")


def _number(text: str) -> int | None:
    """The number that ``text`` is, None if it is none."""
    return int(text) if re.fullmatch(_COUNT, text) else None


def _size(call: str) -> int:
    """The number that follows a call's verb, 0 if there is none."""
    words = call.split()
    return (_number(words[1]) or 0) if len(words) > 1 else 0


def _verb(call: str) -> str:
    return call.partition(" ")[0]


def _final(answer: str) -> str:
    """The end of an answer, without what was seen while the call slept."""
    return answer.rpartition(", ")[2]


def _chunk(subject: str) -> int:
    return 64 if "chacha" in subject else 16


def _no_whole_block(one: Divergence) -> bool:
    call, before, after = one.last
    return (
        one.type == "skcipher"
        and _verb(call) in {"recv", "wait"}
        and _size(call) > 0
        and (_final(before), _final(after)) == ("0", "EINVAL")
    )


def _whole_blocks(one: Divergence) -> int | None:
    """Bytes of the blocks that are sent and not read, if a part of a block follows them.

    None if it does not, or if no more data is announced (MSG_MORE); 0 if it is not known.
    """
    pending, more = 0, False
    for call, answer in zip(one.calls[:-1], one.baseline[:-1], strict=True):
        received = _RECEIVED.fullmatch(answer)
        fed = _FED.search(answer)
        if _verb(call) in {"send", "splice"}:
            taken = _number(answer)
            if taken is not None:
                pending += taken
                more = call.endswith(" more")
        elif _verb(call) in {"recv", "wait"}:
            if received is None and answer != "EAGAIN" and _size(call) >= _chunk(one.subject):
                return 0  # nobody knows what a receive that failed has used up
            if fed:
                pending += int(fed.group(1))
                more = False
            pending -= int(received.group(1)) if received else 0
    chunk = _chunk(one.subject)
    partial = pending % chunk
    return pending - partial if more and pending > chunk and partial else None


def _rewound(one: Divergence) -> bool:
    call, before, after = one.last
    blocks = _whole_blocks(one) if one.type == "skcipher" and _verb(call) == "wait" else None
    was, now = _RECEIVED.fullmatch(before), _RECEIVED.fullmatch(after)
    if blocks is None or was is None or not after.startswith("waits"):
        return False
    got = int(was.group(1))
    if " hole " in before or before.endswith(" beyond"):
        # The rest of the output went in after a gap.
        return got > blocks and " hole " not in after
    if not before.startswith("waits"):
        return 0 < got < _size(call)  # returned with what there was
    # The buffer ended at the gap.
    return now is not None and int(now.group(1)) > got >= blocks


def _huge_assoclen(one: Divergence) -> bool:
    call, before, after = one.last
    return "assoclen2147483648" in call.split() and before.isdigit() and after == "EINVAL"


KNOWN_ANSWERS = (
    KnownAnswer(
        "a receive that leaves a partial block over under MSG_MORE goes on where its output "
        "ends, instead of leaving a gap or returning early",
        "2f90facc7b94",
        _rewound,
    ),
    KnownAnswer(
        "a receive buffer with no room for a whole block is refused instead of answered with "
        "0 bytes, fix of CVE-2026-31677",
        "8eceab19eba9",
        _no_whole_block,
    ),
    KnownAnswer(
        "an assoclen of 2^31 and more is refused, fix of CVE-2026-52972",
        "e4c06479d705",
        _huge_assoclen,
    ),
)


@dataclass(frozen=True)
class _Cause:
    """Why kernels differ, and what that amounts to."""

    cls: ChangeClass
    explanation: str


def _cause(one: Divergence) -> _Cause:
    for known in KNOWN_ANSWERS:
        if known.explains(one):
            return _Cause(ChangeClass.INTENDED, known.explanation)
    turned = replace(one, baseline=one.candidate, candidate=one.baseline)
    for known in KNOWN_ANSWERS:
        if known.explains(turned):
            return _Cause(ChangeClass.REGRESSED, f"as before this change: {known.explanation}")
    return _Cause(ChangeClass.REGRESSED, "answers differently, and no known change explains it")


def compare_transcripts(baseline: KernelResult, candidate: KernelResult) -> Iterator[Change]:
    """A change for each sort of divergence, with its shortest sequence as a reproducer."""
    causes: dict[_Cause, list[Divergence]] = {}
    for one in divergences(baseline.transcripts, candidate.transcripts):
        causes.setdefault(_cause(one), []).append(one)
    groups: dict[tuple[str, _Cause], list[Divergence]] = {}
    # Apart from each other, so that what is known hides nothing that is not.
    for cause, found in causes.items():
        for one in minimal(found):
            groups.setdefault((_name(one), cause), []).append(one)
    names: set[str] = set()
    for (name, cause), found in groups.items():
        # Two causes may look the same.
        tails = ("" if number == 1 else f"-{number}" for number in count(1))
        free = next(f"{name}{tail}" for tail in tails if name + tail not in names)
        names.add(free)
        yield _change(free, cause, found)


def _change(name: str, cause: _Cause, found: list[Divergence]) -> Change:
    first = found[0]
    _, before, after = first.last
    others = tuple(one.text() for one in found[1:])
    return Change(
        id=f"{SUITE}/{name}",
        cls=cause.cls,
        baseline=_told(before),
        candidate=_told(after),
        explanation=cause.explanation,
        reproducer=Reproducer(
            sequence=first.text(),
            baseline=first.baseline,
            candidate=first.candidate,
            others=others[:_OTHERS],
            others_left_out=len(others[_OTHERS:]),
        ),
    )


def _name(one: Divergence) -> str:
    """What differs, in words that are the same whatever the seed: ``skcipher.recv.0-EINVAL``."""
    call, before, after = one.last
    return f"{one.type}.{_verb(call)}.{_difference(before, after)}"


def _difference(before: str, after: str) -> str:
    waits = [answer.split(", ").count("waits") for answer in (before, after)]
    words = ("returns", "waits", "waits_again")
    if waits[0] != waits[1]:
        return "-".join(words[min(count, 2)] for count in waits)
    gaps = [" hole " in answer or answer.endswith(" beyond") for answer in (before, after)]
    if gaps[0] != gaps[1]:
        return "gap-no_gap" if gaps[0] else "no_gap-gap"
    was, now = _ending(before), _ending(after)
    if was != now:
        return f"{was}-{now}"
    seen = [_RECEIVED.fullmatch(answer) for answer in (before, after)]
    if seen[0] is None or seen[1] is None:
        return "other"  # the same errno at the end, something else on the way there
    sizes = [int(one.group(1)) for one in seen if one is not None]
    if sizes[0] != sizes[1]:
        return "more_bytes" if sizes[0] < sizes[1] else "fewer_bytes"
    return "other_bytes"


def _ending(answer: str) -> str:
    """Sort of an answer: an errno, ``ok``, ``0``, ``taken`` or ``data``."""
    final = _final(answer)
    received = _RECEIVED.fullmatch(final)
    if received is None or final == "0":
        return final
    return "data" if received.group(2) else "taken"


def _told(answer: str) -> str:
    """An answer for people: ``waits, 16 bytes with CRC-32 a9a55df8``."""
    return re.sub(r"\b(\d+) ([0-9a-f]{8})\b", r"\1 bytes with CRC-32 \2", answer)
