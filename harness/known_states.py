"""What is known of each kernel's facts: from runs, the newest word counts; else from its code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from immutabledict import immutabledict

from harness.history import queries
from harness.history.store import Store
from harness.kernels.cache.contents import kernels_by_release
from harness.kernels.cache.kernel_store import KernelStore
from harness.model import KernelResult, RunResult, State
from harness.progress import Progress
from harness.releases import version_key
from harness.report.state_map import PAGE_CACHE, KernelStates, states_of
from harness.static.reading import read_code


def of_runs(runs: Iterable[RunResult]) -> tuple[KernelStates, ...]:
    """Each kernel that a guest said anything of; what several runs say of one is put together.

    With other kernel arguments it is another one.
    """
    found: dict[str, KernelStates] = {}
    for run in sorted(runs, key=lambda run: run.started):
        for kernel in run.kernels:
            if kernel.release and kernel.facts.named():
                told = replace(states_of(kernel, _name(kernel)), run=run.id, seen=run.started)
                found[told.name] = newer(found.get(told.name), told)
    return tuple(found.values())


def of_store(store: Store) -> tuple[KernelStates, ...]:
    """The same of all runs that are stored."""
    results = queries.results(store)[::-1]  # oldest first
    states: dict[int, dict[str, State]] = {}
    for glob in _GLOBS:
        for fact in queries.facts(store, glob, results):
            states.setdefault(fact.result.number, {})[fact.name] = fact.state
    found: dict[str, KernelStates] = {}
    for result in results:
        if result.number in states:
            name = f"{result.release} [{result.append}]" if result.append else result.release
            told = KernelStates(
                name,
                result.release,
                immutabledict(states[result.number]),
                run=result.run,
                seen=result.started,
            )
            found[name] = newer(found.get(name), told)
    return tuple(found.values())


#: Names of the facts that are looked up: paths, and the page cache.
_GLOBS = ("zero_copy.*", PAGE_CACHE)


def _name(kernel: KernelResult) -> str:
    return f"{kernel.release} [{' '.join(kernel.append)}]" if kernel.append else kernel.release


def newer(known: KernelStates | None, told: KernelStates) -> KernelStates:
    """What is known once a newer run has ``told`` more; not knowing is no news."""
    if known is None:
        return told
    news = {name: state for name, state in told.states.items() if state is not State.UNKNOWN}
    return replace(told, states=immutabledict({**told.states, **known.states, **news}))


def of_cache(
    cache: Path, wanted: Callable[[str], bool], progress: Progress
) -> Iterator[KernelStates]:
    """The archive's kernels in the cache whose release is ``wanted``, by their code."""
    store = KernelStore(cache)
    for release, entry in kernels_by_release(cache).items():
        if not wanted(release):
            continue
        spec = f"debian:{release}"
        progress.report("the cache", "reading the code of kernels", detail=release)
        bootable = store.recall(release, spec, entry.version)
        if bootable is not None:  # else it has just been deleted
            code = {finding.way: finding.word for finding in read_code(bootable)}
            yield KernelStates(release, release, immutabledict(), immutabledict(code))


def in_order(kernels: Iterable[KernelStates]) -> tuple[KernelStates, ...]:
    """The oldest version first."""
    return tuple(sorted(kernels, key=lambda kernel: version_key(kernel.name)))
