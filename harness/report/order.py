"""In which order reports have kernels: by version, whatever the order of a run."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model import KernelResult
from harness.releases import version_key
from harness.report.overview import distinct_name


def by_version(kernels: Sequence[KernelResult]) -> list[KernelResult]:
    """Oldest first, 6.2 before 6.12, 7.3-rc1 before 7.3; those without a release come last."""
    return sorted(
        kernels,
        key=lambda kernel: (not kernel.release, version_key(distinct_name(kernel, kernels))),
    )


def short_names(names: Sequence[str]) -> list[str]:
    """The names without the ending that all of them have, such as ``-amd64``."""
    if len(names) < 2:
        return list(names)
    endings = {name.rpartition("-")[1] + name.rpartition("-")[2] for name in names}
    ending = endings.pop() if len(endings) == 1 else ""
    if not ending.startswith("-"):
        return list(names)
    return [name.removesuffix(ending) for name in names]
