"""Why something cannot be done here: in words for people, and as data for who judges.

``skip()`` is ``pytest.skip()`` with such data: a test that skips without it says only in
English what a comparison of kernels would want to know.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from harness.guest.inside.words import Reason, Witness

RESTRICT = Path("/proc/sys/crypto/af_alg_restrict")


class Unavailable(Exception):
    """Something cannot be done here; says what was observed.

    ``control`` and ``witness`` are what a probe that ends with it has to say of its own.
    """

    control: str = "not_run"
    witness: Witness = Witness.NONE

    def __init__(self, text: str, reason: Reason) -> None:
        super().__init__(text, reason)  # both, so that it can come from another process
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])

    def skip(self) -> NoReturn:
        """Skip the running test for it."""
        __tracebackhide__ = True
        skip(str(self), self.reason)


def skip(text: str, reason: Reason) -> NoReturn:
    """Skip the running test; the recorder sends ``reason`` along with the text."""
    __tracebackhide__ = True
    skipped = pytest.skip.Exception(text)
    vars(skipped)["reason_data"] = reason
    raise skipped


def reason_of(skipped: BaseException) -> Reason | None:
    """The reason of a skip, if it has one."""
    reason = getattr(skipped, "reason_data", None)
    return reason if isinstance(reason, Reason) else None


def restriction() -> int | None:
    """The level of af_alg_restrict, None where nothing is restricted."""
    try:
        return int(RESTRICT.read_text()) or None
    except FileNotFoundError:  # before 7.3, or af_alg is not loaded
        return None
