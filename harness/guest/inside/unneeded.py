"""Parts of pytest that the built-in suite has no use for, and that ``import pytest`` imports all
the same: a sixth of the time that it takes an emulated CPU.

None of their plugins is loaded (``recording.py``). Standard library only: this travels into the
guest.
"""

from __future__ import annotations

import sys
from types import ModuleType

_PARTS = ("debugging", "doctest", "legacypath", "logging", "pytester")


class _Part(ModuleType):
    """Has every name that it is asked for: an empty class, which nothing is an instance of."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"set_trace": None})  # pytest.set_trace is that of a class


def leave_out() -> None:
    """Have ``import pytest`` do without these parts; call it before."""
    for part in _PARTS:
        name = f"_pytest.{part}"
        sys.modules[name] = _Part(name)
    # Pytest imports it before it captures (``_pytest/capture.py``), and goes on where it is not.
    sys.modules["readline"] = None  # type: ignore[assignment]
