"""From which size on a way is the cheaper one."""

from __future__ import annotations

import pytest

from harness.benchmark.crossing import bytes_told, crossing
from harness.benchmark.plan import SIZES
from harness.benchmark.values import Row


def _rows(a_message: float, a_byte: float) -> list[Row]:
    return [Row("x", "y", size, 1, a_message + a_byte * size) for size in SIZES]


def test_cheaper_from_a_size_on() -> None:
    found = crossing(_rows(5000, 1), _rows(1000, 2))  # equal at 4,000
    assert found is not None
    assert not found.first
    assert found.sizes == (4000,)
    assert str(found) == "from 3.9 KiB"


@pytest.mark.parametrize(
    ("ours", "said"),
    [((500, 1), "always"), ((5000, 3), "never"), ((100, 3), "up to 900 B")],
)
def test_said_in_words(ours: tuple[float, float], said: str) -> None:
    assert str(crossing(_rows(*ours), _rows(1000, 2))) == said


def test_without_a_common_size_nothing_is_said() -> None:
    assert crossing(_rows(1, 1)[:1], _rows(1, 1)[1:]) is None
    assert crossing([Row("x", "y", 16, missing="ENOENT")], _rows(1, 1)) is None


def test_sizes_in_words() -> None:
    assert [bytes_told(size) for size in (16, 1024, 3277, 65536, 1 << 20)] == [
        "16 B", "1 KiB", "3.2 KiB", "64 KiB", "1 MiB",
    ]  # fmt: skip
