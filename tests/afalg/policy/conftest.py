"""Fixtures of the policy suite: the sysctl is found as it was left, whatever fails."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import af_alg
import pytest
from restriction import RESTRICT, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def policy_answers() -> Policy:
    """The answers are the kernel's and not a module's: kept for the whole session."""
    return Policy()


@pytest.fixture(scope="module", autouse=True)
def level_as_found() -> Iterator[None]:
    """Put the sysctl back after each module."""
    with suppress(af_alg.NotOffered):
        af_alg.open_socket().close()
    before = RESTRICT.read_text() if RESTRICT.exists() else ""
    yield
    if before:
        with suppress(af_alg.NotOffered):
            af_alg.open_socket().close()  # loads af_alg again, if a test unloaded it
        RESTRICT.write_text(before)


@pytest.fixture
def policy(policy_answers: Policy) -> Policy:
    """The policy, on kernels that have the sysctl; skips the test on others."""
    policy_answers.require()
    return policy_answers
