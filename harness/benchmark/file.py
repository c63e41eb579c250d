"""benchmark.json: written whole, read back exactly, and its JSON Schema."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from mashumaro.jsonschema import DRAFT_2020_12, build_json_schema

from harness.benchmark import values
from harness.benchmark.values import READ, SCHEMA, Benchmark
from harness.errors import InfrastructureError, InputError
from harness.files import write_whole
from harness.strict import MALFORMED, problem, strict_converter

FILE_NAME = "benchmark.json"


def save(benchmark: Benchmark, path: Path) -> None:
    """Write it. Raises InfrastructureError if it cannot be written."""
    text = json.dumps(strict_converter().unstructure(benchmark), indent=1) + "\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror}") from error


def find(run: Path) -> Path | None:
    """The file of a run of ``benchmark``, given as its directory or as itself; None if neither."""
    try:
        path = run / FILE_NAME if run.is_dir() else run
        return path if path.name == FILE_NAME and path.is_file() else None
    except OSError:  # whoever then takes it for a run of tests says what is wrong
        return None


def load(run: Path) -> Benchmark:
    """Read it, given as the directory or as the file itself.

    Raises InputError for a missing file, and for one that is not JSON, of another schema, or
    malformed.
    """
    path = run / FILE_NAME if run.is_dir() else run
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in READ or isinstance(schema, bool):
        known = " and ".join(map(str, READ))
        raise InputError(f"{path}: schema {schema!r} is not one that this version reads ({known})")
    try:
        benchmark: Benchmark = strict_converter().structure(data, Benchmark)
        return benchmark
    except MALFORMED as error:
        raise InputError(f"{path}: {problem(error)}") from error


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the file that this version writes."""
    made = build_json_schema(Benchmark, dialect=DRAFT_2020_12, with_definitions=True, all_refs=True)
    definitions = made.to_dict()["$defs"]
    for name, schema in definitions.items():
        schema.pop("additionalProperties", None)
        kind = getattr(values, name, None)
        if dataclasses.is_dataclass(kind):
            schema["description"] = (kind.__doc__ or "").partition("\n")[0]
    top = definitions.pop("Benchmark")
    top["properties"]["schema"] = {"const": SCHEMA}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{FILE_NAME} of afalg-harness",
        "description": top.pop("description"),
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": definitions,
    }
