"""The JSON Schema of results.json, made from the values that it holds."""

from __future__ import annotations

import dataclasses
from typing import Any

from mashumaro.jsonschema import DRAFT_2020_12, build_json_schema

from harness import model
from harness.model import SCHEMA, RunResult
from harness.report import results_file

#: Fields go by another name in the file where theirs is a word of Python's.
_RENAMED = {"cls": "class"}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the results.json that this version writes.

    It allows further fields, as readers do: a later version may add some without another
    number of the schema.
    """
    made = build_json_schema(RunResult, dialect=DRAFT_2020_12, with_definitions=True, all_refs=True)
    definitions = made.to_dict()["$defs"]
    for name, value in definitions.items():
        _adapt(name, value)
    top = definitions.pop("RunResult")
    top["properties"]["schema"] = {"const": SCHEMA}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{results_file.FILE_NAME} of afalg-harness",
        "description": top.pop("description"),
        **{key: value for key, value in top.items() if key != "title"},
        "$defs": definitions,
    }


def _adapt(name: str, schema: dict[str, Any]) -> None:
    """Make a class's schema that of what the file holds."""
    schema.pop("additionalProperties", None)
    kind = getattr(model, name, None)
    if dataclasses.is_dataclass(kind):
        schema["description"] = (kind.__doc__ or "").partition("\n")[0]
    for key in ("properties", "required"):
        held = schema.get(key)
        if isinstance(held, dict):
            schema[key] = {_RENAMED.get(one, one): value for one, value in held.items()}
        elif held:
            schema[key] = [_RENAMED.get(one, one) for one in held]
