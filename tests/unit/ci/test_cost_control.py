"""The controls of the benchmark, on costs that follow a rule."""

from __future__ import annotations

import cost_control
import pytest

from harness.benchmark.changes import changes
from tests.unit.benchmark.made import Rule, benchmark, kernel, plain


def _zero_copy(algorithm: str, way: str, size: int) -> float:
    cheaper = way == "splice" and algorithm != "sha256"
    return plain(algorithm, way, size) * (0.9 if cheaper else 1)


def _slowed(algorithm: str, way: str, size: int) -> float:
    dearer = "openssl" not in way and algorithm != "sha256"
    return plain(algorithm, way, size) * (1.03 if dearer else 1)


def _wrong(kind: str, rule: Rule) -> list[str]:
    found = changes(kernel("1").main, kernel("2", rule).main)
    return list(cost_control.charged_wrongly(found, kind))


@pytest.fixture(autouse=True)
def _calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_control, "_SENDING", ("send",))


def test_right_charges() -> None:
    assert _wrong("zero-copy", _zero_copy) == []
    assert _wrong("slowed", _slowed) == []


def test_what_is_less_than_boots_differ_by_need_not_be_found() -> None:
    def little(algorithm: str, way: str, size: int) -> float:
        return (
            plain(algorithm, way, size)
            + (_slowed(algorithm, way, size) - plain(algorithm, way, size)) / 10
        )

    assert _wrong("slowed", little) == []


def test_a_change_elsewhere_is_told() -> None:
    wrong = _wrong("zero-copy", _slowed)
    assert "zero-copy: cbc(aes) by sendmsg: changed, and should not have" in wrong
    assert "zero-copy: cbc(aes) by splice: +3.00% to +3.00%" in wrong


def test_a_change_that_is_not_found_is_told() -> None:
    assert _wrong("slowed", plain) == [
        f"slowed: cbc(aes) by {way}: +0.00% to +0.00%" for way in ("sendmsg", "splice")
    ]


def test_a_change_of_another_call_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_control, "_SENDING", ("read",))
    assert _wrong("slowed", _slowed)[0] == "slowed: cbc(aes) by sendmsg: charged to send"


def test_loop_is_put_into_the_one_function() -> None:
    source = "int other(\n\tctx->write = true;\n}\nint af_alg_sendmsg(\n\tctx->write = true;\n}\n"
    text = cost_control.slowed(source)
    assert text.count("asm volatile") == 1
    assert text.index("asm volatile") > text.rindex("ctx->write = true;")


def test_largest_difference_of_any_two_runs() -> None:
    def off(algorithm: str, way: str, size: int) -> float:
        return plain(algorithm, way, size) * (1.004 if (way, size) == ("splice", 64) else 1)

    runs = [benchmark(kernel("1")), benchmark(kernel("1", off)), benchmark(kernel("1"))]
    share, row = cost_control.largest_difference(runs)
    assert share == pytest.approx(0.004)
    assert row == "cbc(aes) by splice of 64 bytes"
