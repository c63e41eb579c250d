"""Where things lie: the cache, the store of runs, and the data that travels with the package."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def default_cache_dir() -> Path:
    """The XDG cache directory of this program (not created)."""
    import platformdirs  # noqa: PLC0415  (see harness/cli.py)

    return Path(platformdirs.user_cache_dir("afalg-harness"))


def own_cache_dir() -> Path:
    """The cache that the environment names, else the default; absolute (not created)."""
    return Path(os.environ.get("AFALG_CACHE") or default_cache_dir()).resolve()


def default_store() -> Path:
    """The SQLite file of runs in the XDG data directory of this program (not created)."""
    import platformdirs  # noqa: PLC0415  (see harness/cli.py)

    return Path(platformdirs.user_data_dir("afalg-harness")) / "runs.sqlite"


def _data_dir(in_wheel: str, in_checkout: str) -> Path:
    installed = _PACKAGE / in_wheel
    return installed if installed.is_dir() else _PACKAGE.parent / in_checkout


def suite_dir() -> Path:
    """The in-guest pytest suite: ``tests/afalg`` of a checkout, or its copy in the wheel."""
    return _data_dir("_suite", "tests/afalg")


def kconfigs_dir() -> Path:
    """The kconfig fragments."""
    return _data_dir("_kconfigs", "kconfigs")
