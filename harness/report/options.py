"""What a report is told beside the run that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from immutabledict import immutabledict

from harness.errors import InputError
from harness.model import KernelResult, Role
from harness.report.overview import distinct_name


@dataclass(frozen=True)
class ReportOptions:
    """What a report is told beside the run."""

    #: Spec or release of a kernel -> what to call it. A CI server follows a test by its name,
    #: so the kernel must be called alike from one commit to the next. The key "" stands for
    #: the only candidate.
    labels: Mapping[str, str] = field(default_factory=immutabledict)
    #: Commit, or RANGE as git writes it, that a bisect named (for mail).
    introduced: str = ""
    #: Where the run directory can be read by others; "" if nowhere.
    url: str = ""
    #: The run directory, where a report tells of more than results.json (the console); None
    #: if there is none.
    directory: Path | None = None


def labels_of(words: Sequence[str], kernels: Sequence[KernelResult]) -> Mapping[str, str]:
    """The values of ``--label``, each ``KERNEL=LABEL``, or ``LABEL`` for the only candidate.

    KERNEL is the spec or the release of a kernel of the run. Raises InputError for one that
    is not in the run, and for a bare LABEL where there is not exactly one candidate.
    """
    known = [name for kernel in kernels for name in (kernel.spec, kernel.release) if name]
    labels: dict[str, str] = {}
    for word in words:
        # A spec may hold the sign itself (a path, kernel arguments).
        name = next((one for one in known if word.startswith(f"{one}=")), "")
        label = word.removeprefix(f"{name}=") if name else word
        candidates = sum(kernel.role is Role.CANDIDATE for kernel in kernels)
        if not label:
            raise InputError(f"--label {word}: the label is empty")
        if not name and (candidates != 1 or "=" in word):
            told = ", ".join(dict.fromkeys(known))
            raise InputError(f"--label {word}: not KERNEL=LABEL with one of: {told}")
        labels[name] = label
    return immutabledict(labels)


def called(kernel: KernelResult, kernels: Sequence[KernelResult], options: ReportOptions) -> str:
    """What to call a kernel: its label, or a name by which none of the others is meant."""
    labels = options.labels
    own = labels.get(kernel.spec) or labels.get(kernel.release)
    if not own and kernel.role is Role.CANDIDATE:
        own = labels.get("")
    return own or distinct_name(kernel, kernels)
