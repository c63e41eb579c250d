"""``afalg-harness benchmark`` on a kernel with zero-copy input and on the next one, without."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.benchmark.changes import NOISE, changes
from harness.benchmark.file import load
from harness.benchmark.page import FILE_NAME
from harness.cli import main
from tests import documented

from .conftest import COMMAND

_FEW = ("--algorithm", "cbc(aes)", "--way", "sendmsg", "--way", "splice", "--way", "openssl")
_ROUNDS = 2  # that any differ for certain takes more: tests/unit/benchmark/test_rounds.py
_PATIENCE = 1500  # seconds, on a busy machine


def _words(out: Path, command: list[str]) -> list[str]:
    """The documented command, of a few rows."""
    sizes = [word for size in (16, 65536) for word in ("--size", str(size))]
    return [*command, *_FEW, *sizes, "--out", str(out)]


def test_splice_became_dearer_by_the_copy_and_by_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "costs"
    words = _words(out, documented.arguments("benchmark debian:6.12.95+deb13-amd64"))
    done = subprocess.run(
        [str(COMMAND), *words], capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert (out / FILE_NAME).stat().st_size > 10_000
    before, after = (kernel.main for kernel in load(out).kernels)
    found = {
        way.way: {one.before.size: one.share for one in way.rows} for way in changes(before, after)
    }
    assert found["splice"][65536] > 0.02
    assert abs(found["openssl"][65536]) < NOISE
    calls = {way.way: way.call for way in changes(before, after)}
    assert calls["splice"] == "splice to socket"


def test_nanoseconds_of_kernels_that_are_booted_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.commands.actions.benchmark.rounds_for", lambda _: _ROUNDS)
    out = tmp_path / "nanoseconds"
    assert main(_words(out, documented.arguments("benchmark --unit nanoseconds"))) == 0
    printed = capsys.readouterr().out
    found = load(out)
    assert (found.unit, found.failures) == ("nanoseconds", ())
    assert [kernel.release for kernel in found.kernels] == [
        "6.12.95+deb13-amd64",
        "6.12.96+deb13-amd64",
    ]
    for kernel in found.kernels:
        assert kernel.main.rounds == tuple(range(1, 1 + _ROUNDS))
        rows = {(row.way, row.size): row for row in kernel.main.rows}
        assert len(rows) == 6
        assert all(len(row.rounds) == _ROUNDS for row in rows.values())
        for way in ("sendmsg", "splice", "openssl"):  # by far, however busy the machine is
            assert rows[way, 65536].cost > 3 * rows[way, 16].cost
        second = f"{1e9 / rows['sendmsg', 16].cost:,.0f}"
        assert second in printed
    places = [out / "kernels" / kernel.release / "emulated" for kernel in found.kernels]
    if found.accel == "tcg":
        assert [len(list(place.glob("*/records.jsonl"))) for place in places] == [_ROUNDS] * 2
    shares = [
        change for way in changes(*(one.main for one in found.kernels)) for change in way.rows
    ]
    assert all(len(change.rounds) == _ROUNDS for change in shares)
