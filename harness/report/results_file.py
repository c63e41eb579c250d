"""results.json: written whole, read back exactly."""

from __future__ import annotations

import json
from pathlib import Path

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from harness.errors import ExitCode, InfrastructureError, InputError
from harness.files import write_whole
from harness.model import SCHEMA, Change, RunResult
from harness.report.upgrade import with_reasons
from harness.strict import MALFORMED, problem, strict_converter

FILE_NAME = "results.json"


def save(result: RunResult, path: Path) -> None:
    """Write ``result`` to ``path``: a reader sees the old file or the new one, never a part.

    Raises InfrastructureError if it cannot be written.
    """
    text = json.dumps(_CONVERTER.unstructure(result), indent=1) + "\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror}") from error


def load(run: Path) -> RunResult:
    """Read the result of a stored run, given as its directory or as the file itself.

    Fields that this version does not know are ignored, and reasons that an earlier one did
    not store are made up for (harness/report/upgrade.py). Raises InputError for a missing
    file, for one that is not JSON, is of another schema, or lacks a field.
    """
    path = run
    try:
        path = run / FILE_NAME if run.is_dir() else run
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path}: nested too deep") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema {schema!r} is not one that this version reads ({SCHEMA})")
    try:
        result: RunResult = _CONVERTER.structure(data, RunResult)
        ExitCode(result.exit_code)
        return with_reasons(result)
    except MALFORMED as error:
        raise InputError(f"{path}: {problem(error)}") from error


def _converter() -> cattrs.Converter:
    converter = strict_converter()
    # "class" cannot be an attribute's name in Python.
    renamed = override(rename="class")
    converter.register_structure_hook(
        Change, make_dict_structure_fn(Change, converter, cls=renamed)
    )
    converter.register_unstructure_hook(
        Change, make_dict_unstructure_fn(Change, converter, cls=renamed)
    )
    return converter


_CONVERTER = _converter()
