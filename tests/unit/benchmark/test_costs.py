"""What a guest counted becomes rows."""

from __future__ import annotations

import pytest

from harness.benchmark.costs import counting, rows
from harness.errors import InfrastructureError

#: As a guest of 6.12.96 sent it: the timer struck in the third message.
_TOLD = {
    "algorithm": "cbc(aes)",
    "way": "sendmsg",
    "size": 4096,
    "calls": ["sendmsg", "read"],
    "ticks": [[12570, 12570, 12570, 12570], [224121, 224113, 228810, 224113]],
}


def test_cheapest_message_is_what_it_costs() -> None:
    (row,) = rows([_TOLD], 13.0)
    assert row.cost == 12570 + 224113 - 2 * 13
    assert row.usual == 12570 + (224113 + 224121) / 2 - 2 * 13
    assert row.messages == 4
    assert row.shares == (12557, 224100)


def test_what_the_kernel_does_not_offer_has_no_cost() -> None:
    told = {"algorithm": "x", "way": "aio", "size": 16, "missing": "io_setup: ENOSYS"}
    (row,) = rows([told], 13.0)
    assert (row.missing, row.messages) == ("io_setup: ENOSYS", 0)


def test_counting_itself_is_known() -> None:
    assert counting({"nothing": [13, 13, 60], "1000": [2013, 2013, 2013]}) == 13


def test_a_clock_is_no_count() -> None:
    with pytest.raises(InfrastructureError, match="a loop of 2000 instructions was counted as 820"):
        counting({"nothing": [49, 49], "1000": [869, 869]})
