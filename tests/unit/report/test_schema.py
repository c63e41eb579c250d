"""The schema is one, and holds for what is stored."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from harness import cli
from harness.model import Change, KernelResult, RunResult
from harness.report import results_file
from harness.report.schema import json_schema
from tests.stored_runs import stored_names, stored_text
from tests.unit import samples
from tests.unit.report.test_junit import RUNS

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def written(result: RunResult) -> Any:
    return json.loads("".join(results_file.pieces(result)))


def test_schema_is_one() -> None:
    meta.validate(SCHEMA)


def test_every_field_is_in_it() -> None:
    assert set(SCHEMA["properties"]) == {one.name for one in fields(RunResult)}
    kernel = SCHEMA["$defs"]["KernelResult"]["properties"]
    assert set(kernel) == {one.name for one in fields(KernelResult)}
    change = SCHEMA["$defs"]["Change"]["properties"]
    assert set(change) == {one.name for one in fields(Change)} - {"cls"} | {"class"}


@pytest.mark.parametrize("name", stored_names())
def test_stored_run_is_valid(name: str) -> None:
    VALIDATOR.validate(json.loads(stored_text(name)))


@pytest.mark.parametrize("name", RUNS)
def test_run_that_went_wrong_is_valid(name: str) -> None:
    VALIDATOR.validate(written(RUNS[name]))


def test_further_fields_are_allowed() -> None:
    VALIDATOR.validate({**written(samples.main_job()), "later": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "odd"), ("tests", [{}]), ("verdict", None), ("transcripts", {"a": 1})],
)
def test_wrong_file_is_refused(field: str, value: object) -> None:
    data = copy.deepcopy(written(samples.main_job()))
    data["kernels"][0][field] = value
    assert not VALIDATOR.is_valid(data)


def test_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
