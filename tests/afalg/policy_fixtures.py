"""What the tests of af_alg_restrict share: the kernel's answers at each level."""

from __future__ import annotations

import pytest
from restriction import Policy


@pytest.fixture(scope="session")
def policy_answers() -> Policy:
    """The answers are the kernel's and not a module's: kept for the whole session."""
    return Policy()


@pytest.fixture
def policy(policy_answers: Policy) -> Policy:
    """The policy, on kernels that have the sysctl; skips the test on others."""
    policy_answers.require()
    return policy_answers
