"""What became dearer or cheaper."""

from __future__ import annotations

import pytest

from harness.benchmark.changes import changes, worst
from tests.unit.benchmark.made import kernel, plain


def _slow(algorithm: str, way: str, size: int) -> float:
    # 60 instructions more in each message that is sent.
    return plain(algorithm, way, size) + (60 if way == "sendmsg" else 0)


def test_slowdown_is_charged_to_its_rows_and_to_its_call() -> None:
    before, after = kernel("1").main, kernel("2", _slow).main
    found = changes(before, after)
    changed = {(way.algorithm, way.way) for way in found if way.beyond}
    assert changed == {("cbc(aes)", "sendmsg"), ("sha256", "sendmsg")}
    way = found[0]
    # 60 of 1,032; of 9,192 it is 0.65 %, of 33,768 nothing that two boots do not differ by.
    assert [change.before.size for change in way.beyond] == [16, 64, 256, 1024, 4096]
    assert way.call == "send"
    assert way.message is not None and way.message.value == pytest.approx(60)
    assert way.byte is not None and way.byte.value == pytest.approx(0, abs=1e-6)
    dearest = worst(found)
    assert dearest is not None and dearest.share == pytest.approx(60 / 1032)


def test_what_the_messages_of_one_kernel_differ_by_is_no_change() -> None:
    before, after = kernel("1", usual=100).main, kernel("2", _slow, usual=100).main
    assert not any(way.beyond for way in changes(before, after))


def test_nothing_is_dearer_where_all_is_cheaper() -> None:
    found = changes(kernel("1", _slow).main, kernel("2").main)
    assert found[0].beyond[0].share == pytest.approx(-60 / 1092)
    assert worst(found) is None
