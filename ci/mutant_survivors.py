"""Why a mutant of ci/mutants.py that survives is no hole of the suite, as data."""

from __future__ import annotations

import re

#: Pattern of the mutant as it is printed, and why nothing that a guest can see is other.
REASONS: tuple[tuple[str, str], ...] = ()


def reason_of(mutant: str) -> str:
    """Why a mutant cannot be noticed; "" if nothing is known of it."""
    return next((reason for pattern, reason in REASONS if re.search(pattern, mutant)), "")
