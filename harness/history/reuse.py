"""``--reuse``: the stored result of a kernel that is not booted again.

It must be of the very same kernel, put to the same suites in the same guest image with the same
settings, by the same versions of all that runs it. What says nothing of the kernel, was
interrupted or ran in part is never taken.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import HarnessError
from harness.history import queries
from harness.history.selected import UNKNOWN
from harness.history.store import Store
from harness.judge.exit_code import killed_from_outside, ran_in_part
from harness.model import (
    BootableKernel,
    HostInfo,
    KernelResult,
    Reused,
    Revisions,
    RunResult,
    Status,
)
from harness.output import complain

#: How a kernel can end so that its result is one, and can be had again.
_RESULTS = (Status.COMPLETED, Status.CRASHED, Status.HUNG)
_TRIED = 5  # stored results, the newest first


@dataclass(frozen=True)
class Wanted:
    """What a stored result must be of."""

    kernel: BootableKernel
    revisions: Revisions
    host: HostInfo
    append: tuple[str, ...]
    settings: str  # again.settings


#: A stored result, its files written to a directory that is made for them; None if there is none.
Reuse = Callable[[Wanted, Callable[[], Path]], KernelResult | None]


def reuse(store: Store, wanted: Wanted, directory: Callable[[], Path]) -> KernelResult | None:
    """The newest stored result that is as ``wanted``; what lay beside it goes to ``directory``,
    which is made if there is one.

    None if there is none, and if the store cannot be used: that is one line on stderr, and the
    kernel is booted. May be called by any thread.
    """
    store = Store(store.url)  # a connection to SQLite belongs to the thread that made it
    try:
        for run, place, started in _candidates(store, wanted):
            found = queries.kernel_of(store, run, place)
            kernel = found.kernels[0]
            if _is_as_wanted(kernel, found, wanted):
                _write_files(store, run, kernel.directory, directory())
                return replace(kernel, reused=Reused(run, started))
    except (HarnessError, OSError) as error:
        complain(f"no stored result of {wanted.kernel.release} is reused: {error}")
    finally:
        store.close()
    return None


def _candidates(store: Store, wanted: Wanted) -> Iterator[tuple[str, int, str]]:
    """Run, place in it and its start of what may be it, the newest first."""
    revisions = wanted.revisions
    rows = store.rows(
        "SELECT r.run, r.place, u.started FROM results r JOIN runs u ON u.id = r.run"
        " JOIN kernels k ON k.id = r.kernel WHERE k.release = :release AND u.suite = :suite"
        " AND u.own_suites = :own AND u.image = :image AND u.harness = :harness"
        " AND u.ended <> '' AND r.append = :append AND r.suites <> :reused"
        " ORDER BY u.started DESC, r.id DESC",
        release=wanted.kernel.release,
        suite=revisions.suite,
        own="\n".join(sorted(revisions.own_suites)),
        image=revisions.image,
        harness=revisions.harness,
        append=shlex.join(wanted.append),
        reused=UNKNOWN,
    )
    yield from (tuple(row) for row in rows[:_TRIED])


def _is_as_wanted(kernel: KernelResult, run: RunResult, wanted: Wanted) -> bool:
    known, host = kernel.kernel, run.host
    same_kernel = known is not None and known.key != "" and known.key == wanted.kernel.key
    same_host = (host.qemu, host.vng) == (wanted.host.qemu, wanted.host.vng)
    return (
        same_kernel
        and same_host
        and kernel.settings == wanted.settings
        and kernel.reused is None
        and {boot.accel for boot in kernel.boots} == {wanted.host.accel}
        and _is_result(kernel)
    )


def _is_result(kernel: KernelResult) -> bool:
    """Whether it is whole, and says something of the kernel."""
    return (
        kernel.status in _RESULTS
        and not any(boot.killed or boot.stopped for boot in kernel.boots)
        and not ran_in_part(kernel)
        and not killed_from_outside(kernel)
        and not kernel.verdict.unknown
    )


def _write_files(store: Store, run: str, source: str, directory: Path) -> None:
    """What the run kept of this kernel: console, records, config."""
    for path, content in queries.files(store, run, source):
        target = directory / Path(path).relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
