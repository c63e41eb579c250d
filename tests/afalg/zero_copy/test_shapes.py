"""Is a page shared in any of the shapes in which it can be handed over?

test_input.py looks at each path in one shape. Here are some hundred more of them
(shapes.py): every value of every dimension that the kernel could make its choice by, and
every pair of values. A path is ``present`` if one shape of it is, and the fact says what
tells those shapes from the others. A result that is of neither contents fails the test.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import credentials
import pytest
import restriction
import shape_probe
import shapes
from shape_probe import Told
from shapes import Shape
from unavailable import RESTRICT, Unavailable, skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import RecordFact
    from credentials import Credential
    from sharing import Sharing

#: The policy is a dimension here: it is opened and put back here.
pytestmark = [pytest.mark.widens_first_answer, pytest.mark.policy_as_booted]

_WHO = {
    "root": None,
    "nobody": credentials.NOBODY,
    "namespace_root": credentials.NAMESPACE_ROOT,
}


@dataclass(frozen=True)
class Probed:
    """A shape and what was seen of it."""

    shape: Shape
    told: Told

    @property
    def state(self) -> str:
        """Its state."""
        return self.told.state


#: What unshare(2) answers where there are no user namespaces, or none for such a process.
_NO_NAMESPACE = frozenset({"EINVAL", "EPERM", "ENOSPC", "EUSERS"})

#: So few at once that a busy machine is through with them long before a test's time is up.
_AT_ONCE = 8
_Group = tuple[Shape, ...]


def _groups() -> dict[str, _Group]:
    """The shapes in groups of one policy and one credential, each with a name."""
    table = shapes.load()
    groups: dict[str, _Group] = {}
    for policy, who in dict.fromkeys((shape.policy, shape.who) for shape in table):
        mine = [shape for shape in table if (shape.policy, shape.who) == (policy, who)]
        for number, at in enumerate(range(0, len(mine), _AT_ONCE), 1):
            groups[f"{who}-{policy}-{number}"] = tuple(mine[at : at + _AT_ONCE])
    return groups


_GROUPS = _groups()


class Prober:
    """Probes groups of shapes, each once."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._pool = shape_probe.Pool()
        self._seen: dict[str, list[Probed]] = {}

    def close(self) -> None:
        """Close the files of the pool."""
        self._pool.close()

    def group(self, name: str) -> list[Probed]:
        """What was seen of the shapes of a group."""
        if name not in self._seen:
            group = _GROUPS[name]
            opened = 0 if group[0].policy == "opened" and RESTRICT.exists() else None
            with restriction.Policy().at(opened):
                self._seen[name] = self._probe_as(_WHO[group[0].who], group)
        return self._seen[name]

    def _probe_as(self, credential: Credential | None, group: _Group) -> list[Probed]:
        def tell_all() -> list[dict[str, Any]]:
            probe = shape_probe.Probe(self._pool)
            try:
                return [asdict(probe.tell(shape)) for shape in group]
            finally:
                probe.close()

        try:
            seen = tell_all() if credential is None else credentials.run_as(credential, tell_all)
        except Unavailable as lack:
            state = "unreachable" if lack.reason.errno in _NO_NAMESPACE else "unknown"
            return [Probed(shape, Told(state, str(lack), lack.reason)) for shape in group]
        return [
            Probed(shape, self._settled(shape, _read(told)))
            for shape, told in zip(group, seen, strict=True)
        ]

    def _settled(self, shape: Shape, told: Told) -> Told:
        """Whether pages that were not shared are a void probe's, or a source's that copies."""
        if told.state != "unshared":
            return told
        refusal = self._sharing.refusal(shape.source, shape.way)
        if refusal is None:
            return replace(told, state="unknown")
        return Told("unreachable", str(refusal), refusal.reason)


def _read(told: dict[str, Any]) -> Told:
    reason = told.pop("reason")
    if reason is not None:
        reason = Reason(**{**reason, "cause": Cause(reason["cause"])})
    return Told(**told, reason=reason)


@pytest.fixture(scope="module")
def prober(sharing: Sharing) -> Iterator[Prober]:
    """One for all tests here: a group that one of them probed is not probed again."""
    one = Prober(sharing)
    yield one
    one.close()


@pytest.mark.parametrize("group", _GROUPS)
def test_group(group: str, prober: Prober) -> None:
    """Is the result that of the old pages or of the new ones, in each shape of this group?"""
    seen = prober.group(group)
    corrupt = [f"{one.shape}: {one.told.words}" for one in seen if one.state == "corrupt"]
    assert not corrupt, f"result of neither the old nor the new pages: {'; '.join(corrupt)}"
    _skip_if_untold(seen)


@pytest.mark.parametrize("kind", ["skcipher", "aead", "aead_aad"])
def test_input(kind: str, prober: Prober, record_fact: RecordFact) -> None:
    """Is a page still read after it was sent, in any of the shapes of this kind of input?"""
    mine = [one for name in _GROUPS for one in prober.group(name) if one.shape.kind == kind]
    copied = [one.shape for one in mine if one.state == "absent"]
    shared = [one.shape for one in mine if one.state == "present"]
    why = shapes.explain(shared, copied)
    for path in dict.fromkeys(one.shape.path for one in mine):
        _record(path, [one for one in mine if one.shape.path == path], why, record_fact)
    _skip_if_untold(mine)


def _skip_if_untold(seen: list[Probed]) -> None:
    if not any(one.state in {"present", "absent"} for one in seen):
        first = seen[0].told
        skip(f"no shape could be told: {first.words}", first.reason or Reason(Cause.OTHER))


def _record(path: str, seen: list[Probed], why: str, record_fact: RecordFact) -> None:
    """Record what these shapes of a path told, or why none of them did.

    Where one shape is unknown it might be the one that shares, and so is the path.
    """
    shared = [one.shape for one in seen if one.state == "present"]
    copied = [one.shape for one in seen if one.state == "absent"]
    unknown = [one.told for one in seen if one.state == "unknown"]
    told = len(shared) + len(copied)
    words = f"shared in {len(shared)} of {told} shapes" if told else "no shape was told"
    if shared:
        words += f" ({why or 'whatever the shape'}; one is: {shared[0]})"
    untold = Counter(
        f"{one.state}: {one.told.words}" for one in seen if one.state in {"unreachable", "unknown"}
    )
    words += "".join(f"; {count} not told, {said}" for said, count in untold.most_common(2))
    if shared:
        state, reason = "present", None
    elif unknown:
        state, reason = "unknown", _why(unknown)
    elif copied:
        state, reason = "absent", None
    else:
        state, reason = "unreachable", _why([one.told for one in seen])
    kind, _, way = path.partition(".")
    record_fact(
        f"zero_copy.{kind}.{way}",
        state=state,
        control="fired" if told else "not_run",
        evidence=words,
        reason=reason,
        shapes=told,
    )


def _why(untold: list[Told]) -> Reason:
    """Of shapes that could not be told, the reason that says most of the kernel."""
    reasons = [told.reason or Reason(Cause.OTHER) for told in untold]
    return next((reason for reason in reasons if reason.cause is not Cause.HOST), reasons[0])
