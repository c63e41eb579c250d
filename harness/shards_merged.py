"""Runs of the shards of one run -> the run that they are together."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import ExitCode, InputError
from harness.faults import FILE_NAME as ERRORS
from harness.files import full_disk_named
from harness.judge.conclude import conclude
from harness.judge.expectations import run_expectations
from harness.judge.likeness import circumstances, unlikeness
from harness.model import KernelResult, Revisions, Role, RunResult, Shard, Status
from harness.report.results_file import load
from harness.run_directory import KERNELS, PAYLOAD, kernel_directory

_NAMED = 3  # tests at most


@dataclass(frozen=True)
class _Part:
    """The run of one shard."""

    place: Path
    run: RunResult
    shard: Shard

    @property
    def name(self) -> str:
        return f"shard {self.shard.number}/{self.shard.count}"

    @property
    def directory(self) -> Path:
        return self.place if self.place.is_dir() else self.place.parent

    def kernel(self, spec: str) -> KernelResult | None:
        return next((one for one in self.run.kernels if one.spec == spec), None)


def merged(places: Sequence[Path], out: Path) -> RunResult:
    """The run that the runs in the directories ``places`` are parts of, judged.

    The files of its kernels are copied to the directory ``out``, which is made; its reports are
    not written. A kernel that no part ran is unavailable. Of the baseline, which every part ran,
    the first result counts, and a note says in what another one differs. Raises InputError for
    what are no parts of one run, InfrastructureError if ``out`` cannot be written.
    """
    parts = sorted(map(_part, places), key=lambda part: part.shard.number)
    _refuse_others(parts)
    first = parts[0].run
    chosen = [_chosen(parts, spec) for spec in parts[0].shard.specs]
    with full_disk_named(out, "name another place with --out"):
        kernels = tuple(_kept(chosen, out))
        _keep_rest(parts, out)
    text = "\0".join(part.run.id for part in parts)
    whole = replace(
        first,
        kernels=kernels,
        shard=None,
        id=hashlib.sha256(text.encode()).hexdigest()[:16],
        command=whole_command(first.command),
        started=min(part.run.started for part in parts),
        ended=max(part.run.ended for part in parts) if all(p.run.ended for p in parts) else "",
        control=next((part.run.control for part in parts if part.run.control), ""),
    )
    return conclude(whole, run_expectations(first), out)


def _part(place: Path) -> _Part:
    run = load(place)
    if run.shard is None:
        raise InputError(f"{place}: no part of a run: it was not run with --shard")
    return _Part(place, run, run.shard)


def _refuse_others(parts: Sequence[_Part]) -> None:
    """Raise InputError for parts that are not all of one run."""
    first = parts[0]
    for part in parts[1:]:
        both = f"{first.place} and {part.place}"
        if (part.shard.count, part.shard.specs) != (first.shard.count, first.shard.specs):
            raise InputError(f"{both} are parts of two runs: of other kernels, or in other parts")
        before, after = first.run.revisions or Revisions(), part.run.revisions or Revisions()
        for what, one, other in (
            ("suite revisions", before.suite, after.suite),
            ("suites of the user's", before.own_suites, after.own_suites),
            ("seeds", first.run.seed, part.run.seed),
            ("expectations", first.run.expectations, part.run.expectations),
            ("selections", *(whole_command(p.run.command) for p in (first, part))),
        ):
            if one != other:
                raise InputError(f"{both} are parts of two runs: of two {what}")
    numbers = [part.shard.number for part in parts]
    for part, number in zip(parts, numbers, strict=True):
        if numbers.count(number) > 1:
            twice = [str(one.place) for one in parts if one.shard.number == number]
            raise InputError(f"{', '.join(twice)}: each is {part.name}")


def _chosen(parts: Sequence[_Part], spec: str) -> tuple[_Part, KernelResult]:
    """What became of a kernel, and in which part."""
    ran = [(part, kernel) for part in parts if (kernel := part.kernel(spec)) is not None]
    if not ran:
        return parts[0], KernelResult(
            spec=spec,
            release="",
            role=Role.CANDIDATE,
            status=Status.UNAVAILABLE,
            status_reason="the shard that it fell to was not merged, or had another --shard-times",
            status_exit=int(ExitCode.INFRASTRUCTURE),
        )
    booted = [(part, kernel) for part, kernel in ran if kernel.identity is not None]
    part, kernel = (booted or ran)[0]
    for other, again in booted[1:]:
        if again.kernel != kernel.kernel:
            raise InputError(
                f"{spec} is {kernel.release} in {part.place}, and another kernel"
                f" ({again.release}) in {other.place}; name it exactly"
            )
    notes = [
        *(note for other, again in booted[1:] for note in _otherwise(kernel, other, again)),
        *_unlike_baseline(parts, part, kernel),
    ]
    return part, replace(kernel, notes=(*kernel.notes, *notes))


def _otherwise(kernel: KernelResult, part: _Part, again: KernelResult) -> Iterator[str]:
    """In which tests a kernel came to something else in another part."""
    came_to = {test.id: test.outcome for test in again.tests}
    differ = [
        f"{test.id} ({test.outcome}, there {came_to[test.id]})"
        for test in kernel.tests
        if came_to.get(test.id, test.outcome) != test.outcome
    ]
    if differ:
        more = f" and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
        yield f"came to something else in {part.name}: {', '.join(differ[:_NAMED])}{more}"


def _unlike_baseline(parts: Sequence[_Part], part: _Part, kernel: KernelResult) -> Iterator[str]:
    """A note on a kernel that was not observed as the baseline that it is compared with was."""
    for other in parts:
        baseline = next((one for one in other.run.kernels if one.role is Role.BASELINE), None)
        if baseline is not None and baseline.identity is not None:
            differ = unlikeness(circumstances(baseline, other.run), circumstances(kernel, part.run))
            if differ and kernel.identity is not None:
                yield f"not observed as {baseline.release} in {other.name}: {'; '.join(differ)}"
            return


def _kept(chosen: Sequence[tuple[_Part, KernelResult]], out: Path) -> Iterator[KernelResult]:
    """The kernels, with the directories that were copied to ``out``."""
    (out / KERNELS).mkdir(parents=True)
    taken: set[str] = set()
    for part, kernel in chosen:
        source = part.directory / kernel.directory
        if not kernel.directory or not source.is_dir():
            yield replace(kernel, directory="")
            continue
        name = kernel_directory(kernel.release, taken)
        taken.add(name)
        shutil.copytree(source, out / KERNELS / name)
        yield replace(kernel, directory=f"{KERNELS}/{name}")


def _keep_rest(parts: Sequence[_Part], out: Path) -> None:
    """What lies beside the kernels: what they were given to run, and faults of ours."""
    for part in parts:
        payload, errors = part.directory / PAYLOAD, part.directory / ERRORS
        if payload.is_file() and not (out / PAYLOAD).exists():
            shutil.copyfile(payload, out / PAYLOAD)
        if errors.is_file():
            with (out / ERRORS).open("a", encoding="utf-8") as file:
                file.write(errors.read_text(encoding="utf-8", errors="replace"))


def whole_command(command: str) -> str:
    """The command of the run that one with ``command`` is a part of."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for name in ("--shard", "--shard-times", "--out"):
        parser.add_argument(name)
    try:
        _, rest = parser.parse_known_args(shlex.split(command))
    except (argparse.ArgumentError, SystemExit, ValueError):
        return command
    return shlex.join(rest)
