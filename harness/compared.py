"""Kernels of stored runs -> one result that holds them against the first of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InputError
from harness.judge.compare import something_in_common
from harness.judge.conclude import conclude
from harness.judge.exit_code import exit_code
from harness.judge.expectations import Expectations, run_expectations
from harness.judge.likeness import circumstances, unlikeness
from harness.model import KernelResult, Role, RunResult
from harness.report.results_file import load


@dataclass(frozen=True)
class Observed:
    """A kernel as a stored run has it, by the words that name it."""

    run: RunResult
    kernel: KernelResult
    place: str  # the run's directory, as it was given

    @property
    def name(self) -> str:
        """``runs/a:7.3.4+deb13-amd64``."""
        return f"{self.place}:{self.kernel.release or self.kernel.spec}"

    @property
    def identity(self) -> tuple[str, str, tuple[str, ...]]:
        """By what reports and comparisons tell kernels of one result apart."""
        return self.kernel.release, self.kernel.spec, self.kernel.append


def stored_runs(operands: Sequence[str]) -> dict[str, RunResult]:
    """The runs that ``operands`` name, by those names. Raises InputError."""
    runs: dict[str, RunResult] = {}
    before = ""
    for operand in operands:
        before, _ = _split(operand, before)
        if before not in runs:
            runs[before] = load(Path(before))
    return runs


def compared_result(
    operands: Sequence[str],
    runs: Mapping[str, RunResult],
    expectations: Expectations | None,
    command: str,
    *,
    unlike: bool = False,
) -> RunResult:
    """The kernels that ``operands`` name, judged, and compared with the first of them.

    An operand is ``RUN`` (a directory or its results.json) or ``RUN:KERNEL``; ``:KERNEL`` is
    one of the run named before. A run stands for its first kernel where it comes first, and
    for its candidates elsewhere. ``runs`` are those of ``stored_runs``; ``expectations``, if
    given, replace those of the runs. Kernels that were not observed alike are refused unless
    ``unlike``; then a note says in what. Raises InputError, in one line.
    """
    groups = list(_named(operands, runs))
    first, others = groups[0][0], [one for group in groups[1:] for one in group]
    if len(groups) == 1:
        others = groups[0][1:]
    if not others:
        raise InputError(f"{first.name}: name a kernel or a run to compare it with")
    for number, other in enumerate(others):
        if any(other.kernel is one.kernel for one in others[:number]):
            raise InputError(f"{other.name}: named twice")
    noted = [first, *(_checked(first, other, unlike=unlike) for other in others)]
    kernels = _told_apart(noted)
    return _concluded(noted, kernels, expectations, command)


def _named(operands: Sequence[str], runs: Mapping[str, RunResult]) -> Iterator[list[Observed]]:
    """The kernels of each operand."""
    before = ""
    for place, operand in enumerate(operands):
        name, wanted = _split(operand, before)
        before = name
        found = list(_kernels(runs[name], name, wanted))
        if not wanted and place:
            candidates = [one for one in found if one.kernel.role is Role.CANDIDATE]
            found = candidates or found
        elif not wanted and len(operands) > 1:
            found = found[:1]
        if not found:
            raise InputError(f"{operand}: the run holds no kernel to compare")
        yield found


def _split(operand: str, before: str) -> tuple[str, str]:
    """The run and the kernel that an operand names, "" for none."""
    if operand.startswith(":"):
        if not before:
            raise InputError(f"{operand}: no run is named before it")
        return before, operand[1:]
    if Path(operand).exists():
        return operand, ""
    # Specs hold the sign, too, and paths may: the shortest path that exists is the run.
    places = [place for place, letter in enumerate(operand) if letter == ":"]
    for place in places:
        if Path(operand[:place]).exists():
            return operand[:place], operand[place + 1 :]
    raise InputError(f"{operand}: No such file or directory")


def _kernels(run: RunResult, name: str, wanted: str) -> Iterator[Observed]:
    """The kernels of a run that ``wanted`` names by release, spec, or how either begins."""
    if not wanted:
        for kernel in run.kernels:
            yield Observed(run, kernel, name)
        return
    names = [(kernel.release, kernel.spec) for kernel in run.kernels]
    exact = [one for one, known in zip(run.kernels, names, strict=True) if wanted in known]
    begun = [one for one in run.kernels if one.release.startswith(wanted)]
    found = exact or begun
    if len(found) != 1:
        told = ", ".join(kernel.release or kernel.spec for kernel in found or run.kernels)
        problem = "means several kernels" if found else "no such kernel in the run, which has"
        raise InputError(f"{name}:{wanted}: {problem}: {told}")
    yield Observed(run, found[0], name)


def _checked(first: Observed, other: Observed, *, unlike: bool) -> Observed:
    """``other``, with a note if it may be compared with ``first`` only because that was asked.

    Raises InputError if it cannot be compared.
    """
    if other.kernel is first.kernel:
        raise InputError(f"{other.name}: a kernel cannot be compared with itself")
    if not something_in_common(first.kernel, other.kernel):
        raise InputError(
            f"{other.name} was put to no test that {first.name} was: there is nothing to compare"
        )
    differences = unlikeness(
        circumstances(first.kernel, first.run), circumstances(other.kernel, other.run)
    )
    if not differences:
        return other
    told = "; ".join(differences)
    if not unlike:
        raise InputError(
            f"{first.name} and {other.name} were not observed alike: {told}"
            " (--unlike compares them all the same)"
        )
    note = f"compared with {first.name}, which was not observed alike: {told}"
    return replace(other, kernel=replace(other.kernel, notes=(*other.kernel.notes, note)))


def _told_apart(observed: Sequence[Observed]) -> list[KernelResult]:
    """The kernels, the first as the baseline; those of one name are told by their runs."""
    count = Counter(one.identity for one in observed)
    roles = (Role.BASELINE, *(Role.CANDIDATE for _ in observed[1:]))
    found: list[KernelResult] = []
    for one, role in zip(observed, roles, strict=True):
        kernel = replace(one.kernel, role=role)
        if count[one.identity] > 1:
            kernel = replace(kernel, spec=one.place)
        found.append(kernel)
    return found


def _concluded(
    observed: Sequence[Observed],
    kernels: Sequence[KernelResult],
    expectations: Expectations | None,
    command: str,
) -> RunResult:
    """Judged and compared, each kernel by what its own run expected unless that is replaced."""
    last = observed[-1].run
    runs = {id(one.run): one.run for one in observed[1:]}
    parts: list[RunResult] = []
    for key, run in runs.items():
        own = [kernel for one, kernel in zip(observed, kernels, strict=True) if id(one.run) == key]
        part = [kernels[0], *(kernel for kernel in own if kernel is not kernels[0])]
        rules = expectations or run_expectations(run)
        alike = all(one.run is observed[0].run for one in observed)
        parts.append(conclude(replace(run, kernels=tuple(part)), rules, None, same_run=alike))
    judged = {(one.release, one.spec, one.append): one for part in parts for one in part.kernels}
    in_order = tuple(judged[kernel.release, kernel.spec, kernel.append] for kernel in kernels)
    comparisons = tuple(one for part in parts for one in part.comparisons)
    text = "\0".join([command, *(f"{one.run.id} {one.name}" for one in observed)])
    stored = (entry for run in runs.values() for entry in run_expectations(run).entries())
    return replace(
        last,
        kernels=in_order,
        comparisons=comparisons,
        # A fault of ours in a part counts where nothing worse is known.
        exit_code=int(exit_code(in_order, comparisons)) or max(one.exit_code for one in parts),
        command=command,
        id=hashlib.sha256(text.encode()).hexdigest()[:16],
        expectations=expectations.entries() if expectations else tuple(dict.fromkeys(stored)),
    )
