"""Cycles and nanoseconds: rounds in turn, their medians, and what is more than noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import binomtest

from harness.benchmark.changes import Change, changes
from harness.benchmark.costs import counting, of_rounds, rows
from harness.benchmark.file import FILE_NAME, load, save
from harness.benchmark.page import page
from harness.benchmark.picture import picture
from harness.benchmark.plan import exceptions_for, rounds_for
from harness.cli import main
from harness.errors import InfrastructureError
from tests.unit.benchmark.made import benchmark, timed

#: As many rounds as the 72 rows of these kernels need.
_STEADY = (1.0, 1.01, 0.99, 1.0, 1.02, 1.0) * 2
_MOST = (1.0,) * 11


def _change(before: tuple[float, ...], after: tuple[float, ...], *, in_turn: bool = True) -> Change:
    found = changes(timed("1", *before).main, timed("2", *after).main, in_turn=in_turn)
    return found[0].rows[0]


def test_more_rows_need_more_rounds() -> None:
    # In one of 2 ** (N - 1) cases all of N rounds fall on one side.
    for number in (1, 6, 72, 539):
        rounds = rounds_for(number)
        assert number * 2 ** -(rounds - 1) <= 0.05 < number * 2 ** -(rounds - 2)


def test_more_rounds_may_have_exceptions() -> None:
    for rounds in range(1, 40):
        found = exceptions_for(rounds, 72)
        assert (found < 0) == (rounds < rounds_for(72))
        if found >= 0:  # as scipy has the sign test
            assert 72 * binomtest(found, rounds).pvalue <= 0.05
        assert 72 * binomtest(found + 1, rounds).pvalue > 0.05
    assert exceptions_for(20, 9) == 3


def test_cost_of_a_round_is_its_median_message() -> None:
    told = {"algorithm": "x", "way": "y", "size": 16, "calls": ["a", "b"],
            "ticks": [[110, 120, 900], [210, 205, 230]], "nothing": [90, 100, 300]}  # fmt: skip
    (row,) = rows([told], 5000.0, "nanoseconds")  # that was when it started
    assert row.cost == row.usual == 125
    assert row.shares == (20, 110)


def test_cost_of_all_rounds_is_their_median() -> None:
    three = [timed("1", factor).main.rows for factor in (1.0, 1.3, 1.1)]
    row = next(of_rounds(three))
    assert row.cost == pytest.approx(1.1 * three[0][0].cost)
    assert row.rounds == tuple(one[0].cost for one in three)
    assert row.messages == 24


def test_row_that_one_round_has_not_is_missing() -> None:
    first, second = (timed("1", 1.0).main.rows for _ in range(2))
    lost = (replace(second[0], missing="splice: ENOMEM"), *second[1:])
    found = list(of_rounds([first, lost]))
    assert found[0].missing == "splice: ENOMEM"
    assert not any(row.missing for row in found[1:])


def test_counter_that_stands_still_is_found() -> None:
    calibration = {"nothing": [2000, 2100, 2050], "1000": [2050] * 3, "100000": [2060] * 3}
    for unit in ("cycles", "nanoseconds"):
        with pytest.raises(InfrastructureError, match=f"as 10 {unit}: nothing is counted"):
            counting(calibration, unit)
        assert counting(calibration | {"100000": [102_000] * 3}, unit) == 2050


def test_dearer_in_every_round_is_beyond_noise() -> None:
    change = _change(_STEADY, tuple(1.05 * one for one in _STEADY))
    assert change.share == pytest.approx(0.05)
    assert change.is_beyond


def test_what_the_machine_did_to_both_kernels_is_no_change() -> None:
    busy = (1.0, 3.0, 1.5, 2.0, 4.0, 5.0) * 2
    assert not _change(busy, busy).is_beyond
    assert _change(busy, tuple(1.05 * one for one in busy)).is_beyond


def test_dearer_in_all_rounds_but_one_is_noise() -> None:
    change = _change((1.0,) * 12, (1.05,) * 11 + (0.99,))
    assert not change.is_beyond
    assert change.is_undecided(0.03)
    assert not change.is_undecided(0.06)


def test_of_more_rounds_one_may_be_an_exception() -> None:
    change = _change((1.0,) * 16, (1.05,) * 15 + (0.5,))
    assert change.exceptions == 1
    assert change.is_beyond
    assert not _change((1.0,) * 16, (1.05,) * 14 + (0.5,) * 2).is_beyond
    assert not _change((1.0,) * 16, (1.05,) * 15 + (0.5,), in_turn=False).is_beyond


def test_less_than_noise_is_none_however_steady() -> None:
    change = _change((1.0,) * 12, (1.019,) * 12)
    assert not change.is_beyond and not change.is_undecided(0.0)


def test_fewer_rounds_tell_nothing() -> None:
    change = _change((1.0,) * 11, (2.0,) * 11)
    assert not change.is_beyond
    assert _change((1.0,) * 12, (2.0,) * 12).is_beyond
    assert change.is_undecided(0.05)


def test_only_rounds_that_both_kernels_have_are_held_against_each_other() -> None:
    # The second kernel was not measured in the third round, in which the machine was slow.
    change = _change((1.0, 1.0, 9.0, *[1.0] * 10), (1.1, 1.1, 0.0, *[1.1] * 10))
    assert change.rounds == pytest.approx((0.1,) * 12)
    assert change.is_beyond


def test_of_different_runs_every_round_is_held_against_every_other() -> None:
    apart = _change((*_MOST, 1.1), (1.15, *[1.2] * 11), in_turn=False)
    assert len(apart.rounds) == 144 and apart.is_beyond
    assert not _change((*_MOST, 1.3), (1.2,) * 12, in_turn=False).is_beyond


def _stored(place: Path, *factors: float, cpu: str = "EPYC") -> Path:
    place.mkdir()
    made = benchmark(
        timed("6.12.95", *_STEADY), timed("6.12.96", *factors), unit="nanoseconds", host_cpu=cpu
    )
    save(made, place / FILE_NAME)
    assert load(place) == made
    return place


_DEARER = tuple(1.1 * one for one in _STEADY)


def test_table_has_requests_a_second_and_the_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _stored(tmp_path / "a", *_DEARER)
    assert main(["compare", str(run), "-v"]) == 0
    printed = capsys.readouterr().out
    assert "6.12.96 against 6.12.95: 72 of 72 rows changed beyond noise" in printed
    assert "+10.0% (+10.0 to +10.0%)" in printed
    assert "different runs" not in printed


@pytest.mark.parametrize(
    ("factors", "code", "said"),
    [
        (_DEARER, 1, "cbc(aes) by sendmsg, 16 B: +10.0%, more than 5.0%"),
        (_STEADY, 0, ""),
        # Dearer by a tenth in the median, but not in the last round.
        ((1.1,) * 11 + (0.9,), 3, "72 of 72 rows: too noisy, or too few rounds, to tell whether"),
    ],
)
def test_gate(
    factors: tuple[float, ...],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = _stored(tmp_path / "a", *factors)
    assert main(["compare", str(run), "--max-slowdown", "5%"]) == code
    assert said in capsys.readouterr().out


def test_different_runs_are_compared_with_a_word_of_warning_and_no_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(_stored(tmp_path / name, *_DEARER)) for name in ("a", "b")]
    assert main(["compare", *runs]) == 0
    assert "of different runs: what the machine did meanwhile" in capsys.readouterr().out
    assert main(["compare", *runs, "--max-slowdown", "5%"]) == 2
    assert "benchmark both kernels in one run" in capsys.readouterr().err


def test_different_machines_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(_stored(tmp_path / cpu, *_DEARER, cpu=cpu)) for cpu in ("EPYC", "Xeon")]
    assert main(["compare", *runs]) == 2
    assert "not measured alike: nanoseconds by QEMU 7.2.22 under TCG on EPYC" in (
        capsys.readouterr().err
    )


def test_page_and_picture_have_the_unit() -> None:
    made = benchmark(timed("1", *_STEADY), timed("2", *_DEARER), unit="nanoseconds")
    html = page(made)
    assert "says nothing of any CPU" in html
    assert "dearer in so many rounds, or cheaper in so many" in html
    assert "<th>a second</th>" in html
    assert "nanoseconds per byte" in picture(made, "sha256")
    assert "counted twice" not in html
