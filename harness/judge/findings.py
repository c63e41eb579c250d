"""What a verdict is made of: single findings, and the words they share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.judge.expectations import Expectation
from harness.model import ExpectationCheck, Ground

_NAMED = 3  # names that a sentence lists before it says how many more there are


@dataclass(frozen=True)
class Finding:
    """One thing that the verdict rests on: a reason if it is bad, else perhaps a note."""

    check: ExpectationCheck | None = None
    reason: str = ""
    note: str = ""
    #: The reason is a want of knowledge, by a fault that is not the kernel's.
    unknown: bool = False
    #: What the reason is about, where that is not the check alone.
    ids: tuple[str, ...] = ()

    @property
    def ground(self) -> Ground:
        """The reason as data."""
        checked = (self.check.id,) if self.check is not None else ()
        return Ground(self.reason, self.ids or checked, self.unknown)


def listed(names: Sequence[str], limit: int = _NAMED) -> str:
    """``a, b, c and 4 more``."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def first_line(text: str) -> str:
    """The first line of a message that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def said(message: str) -> str:
    """The first line of a test's message, without the name of the exception that brought it."""
    return re.sub(r"^(AssertionError|Failed|Exception): ", "", first_line(message))


def because(rule: Expectation | None) -> str:
    """The reason that was given with an expectation, in brackets."""
    return f" ({rule.reason})" if rule is not None and rule.reason else ""
