"""What ``--executor`` can say. Imports nothing that takes a while: every command asks it."""

from __future__ import annotations

from harness.errors import InputError

LOCAL = "local"
_DASK = "dask:"
_DASK_LOCAL = f"{_DASK}{LOCAL}"


def is_elsewhere(executor: str) -> bool:
    """Whether guests may be on other machines than this one."""
    return executor != LOCAL


def scheduler_address(executor: str) -> str:
    """Of Dask's: ``local``, or the address of a scheduler as Dask takes it."""
    where = executor.removeprefix(_DASK)
    return f"tcp:{where}" if where.startswith("//") else where


def check_executor(text: str) -> str:
    """``text`` if it can name an executor. Raises InputError."""
    if text in {LOCAL, _DASK_LOCAL}:
        return text
    scheme, _, host = scheduler_address(text).partition("://")
    name, _, port = host.rpartition(":")
    if text.startswith(_DASK) and scheme.isalpha() and name and port.isdecimal():
        return text
    raise InputError(f"{text!r}: must be {LOCAL}, {_DASK_LOCAL} or dask://HOST:PORT")
