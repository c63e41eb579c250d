"""Kconfig fragments: what is asked of a kernel's config, and whether it was granted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BuildError, InputError
from harness.kernels.image.config import parse_option, read_config
from harness.kernels.source.kconfig_tree import KconfigTree
from harness.locations import kconfigs_dir

#: In the comment above an option, or a group of them: a tree may lack it.
_OPTIONAL = "(if it exists)"
#: The head of every config that kconfig wrote: such a file is no list of wishes.
_WHOLE = "# Automatically generated file; DO NOT EDIT."
_LOSSES_SHOWN = 5


@dataclass(frozen=True)
class Request:
    """One option that a fragment asks for; ``value`` is "n" for one to be unset."""

    option: str  # without CONFIG_
    value: str
    fragment: str
    optional: bool = False  # a tree may not know it


@dataclass(frozen=True)
class Fragment:
    """One kconfig fragment. ``whole`` is true for a complete config that kconfig wrote."""

    name: str
    text: str
    requests: tuple[Request, ...]
    whole: bool = False


def fragment_names() -> list[str]:
    """The fragments that travel with the harness."""
    return sorted(path.stem for path in kconfigs_dir().glob("*.config"))


def load_fragment(name: str) -> Fragment:
    """The fragment of ours called ``name``, or the file at the path ``name``.

    Raises InputError if there is neither, or a line of it is no kconfig.
    """
    own = kconfigs_dir() / f"{name}.config"
    path = own if name in fragment_names() else Path(name).expanduser()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        if path == own or path.exists():
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"kconfig fragment {path}: {reason}") from error
        raise InputError(
            f"no kconfig fragment {name!r}: neither a file nor one of {', '.join(fragment_names())}"
        ) from error
    return parse_fragment(name, text)


def parse_fragment(name: str, text: str) -> Fragment:
    """The fragment whose file has the content ``text``. Raises InputError."""
    requests: list[Request] = []
    comment: list[str] = []  # that of the group of options which is open
    ended = True  # whether the next comment is another group's
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if asked := parse_option(line):
            requests.append(Request(*asked, name, _OPTIONAL in " ".join(comment)))
            ended = True
        elif line.startswith("#") or not line:
            comment = [] if ended else comment
            comment.append(line)
            ended = not line
        else:
            raise InputError(
                f"kconfig fragment {name}, line {number}: {line!r} is neither CONFIG_X=VALUE,"
                " '# CONFIG_X is not set' nor a comment"
            )
    if not requests:
        raise InputError(f"kconfig fragment {name} asks for no option")
    return Fragment(name, text, tuple(requests), _WHOLE in text)


def digest(fragments: Iterable[Fragment]) -> str:
    """What tells one stack of fragments from another: options and values, in order."""
    content = [f"{request.option}={request.value}" for one in fragments for request in one.requests]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def stacked(fragments: Iterable[Fragment]) -> dict[str, Request]:
    """What remains asked for when later fragments override earlier ones."""
    return {request.option: request for one in fragments for request in one.requests}


def check_granted(fragments: Sequence[Fragment], config: Path, tree: Path) -> tuple[str, ...]:
    """Hold what ``fragments`` ask for against the effective ``config`` of ``tree``.

    A lost option raises BuildError, which names what it depends on and lacks. Options of
    a whole config may be lost (it may be another version's): they are returned as notes.
    """
    effective = read_config(config)
    modules = effective.get("MODULES", "n") == "y"
    lost = [
        request
        for request in stacked(fragments).values()
        if not _granted(request.value, effective.get(request.option, "n"), modules)
    ]
    if not lost:
        return ()
    known = KconfigTree.read(tree)
    losses, notes = [], []
    whole = {fragment.name for fragment in fragments if fragment.whole}
    for request in lost:
        if request.optional and not known.knows(request.option):
            continue
        if request.fragment in whole:
            notes.append(request.option)
            continue
        seen = effective.get(request.option, "n")
        why = known.explain(request.option, request.value, effective)
        losses.append(
            f"CONFIG_{request.option}={request.value} ({request.fragment}) is {seen}: {why}"
        )
    if losses:
        more = f"; and {len(losses) - _LOSSES_SHOWN} more" if len(losses) > _LOSSES_SHOWN else ""
        raise BuildError(f"not configured as asked: {'; '.join(losses[:_LOSSES_SHOWN])}{more}")
    if notes:
        return (f"{len(notes)} options of a whole config have no effect in this tree",)
    return ()


def _granted(wanted: str, seen: str, modules: bool) -> bool:
    if wanted == "m" and not modules:
        return seen in ("y", "m")
    return wanted == seen
