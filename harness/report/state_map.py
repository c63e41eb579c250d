"""States over versions: kernels downwards, facts across; facts that are alike share a column.

Of a kernel that was only fetched its code speaks (harness/static), in words of its own: that
it can refer to pages does not say that it ever does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from immutabledict import immutabledict

from harness.judge import facts
from harness.judge.facts import Section, Weight
from harness.judge.states import told_state
from harness.model import CodeWord, KernelResult, State

#: The word of a kernel of which nothing is known.
UNTOLD = ""
PAGE_CACHE = "page_cache_write"


@dataclass(frozen=True)
class KernelStates:
    """One kernel, and the state of each fact that is known of it."""

    name: str
    release: str  # "" if it is not known
    states: Mapping[str, State]  # full name of a fact -> what is told of it
    #: Way -> what the code says, of a kernel that nothing else is known of.
    code: Mapping[str, CodeWord] = field(default_factory=immutabledict)
    run: str = ""  # id of the newest run that told any of them
    seen: str = ""  # when that was begun; UTC, ISO 8601


def states_of(kernel: KernelResult, name: str) -> KernelStates:
    """What a run tells of the facts of ``kernel``, called ``name``."""
    told = {fact: told_state(fact, seen) for fact, seen in kernel.facts.named().items()}
    return KernelStates(name, kernel.release, immutabledict(told))


@dataclass(frozen=True)
class Shown:
    """A state in a word, and how it looks: a class in style.css."""

    word: str
    look: str  # good, bad, doubt, plain, pale, none


@dataclass(frozen=True)
class Column:
    """Facts that are alike on all kernels."""

    label: str
    names: tuple[str, ...]  # full names; () of what is no fact
    states: tuple[Shown, ...]  # of each kernel


@dataclass(frozen=True)
class Group:
    """Columns below one heading."""

    heading: str
    columns: tuple[Column, ...]


HEADINGS = {
    Section.ZERO_COPY: "zero-copy: is data used by reference?",
    Section.OTHER: "other facts",
    Section.PROGRAMS: "programs that use AF_ALG, as booted",
}
#: What the code says, as it is told of a kernel that was not booted.
CODE_WORDS = {CodeWord.CAN: "can", CodeWord.CANNOT: "cannot", CodeWord.SILENT: "silent"}


def state_of(kernel: KernelStates, name: str) -> Shown:
    """The state of the fact ``name``; what the code says if nothing else is known of a kernel."""
    state = kernel.states.get(name)
    if state is None:
        return _by_code(kernel, name)
    kind = facts.kind_of(name)
    if state is State.UNKNOWN:
        return Shown(state, "doubt")
    if state is State.UNREACHABLE:
        return Shown(state, "none")
    if kind.weight is Weight.REPORTED or kind.right is None:
        return Shown(state, "plain" if state in (State.PRESENT, State.WORKS) else "pale")
    if state is kind.right:
        return Shown(state, "good")
    return Shown(state, "bad" if kind.weight is Weight.JUDGED else "doubt")


def _by_code(kernel: KernelStates, name: str) -> Shown:
    word = kernel.code.get(facts.way_of(name))
    if word is None:
        return Shown(UNTOLD, "none")
    if word is CodeWord.SILENT:
        return Shown(CODE_WORDS[word], "none")
    judged = facts.kind_of(name).weight is Weight.JUDGED
    if word is CodeWord.CAN:
        return Shown(CODE_WORDS[word], "doubt" if judged else "plain")
    return Shown(CODE_WORDS[word], "pale")


def paths_of(kernels: Sequence[KernelStates]) -> tuple[str, ...]:
    """The zero-copy paths that any kernel has, then the page cache; all known ones by code."""
    found = dict.fromkeys(name for kernel in kernels for name in kernel.states)
    if any(kernel.code for kernel in kernels):
        found |= dict.fromkeys(facts.NAMES)
    known = {name: place for place, name in enumerate(facts.NAMES)}
    paths = sorted(
        (name for name in found if facts.kind_of(name).section is Section.ZERO_COPY),
        key=lambda name: known.get(name, len(known)),
    )
    return (*paths, *([PAGE_CACHE] if PAGE_CACHE in found else []))


def path_columns(kernels: Sequence[KernelStates]) -> tuple[Column, ...]:
    """Zero-copy paths and the page cache; whatever is alike on all kernels is one column."""
    return tuple(
        Column(_ways_in_words(names), tuple(names), states)
        for states, names in _alike(kernels, paths_of(kernels), lambda _: "")
    )


def path_groups(kernels: Sequence[KernelStates]) -> tuple[Group, ...]:
    """The same below headings, paths of one kind of data in columns of their own."""
    zero_copy = [name for name in paths_of(kernels) if name != PAGE_CACHE]
    groups = [Group(HEADINGS[Section.ZERO_COPY], tuple(_columns(kernels, zero_copy)))]
    if PAGE_CACHE in paths_of(kernels):
        groups.append(Group("page cache", tuple(_columns(kernels, [PAGE_CACHE]))))
    return tuple(group for group in groups if group.columns)


def fact_groups(kernels: Sequence[KernelStates]) -> tuple[Group, ...]:
    """All facts of the kernels below the heading of each section."""
    names = dict.fromkeys(name for kernel in kernels for name in kernel.states)
    groups = (
        Group(
            HEADINGS[section],
            tuple(_columns(kernels, [n for n in names if facts.kind_of(n).section is section])),
        )
        for section in Section
    )
    return tuple(group for group in groups if group.columns)


def _columns(kernels: Sequence[KernelStates], names: Sequence[str]) -> Iterator[Column]:
    """Columns of facts of one kind of data each; of programs all are of one kind."""
    for states, alike in _alike(kernels, names, facts.way_of):
        yield Column(_label(alike), tuple(alike), states)


def _alike(
    kernels: Sequence[KernelStates], names: Sequence[str], family: Callable[[str], str]
) -> Iterator[tuple[tuple[Shown, ...], list[str]]]:
    found: dict[tuple[str, tuple[Shown, ...]], list[str]] = {}
    for name in names:
        states = tuple(state_of(kernel, name) for kernel in kernels)
        found.setdefault((family(name), states), []).append(name)
    for (_, states), alike in found.items():
        yield states, alike


def _label(names: Sequence[str]) -> str:
    """What a column is called below the heading of its section."""
    short = facts.short_name(names[0])
    way = facts.way_of(names[0]).replace(".", " ")
    if not way:
        return f"{short} + {len(names) - 1}" if len(names) > 1 else short
    return f"{way}, {len(names)} ways" if len(names) > 1 else short


def _ways_in_words(names: Sequence[str]) -> str:
    """``skcipher input (12 ways), hash output``: what paths of several kinds are together."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name if name == PAGE_CACHE else _kind(name), []).append(name)
    told = []
    for kind, paths in kinds.items():
        every = [name for name in facts.NAMES if facts.way_of(name) and _kind(name) == kind]
        if kind == PAGE_CACHE:
            told.append("page cache (CVE-2026-31431)")
        elif set(every) <= set(paths):
            told.append(f"{kind} ({len(paths)} ways)" if len(paths) > 1 else kind)
        elif len(paths) > _NAMED:
            told.append(f"{kind} ({len(paths)} of {len({*every, *paths})} ways)")
        else:
            ways = ", ".join(facts.short_name(name).partition(".")[2] for name in paths)
            told.append(f"{kind} by {ways}")
    return "; ".join(told)


_NAMED = 3  # ways of a kind that are named, if they are not all


def _kind(name: str) -> str:
    """``aead_aad input`` of a zero-copy path."""
    return f"{facts.short_name(name).partition('.')[0]} {facts.way_of(name).rpartition('.')[2]}"
