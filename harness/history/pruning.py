"""What of the store can go, and deleting it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import delete, select

from harness.history import queries
from harness.history.contents import batches, forget_unused
from harness.history.importing import forget
from harness.history.queries import StoredRun
from harness.history.store import Store
from harness.history.tables import FILES, KERNELS, RESULTS


def dispensable(store: Store, *, before: str = "", keep: int | None = None) -> list[StoredRun]:
    """Runs that began ``before`` then (UTC, ISO 8601; "" for whenever), and of which each
    kernel has ``keep`` newer ones (None: of which that does not matter); newest first.

    Not among them are those with the last good result of a lineage.
    """
    good = {result.run for result in queries.last_good_results(store)}
    newer: Counter[str] = Counter()
    found: list[StoredRun] = []
    for run in queries.runs(store):
        kernels = set(run.kernels)
        enough = keep is None or all(newer[kernel] >= keep for kernel in kernels)
        newer.update(kernels)
        if enough and run.id not in good and (not before or run.started < before):
            found.append(run)
    return found


def prune(store: Store, runs: Sequence[str], *, files_alone: bool = False) -> None:
    """Delete ``runs``, or ``files_alone``: what lay beside their results.json.

    Raises StoreError.
    """
    with store.writing() as connection:
        if files_alone:
            for some in batches(runs):
                beside = FILES.c.path.not_like(f"{queries.TRANSCRIPTS}%")
                connection.execute(delete(FILES).where(FILES.c.run.in_(some), beside))
        else:
            forget(connection, runs)
            of_results = select(RESULTS.c.kernel).where(RESULTS.c.kernel.is_not(None))
            connection.execute(delete(KERNELS).where(KERNELS.c.id.not_in(of_results)))
        forget_unused(connection)
    store.compact()
