"""What ci/dask_check.py takes for a difference between two runs."""

from __future__ import annotations

import json

from dask_check import differences

from tests.stored_runs import stored_text


def test_times_and_hosts_are_none() -> None:
    one, other = json.loads(stored_text("matrix")), json.loads(stored_text("matrix"))
    other["id"], other["host"]["cpus"] = "x", 99
    kernel = other["kernels"][0]
    kernel["boots"][0]["wall_seconds"] = kernel["tests"][0]["seconds"] = 99.0
    kernel["identity"]["nonce"] = "x"
    assert list(differences(one, other)) == []


def test_what_was_observed_is_one() -> None:
    one, other = json.loads(stored_text("matrix")), json.loads(stored_text("matrix"))
    before = other["kernels"][3]["tests"][7]["outcome"]
    other["kernels"][3]["tests"][7]["outcome"] = "other"
    other["kernels"].pop()
    (length,) = differences(one, other)
    assert length.startswith(".kernels: ")
    one["kernels"].pop()
    assert list(differences(one, other)) == [f'.kernels[3].tests[7].outcome: "{before}" | "other"']


def test_numbers_in_texts_are_none_and_words_are() -> None:
    one, other = {"message": "took 3 us at 0xff"}, {"message": "took 41 us at 0x1a"}
    assert list(differences(one, other)) == []
    assert list(differences(one, {"message": "failed"}))
