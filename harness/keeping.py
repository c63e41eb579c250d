"""A run that has ended -> the store, whatever may be wrong with that."""

from __future__ import annotations

from pathlib import Path

from harness.faults import tell
from harness.history.store import Store
from harness.model import RunResult
from harness.output import complain


def keep(store: Store, result: RunResult, out: Path) -> None:
    """Store the run in the directory ``out``; what goes wrong is one line on stderr.

    Raises nothing: the verdict is known, and results.json is there. A run that was
    interrupted is left to be gone on with.
    """
    if not result.ended:
        return
    try:
        from harness.history.importing import import_run  # noqa: PLC0415  (it may be broken)

        import_run(store, out)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (the run is not lost by it)
        complain(
            f"the run was not put into the store: {tell(error, out).line}"
            f" (later: afalg-harness runs import {out})"
        )
