"""What is imported comes out again as it was, and is there once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.history import queries
from harness.history.importing import Import, import_run
from harness.history.store import Store
from harness.judge.expectations import run_expectations
from harness.model import KernelIdentity, Outcome, Status
from harness.report import results_file
from tests.stored_runs import MATRIX, stored_directory, stored_run
from tests.unit import samples
from tests.unit.history.conftest import WriteRun


def test_nothing_is_there_before_anything_is_stored(store: Store, tmp_path: Path) -> None:
    assert queries.runs(store) == []
    assert not (tmp_path / "runs.sqlite").exists()


def test_a_run_comes_out_as_it_went_in(store: Store, tmp_path: Path) -> None:
    place = stored_directory(MATRIX, tmp_path / "matrix")
    (place / "kernels/6.1").mkdir(parents=True)
    (place / "kernels/6.1/console.log").write_bytes(b"\xff\0booted\n" * 1000)
    run = import_run(store, place).run
    assert queries.document(store, run) == json.loads((place / "results.json").read_text())
    assert queries.run_result(store, run) == results_file.load(place)
    beside = dict(queries.files(store, run))
    assert beside == {"kernels/6.1/console.log": b"\xff\0booted\n" * 1000}


def test_a_run_is_there_once(store: Store, write_run: WriteRun) -> None:
    place = write_run("one")
    assert import_run(store, place).what is Import.NEW
    assert import_run(store, place).what is Import.KNOWN
    assert import_run(store, place / "results.json").what is Import.KNOWN
    assert [run.id for run in queries.runs(store)] == ["one"]
    assert len(queries.line(store, samples.SHA256_TEST)) == 2


def test_a_run_that_has_gone_on_replaces_what_is_there(store: Store, write_run: WriteRun) -> None:
    first = samples.run(replace(samples.new(), status=Status.INTERRUPTED))
    assert import_run(store, write_run("one", first)).what is Import.NEW
    assert import_run(store, write_run("one", ended="2026-11-23T10:20")).what is Import.REPLACED
    assert import_run(store, write_run("one", first)).what is Import.OLDER
    (run,) = queries.runs(store)
    assert run.ended and len(run.kernels) == 2
    assert {one.status for one in queries.results(store)} == {Status.COMPLETED}
    assert len(queries.line(store, samples.SHA256_TEST)) == 2


def test_what_alike_runs_share_is_stored_once(store: Store, write_run: WriteRun) -> None:
    for name in ("one", "two", "three"):
        place = write_run(name, stored_run())
        (place / "payload.tar").write_bytes(b"payload" * 1000)
        import_run(store, place)
    ((files,),) = store.rows("SELECT count(*) FROM files")
    ((contents,),) = store.rows("SELECT count(*) FROM contents")
    assert files == 3 * (1 + 12)  # the payload, and each kernel's transcripts
    # Five pairs of the kernels answered alike; each results.json is one of its own.
    assert contents < 3 + 1 + 12


def test_outcomes_and_facts_are_those_of_the_run(store: Store, tmp_path: Path) -> None:
    import_run(store, stored_directory(MATRIX, tmp_path / "matrix"))
    for result in queries.latest_results(store):
        kernel = next(one for one in stored_run().kernels if one.release == result.release)
        states = {fact.name: fact.state for fact in queries.facts(store, of=[result])}
        assert states.keys() == kernel.facts.named().keys()
        assert result.planned == len(kernel.plan) == 1209
        assert result.ok == kernel.verdict.ok
    test = next(name for name in queries.names(store) if "test_read_below_a_block" in name)
    failed = {one.release for one in queries.line(store, test) if one.outcome == "failed"}
    assert failed == {
        kernel.release
        for kernel in stored_run().kernels
        for one in kernel.tests
        if one.id == test and one.outcome is Outcome.FAILED
    }
    assert failed


def test_text_that_no_database_takes(store: Store, write_run: WriteRun) -> None:
    bad = samples.failed(samples.SHA256_TEST, "a\0b\udcff")
    import_run(store, write_run("one", samples.run(samples.with_test(samples.new(), bad))))
    (outcome,) = queries.line(store, samples.SHA256_TEST)
    assert outcome.message == "a\ufffdb?"


def test_of_two_tests_of_one_name_the_worse_counts(store: Store, write_run: WriteRun) -> None:
    kernel = samples.new()
    bad = samples.failed(samples.SHA256_TEST, "no")
    kernel = replace(kernel, tests=(*kernel.tests, bad))
    import_run(store, write_run("one", samples.run(kernel)))
    assert [one.outcome for one in queries.line(store, samples.SHA256_TEST)] == [Outcome.FAILED]


def test_a_kernel_is_known_again_by_what_both_runs_recorded(
    store: Store, write_run: WriteRun
) -> None:
    """Runs of the first versions did not record build ids."""
    first = samples.new()
    later = replace(first, kernel=KernelIdentity("b0", ("ab" * 32,)))
    other = replace(first, kernel=KernelIdentity("b1", ("ef" * 32,)), packages=())
    for name, kernel in (("one", first), ("two", later), ("three", first), ("four", other)):
        import_run(store, write_run(name, samples.run(kernel)))
    assert {one.run: one.identity for one in queries.results(store)} == {
        "one": "b0",
        "two": "b0",
        "three": "b0",
        "four": "b1",
    }


def test_what_is_no_run(store: Store, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(InputError, match="schema"):
        import_run(store, tmp_path)
    with pytest.raises(InputError, match="No such file"):
        import_run(store, tmp_path / "nothing")
    assert not store.exists()


def test_a_run_judged_by_what_it_expected(store: Store, write_run: WriteRun) -> None:
    run = stored_run()
    import_run(store, write_run("one", run))
    again = queries.run_result(store, "one")
    assert run_expectations(again) == run_expectations(run)
