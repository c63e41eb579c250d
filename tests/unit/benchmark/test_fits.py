"""Lines through costs."""

from __future__ import annotations

import pytest

from harness.benchmark.fits import fits, line
from harness.benchmark.plan import SIZES
from tests.unit.benchmark.made import plain, rows


def test_line_is_found_with_an_interval_around_it() -> None:
    def bent(algorithm: str, way: str, size: int) -> float:
        # A page more now and then, as a real way has.
        return plain(algorithm, way, size) * (1.02 if size in SIZES[::2] else 0.99)

    found = {(fit.algorithm, fit.way): fit for fit in fits(rows(bent))}
    fit = found["cbc(aes)", "sendmsg"]
    assert fit.message.low < 1000 < fit.message.high
    assert fit.byte.low < 2 < fit.byte.high
    assert 0 < fit.off < 0.03
    assert (fit.message.high - fit.message.low) < 100


def test_line_of_what_is_straight_is_exact() -> None:
    message, byte = line(SIZES, [5 + 0.25 * size for size in SIZES], [1.0] * len(SIZES))
    assert message.value == pytest.approx(5)
    assert byte.value == pytest.approx(0.25)
    assert byte.high - byte.low < 1e-9


def test_two_sizes_make_no_line() -> None:
    assert fits(rows(sizes=SIZES[:2])) == ()
