"""The stored runs are real ones, whole, and as the current version writes them."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from store_run import compact

from harness.model import Outcome, Status
from harness.report import results_file
from tests.stored_runs import MATRIX, stored_names, stored_run


def test_matrix_spans_the_removal() -> None:
    run = stored_run()
    states = {
        kernel.release: str(kernel.facts.zero_copy["skcipher.splice_file"].state)
        for kernel in run.kernels
    }
    assert len(states) >= 10
    assert states["6.12.95+deb13-amd64"] == "present"
    assert states["6.12.96+deb13-amd64"] == "absent"
    assert {kernel.status for kernel in run.kernels} == {Status.COMPLETED}
    assert all(len(kernel.tests) > 1000 for kernel in run.kernels)
    assert {test.outcome for kernel in run.kernels for test in kernel.tests} >= {
        Outcome.PASSED,
        Outcome.FAILED,
        Outcome.SKIPPED,
    }


@pytest.mark.parametrize("name", stored_names())
def test_stored_run_is_written_as_it_was_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "again.json"
    results_file.save(stored_run(name), path)
    assert results_file.load(path) == stored_run(name)


def test_directory_that_a_run_was_made_in_is_taken_out() -> None:
    text = json.dumps({"command": "afalg-harness run a --out /home/me/x --jobs 2"})
    told = json.loads(lzma.decompress(compact(text, MATRIX)))
    assert told == {"command": "afalg-harness run a --out runs/matrix --jobs 2"}
