"""Root causes as reports that people pass on tell them: each once, with all kernels it is on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.judge import facts
from harness.judge.causes import Origin, RootCause
from harness.report.answer import Answer
from harness.report.overview import brief


@dataclass(frozen=True)
class SharedCause:
    """A cause, and what the kernels are called that have it."""

    cause: RootCause  # as the first of them has it
    names: tuple[str, ...]


def shared_causes(told: Iterable[tuple[str, Answer]]) -> tuple[SharedCause, ...]:
    """All for which a run fails or does not know, each once; ``told`` names the kernels."""
    alike: dict[tuple[str, bool], tuple[RootCause, list[str]]] = {}
    for name, answer in told:
        for cause in gating_once(answer):
            key = (cause.sentence, cause.unknown)
            alike.setdefault(key, (cause, []))[1].append(name)
    return tuple(SharedCause(cause, tuple(names)) for cause, names in alike.values())


def gating_once(answer: Answer) -> tuple[RootCause, ...]:
    """All for which a run fails by a kernel; a loss that its verdict tells of is not told again."""
    told: set[str] = set()
    found = []
    for cause in answer.gating:
        if not cause.ids or not told.issuperset(cause.ids):
            found.append(cause)
        told.update(cause.ids)
    return tuple(found)


def seen(cause: RootCause) -> Sequence[str]:
    """What was seen of each id, if there are several; of paths alike their names, and one of it."""
    if len(cause.lines) < 2 or cause.origin is not Origin.ZERO_COPY:
        return cause.lines if len(cause.lines) > 1 else ()
    paths = brief(list(map(facts.short_name, cause.ids)))
    return (*paths.replace("), ", ")\n").splitlines(), f"the first: {cause.lines[0]}")
