"""What is over after many turns, and what is noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.guest.test_oracle import suite_module

#: Counts after each batch of turns, beside what was there before it.
Batches = list[dict[str, int]]


@pytest.fixture(scope="module")
def leaks() -> ModuleType:
    return suite_module("leaks")


@pytest.fixture
def growing(leaks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[Batches], list[str]]:
    """Have each batch of turns leave more behind; gives the names that are found to grow."""

    def run(batches: Batches) -> list[str]:
        known = Counter({"a": 1, "b": 1})
        pending = [known]
        for batch in batches:
            pending.append(pending[-1] + Counter(batch))
        monkeypatch.setattr(leaks, "counts", lambda: pending.pop(0))
        turns: list[None] = []
        found, _ = leaks.grown(lambda: turns.append(None), seconds=0)
        assert len(turns) >= leaks.TURNS
        return sorted(found)

    return run


def test_what_grows_in_every_try_is_found(growing: Callable[[Batches], list[str]]) -> None:
    assert growing([{"a": 24, "b": 3}, {"a": 18}, {"a": 130, "b": 70}]) == ["a"]


@pytest.mark.parametrize(
    "batches",
    [
        [{"a": 11}],
        [{"a": 500}, {"a": 10}],
        [{"a": 500}, {"b": 500}],
        [{"a": 500, "b": 500}, {"a": 500}, {"b": 500}],
        [{"new": 500}],
    ],
    ids=["little", "once", "another_each_time", "not_the_last_time", "not_there_before"],
)
def test_noise_is_none(growing: Callable[[Batches], list[str]], batches: Batches) -> None:
    assert growing(batches) == []


def test_what_is_given_back_late_is_given_back(
    leaks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = iter([10, 500, 1000, 1500, 700, 10])
    monkeypatch.setattr(leaks, "counts", lambda: Counter({"pages": next(counted)}))
    leaks.Ledger().given_back("requests", lambda: None)
    assert list(counted) == [], "it must be waited for"


def test_what_wavers_is_not_waited_for(leaks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter([10, 500, 500])
    monkeypatch.setattr(leaks, "counts", lambda: Counter({"pages": next(counted)}))
    leaks.Ledger().given_back("requests", lambda: None)
    assert list(counted) == []


def test_the_failure_names_what_is_left(leaks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[None] = []
    monkeypatch.setattr(leaks, "counts", lambda: Counter({"sockets": 7 + len(held)}))
    leaks.Ledger().given_back("requests", lambda: None)
    with pytest.raises(AssertionError, match="requests: 48 more sockets after 48 turns"):
        leaks.Ledger().given_back("requests", lambda: held.append(None))


def test_what_a_failed_test_held_hides_nothing(
    leaks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be given back at that test's end."""
    held: list[None] = []
    monkeypatch.setattr(leaks, "counts", lambda: Counter({"sockets": len(held)}))
    ledger = leaks.Ledger()
    for _ in range(2):
        with pytest.raises(AssertionError, match="48 more sockets"):
            ledger.given_back("requests", lambda: held.append(None))
        held.clear()


def test_slab_objects(leaks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "slabinfo"
    info.write_text(
        "slabinfo - version: 2.1\n"
        "# name  <active_objs> <num_objs> <objsize>\n"
        "kmalloc-64   17  64 64 64 1 : tunables 0 0 0 : slabdata 1 1 0\n"
        "dentry       99 100 192 21 1 : tunables 0 0 0 : slabdata 5 5 0\n"
    )
    monkeypatch.setattr(leaks, "_SLABINFO", info)
    monkeypatch.setattr(leaks, "_CACHES", tmp_path)
    assert leaks.slab_objects() == {}, "without a way to have them given up nothing is told"
    (tmp_path / "kmalloc-64").mkdir()
    (tmp_path / "kmalloc-64" / "shrink").touch()
    assert leaks.slab_objects() == {"kmalloc-64": 17}
    assert (tmp_path / "kmalloc-64" / "shrink").read_text() == "1"
    monkeypatch.setattr(leaks, "_SLABINFO", tmp_path / "none")
    assert leaks.slab_objects() == {}
