"""The executors that ``--executor`` names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.errors import HostError
from harness.executors.executor import Executors
from harness.executors.local import LocalExecutor
from harness.executors.names import is_elsewhere, scheduler_address
from harness.progress import Progress
from harness.run_options import RunOptions


@contextlib.contextmanager
def executors_of(options: RunOptions, progress: Progress) -> Iterator[Executors]:
    """What makes executors of the kind that ``options`` name, for as long as this block.

    Raises HostError if what it takes is not installed, InfrastructureError if nobody answers.
    """
    if not is_elsewhere(options.executor):
        yield LocalExecutor
        return
    try:
        # A second to import, for those alone who use it.
        from harness.executors.dask_cluster import dask_cluster  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise HostError(
            f"--executor {options.executor}: distributed is not installed;"
            " pip install 'afalg-harness[dask]'"
        ) from error
    with dask_cluster(scheduler_address(options.executor), options, progress) as cluster:
        yield cluster.executor
