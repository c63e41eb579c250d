"""``--baseline last-good``: the stored result that a run is held against."""

from __future__ import annotations

import shlex

from harness.again import exact_spec
from harness.errors import InputError
from harness.history import queries
from harness.history.lineage import lineage_of, predecessor
from harness.history.queries import StoredResult
from harness.history.selected import selected
from harness.history.store import Store
from harness.kernels.resolve import indexed, release_named
from harness.kernels.sources import KernelSources
from harness.progress import Progress
from harness.releases import version_key
from harness.run_options import RunOptions

NAME = "last-good"


def last_good_result(store: Store, options: RunOptions, progress: Progress) -> StoredResult:
    """The newest good result of the lineage of the kernels that ``options`` name.

    It was put to all that they select, with the same kernel arguments, and is of a kernel
    before theirs. Raises InputError, which says what to run, if there is none.
    """
    releases = {spec: release_named(spec, options.sources, progress) for spec in options.specs}
    lineages = {spec: lineage_of(spec, release) for spec, release in releases.items()}
    for spec, lineage in lineages.items():
        if not lineage:
            raise InputError(
                f"--baseline {NAME}: {spec} names one commit, of no branch; name the branch,"
                " or a baseline"
            )
    if len(set(lineages.values())) > 1:
        told = ", ".join(f"{spec} ({lineage})" for spec, lineage in lineages.items())
        raise InputError(f"--baseline {NAME}: kernels of one lineage at a time, not {told}")
    if not lineages:
        raise InputError(f"--baseline {NAME}: name a kernel to hold against it")
    (lineage,) = set(lineages.values())
    # The release of a revision is not known before it is built, and the commits of a branch
    # are as new as their runs.
    before = "" if lineage.startswith("git:") else min(releases.values(), key=version_key)
    suites, append = _asked(options), shlex.join(options.append)
    found = queries.last_good(store, lineage, suites, append=append, before=before)
    if found is None or spec_of(found) in options.specs:
        raise InputError(_none(store, lineage, before, options))
    return found


def spec_of(result: StoredResult) -> str:
    """What names the kernel of a stored result for ever."""
    return result.exact or exact_spec(result.spec, result.release)


def _asked(options: RunOptions) -> str:
    words = options.selection.arguments
    return selected(options.selection.suites, words[1] if words else None)


def _none(store: Store, lineage: str, before: str, options: RunOptions) -> str:
    """That there is none, why, and what to run."""
    older = f" before {before}" if before else ""
    suites = _asked(options).replace("\n", " ")
    put_to = f" that was put to {suites}" if suites else ""
    known = [
        result
        for result in queries.results(store, lineage=lineage)
        if not before or version_key(result.release) < version_key(before)
    ]
    why = "nothing is stored of it"
    if known:
        newest = known[0]
        said = newest.reason or f"it lost {newest.lost} against its baseline"
        partly = newest.suites.replace("\n", " ")
        said = f"only {partly} ran" if newest.good and partly else said
        why = f"of the newest, {newest.release} in run {newest.run[:8]}, {said}"
    spec = _to_run(lineage, before, options.sources)
    return (
        f"--baseline {NAME}: the store {store.name} has no good result of {lineage}{older}"
        f"{put_to} ({why}); run one first: afalg-harness run {spec}"
    )


def _to_run(lineage: str, before: str, sources: KernelSources) -> str:
    """The kernel of the archive just before the candidate, as far as the index is known."""
    name = predecessor(lineage, before, indexed(sources)) if before else ""
    return f"debian:{name}" if name else "SPEC, a kernel that you trust"
