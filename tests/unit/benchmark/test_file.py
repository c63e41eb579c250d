"""benchmark.json, and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from harness.benchmark.file import FILE_NAME, find, json_schema, load, save
from harness.errors import InputError
from tests.unit.benchmark.made import benchmark, kernel


def test_read_back_exactly(tmp_path: Path) -> None:
    made = benchmark(kernel("1"), kernel("2"))
    save(made, tmp_path / FILE_NAME)
    assert load(tmp_path) == load(tmp_path / FILE_NAME) == made


def test_first_schema_is_read_too(tmp_path: Path) -> None:
    made = benchmark(kernel("1"), kernel("2"))
    save(made, tmp_path / FILE_NAME)
    data = json.loads((tmp_path / FILE_NAME).read_text()) | {"schema": 1}
    del data["failures"], data["baseline"]
    (tmp_path / FILE_NAME).write_text(json.dumps(data))
    read = load(tmp_path)
    assert (read.first, read.others, read.failures) == (made.kernels[0], made.kernels[1:], ())


def test_schema_describes_what_is_written(tmp_path: Path) -> None:
    save(benchmark(kernel("1")), tmp_path / FILE_NAME)
    data = json.loads((tmp_path / FILE_NAME).read_text())
    check = jsonschema_rs.validator_for(json_schema())
    assert check.is_valid(data)
    data["kernels"][0]["counts"][0]["rows"][0]["cost"] = "dear"
    assert not check.is_valid(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "schema None is not one"),
        ('{"schema": 3}', "schema 3 is not one"),
        ('{"schema": true}', "schema True is not one"),
        ('{"schema": 1}', "required field missing"),
    ],
)
def test_what_is_no_benchmark_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(InputError, match=said):
        load(tmp_path)


def test_found_by_its_name(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    (tmp_path / "results.json").write_text("{}")
    assert find(tmp_path / "results.json") is None
    (tmp_path / FILE_NAME).write_text("{}")
    assert find(tmp_path) == find(tmp_path / FILE_NAME) == tmp_path / FILE_NAME
