"""What is taken where a command does not say otherwise: light, for help and completion."""

from __future__ import annotations

#: Boots of one kernel at most, for each repetition of the plan.
MOST_BOOTS = 12
#: Fresh boots of both kernels in which a loss must show again.
CONFIRM = 2
#: Of the test data; any fixed number: two runs use the same known answers.
SEED = 20260422
#: Seconds that one test may take.
TEST_SECONDS = 30.0
#: Seconds that all tests of one boot may take together, by accelerator.
SUITE_SECONDS = {"kvm": 600.0, "tcg": 1800.0}
