"""A run of the store -> a run directory, as it was."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from harness.errors import InfrastructureError, InputError
from harness.files import write_whole
from harness.history import queries
from harness.history.store import Store
from harness.report.results_file import FILE_NAME


def export_run(store: Store, run: str, place: Path) -> None:
    """Write the run into the directory ``place``, which is created.

    Raises InputError if something is there already, InfrastructureError if it cannot be
    written, StoreError if the store is damaged.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{place}: there is something already; name another place with --out")
    data = queries.document(store, run)
    try:
        write_files(store, run, place)
        # Last: without it the directory is none of a run.
        write_whole(place / FILE_NAME, json.dumps(data, indent=1) + "\n")
    except OSError as error:
        raise InfrastructureError(f"{error.filename or place}: {error.strerror}") from error


def write_files(store: Store, run: str, place: Path, below: str = "") -> None:
    """Write what lay beside results.json, of the folder ``below`` alone if one is given."""
    place.mkdir(parents=True, exist_ok=True)
    for name, content in queries.files(store, run, below=below):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{store.name}: run {run}: {name!r} is no path in a run directory")
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
