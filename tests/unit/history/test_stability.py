"""How steady a test is, and what of that a run is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cli import main
from harness.history.importing import import_run
from harness.history.keeping import with_records
from harness.history.queries import StoredOutcome, line
from harness.history.stability import Stability, stability
from harness.history.store import Store
from harness.model import Attempt, EarlierRecord, KernelIdentity, Outcome, Revisions, RunResult
from tests.unit import samples
from tests.unit.history.conftest import WriteRun

_TEST = samples.SHA256_TEST


def _seen(
    outcome: Outcome, boots: int = 1, passes: int | None = None, kernel: str = "a", suite: str = "s"
) -> StoredOutcome:
    passed = boots if outcome is Outcome.PASSED else 0
    return StoredOutcome(
        "run",
        "",
        "6.12",
        kernel,
        "",
        suite,
        outcome,
        boots,
        passed if passes is None else passes,
        "",
    )


_PASS, _FAIL = _seen(Outcome.PASSED), _seen(Outcome.FAILED)


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([], Stability(0, 0, 0, 0, 0)),
        ([_PASS, _PASS, _FAIL, _PASS], Stability(4, 4, 3, 2, 1)),
        ([_FAIL, _FAIL, _PASS], Stability(3, 3, 1, 0, 1)),
        ([_seen(Outcome.SKIPPED), _PASS], Stability(1, 1, 1, 1, 0)),
        ([_seen(Outcome.PASSED, 3, 2), _PASS], Stability(2, 4, 3, 0, 1)),
        # Other kernels and other suites are no chance.
        ([_PASS, _seen(Outcome.FAILED, kernel="b")], Stability(2, 2, 1, 1, 0)),
        ([_PASS, _seen(Outcome.FAILED, suite="t")], Stability(2, 2, 1, 1, 0)),
    ],
)
def test_stability(newest_first: list[StoredOutcome], expected: Stability) -> None:
    assert stability(newest_first) == expected


def _flaky_run(failed: bool, suite: str = "s", build: str = "b0") -> RunResult:
    kernel = replace(samples.new(), kernel=KernelIdentity(build))
    if failed:
        kernel = samples.with_test(kernel, samples.failed(_TEST, "wrong"))
    return replace(samples.run(kernel), revisions=Revisions(suite=suite))


@pytest.fixture
def filled(store: Store, write_run: WriteRun) -> Store:
    """Twelve runs of a kernel, of which three fail, and one of another suite and build each."""
    for number in range(12):
        run = replace(_flaky_run(number % 4 == 1), started=f"2026-11-23T10:{number:02}:00")
        import_run(store, write_run(f"run{number}", run))
    earlier = {"started": "2026-11-22T10:00:00"}
    import_run(store, write_run("suite", _flaky_run(True, suite="t"), **earlier))
    import_run(store, write_run("build", _flaky_run(True, build="b1"), **earlier))
    return store


def test_a_run_is_told_what_earlier_ones_say(filled: Store) -> None:
    (kernel,) = with_records(filled, replace(_flaky_run(True), id="now"))
    assert kernel.earlier == {_TEST: EarlierRecord(12, 9)}
    # Its own outcome, had it been stored before, is none of an earlier run.
    (kernel,) = with_records(filled, replace(_flaky_run(True), id="run1"))
    assert kernel.earlier == {_TEST: EarlierRecord(11, 9)}
    (kernel,) = with_records(filled, replace(_flaky_run(False), id="now"))
    assert kernel.earlier == {}


def test_boots_count(store: Store, write_run: WriteRun) -> None:
    outcomes = (Outcome.FAILED, Outcome.PASSED, Outcome.FAILED)
    attempts = tuple(Attempt(number, one) for number, one in enumerate(outcomes, 1))
    bad = replace(samples.failed(_TEST, "wrong"), attempts=attempts)
    import_run(store, write_run("one", samples.run(samples.with_test(samples.new(), bad))))
    (seen,) = line(store, _TEST)
    assert (seen.boots, seen.passes) == (3, 1)


def test_history_of_a_test(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", _TEST, "--store", filled.name]) == 0
    title, summary, head, *rows = capsys.readouterr().out.splitlines()
    assert title == _TEST
    assert "passes on 1 of 2 kernels" in summary
    assert "flake rate 21.4 % (3 of 14 boots)" in summary
    assert head.startswith("KERNEL")
    assert sorted(row.split()[0] for row in rows) == [samples.NEW, samples.NEW]
    assert any(".F...F...F.." in row for row in rows)


def test_history_of_a_fact(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"zero_copy.{samples.PATHS[0]}"
    assert main(["history", name, "--store", filled.name]) == 0
    out = capsys.readouterr().out
    assert "absent" in out and "aaaaaaaaaaaaa" in out


def test_history_of_a_kernel(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "7.3", "-v", "--last", "3", "--store", filled.name]) == 0
    out = capsys.readouterr().out
    assert out.count("2026-11-23") == 3
    assert f"flaky on {samples.NEW}: {_TEST}: 21.4 %" in out


def test_what_nobody_knows(filled: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "functional/test_hash.py::test_sha25", "--store", filled.name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"there are {_TEST}" in line


def test_an_empty_store(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", _TEST, "--store", store.name]) == 2
    assert "no run is in the store" in capsys.readouterr().err
    assert main(["runs", "list", "--store", store.name]) == 0
    assert capsys.readouterr().out == f"{store.name}: runs: 0\n"
