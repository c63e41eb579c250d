"""The suites that travel with the harness."""

from __future__ import annotations

from harness.locations import suite_dir

#: In this order, so that what a verdict rests on is known first. Others follow.
_SUITE_ORDER = (
    *("zero_copy", "functional", "policy", "security", "differential", "consumers"),
    "faults",  # last: a kernel that cannot cope may die of it
)


def suite_names() -> list[str]:
    """The suites that travel with the harness, in the order in which they run."""
    names = {
        entry.name
        for entry in suite_dir().iterdir()
        if entry.is_dir() and any(entry.glob("test_*.py"))
    }
    return [*(name for name in _SUITE_ORDER if name in names), *sorted(names - {*_SUITE_ORDER})]
