"""In which order reports have kernels: by version, whatever the order of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.model import KernelResult
from harness.report.overview import distinct_name

_PARTS = re.compile(r"(\d+)")


def by_version(kernels: Sequence[KernelResult]) -> list[KernelResult]:
    """Oldest first, 6.2 before 6.12, 7.3-rc1 before 7.3; those without a release come last."""
    return sorted(
        kernels,
        key=lambda kernel: (not kernel.release, version_key(distinct_name(kernel, kernels))),
    )


def version_key(name: str) -> tuple[tuple[int, str, int], ...]:
    """What sorts names of kernels that begin with their version."""
    # "~" sorts ahead of everything, as in Debian's versions.
    text = re.sub(r"[-~](?=rc\d)", "~", name)
    split = (part for part in _PARTS.split(text) if part)
    parts = [(2, "", int(part)) if part.isdecimal() else _word(part) for part in split]
    return (*parts, (1, "", 0))


def _word(part: str) -> tuple[int, str, int]:
    return (0 if part.startswith("~") else 3, part, 0)


def series(release: str) -> str:
    """``6.12`` of ``6.12.43+deb12-amd64``; "" if it does not start with a version."""
    match = re.match(r"\d+\.\d+", release)
    return match.group() if match else ""


def short_names(names: Sequence[str]) -> list[str]:
    """The names without the ending that all of them have, such as ``-amd64``."""
    if len(names) < 2:
        return list(names)
    endings = {name.rpartition("-")[1] + name.rpartition("-")[2] for name in names}
    ending = endings.pop() if len(endings) == 1 else ""
    if not ending.startswith("-"):
        return list(names)
    return [name.removesuffix(ending) for name in names]
