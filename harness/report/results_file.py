"""results.json: written whole, read back exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from harness.errors import ExitCode, InfrastructureError, InputError
from harness.files import write_whole
from harness.model import SCHEMA, Change, RunResult
from harness.report.options import ReportOptions
from harness.report.upgrade import upgraded
from harness.strict import MALFORMED, problem, strict_converter

FILE_NAME = "results.json"
_READABLE = (1, SCHEMA)


def save(result: RunResult, path: Path) -> None:
    """Write ``result`` to ``path``: a reader sees the old file or the new one, never a part.

    Raises InfrastructureError if it cannot be written.
    """
    try:
        write_whole(path, pieces(result))
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be written: {error.strerror}") from error


def pieces(result: RunResult, _options: ReportOptions | None = None) -> Iterator[str]:
    """The file in pieces, a kernel at a time: many of them never exist as JSON at once."""
    data = _CONVERTER.unstructure(replace(result, kernels=()))
    last = len(result.kernels) - 1
    for place, (name, value) in enumerate(data.items()):
        yield "{" if not place else ","
        yield f"\n {json.dumps(name)}: "
        if name != "kernels" or not result.kernels:
            yield _indented(value, 1)
            continue
        yield "["
        for number, kernel in enumerate(result.kernels):
            yield f"\n  {_indented(_CONVERTER.unstructure(kernel), 2)}"
            yield "," if number < last else "\n ]"
    yield "\n}\n"


def _indented(value: object, depth: int) -> str:
    # Within a string JSON has no line ends.
    return json.dumps(value, indent=1).replace("\n", "\n" + " " * depth)


def load(run: Path) -> RunResult:
    """Read the result of a stored run, given as its directory or as the file itself.

    Fields that this version does not know are ignored, and what an earlier one did not
    store is made up for (harness/report/upgrade.py). Raises InputError for a missing
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
    return structured(data, str(path))


def structured(data: Any, name: str) -> RunResult:
    """The result that ``data`` is, as JSON has it; ``name`` is what errors call it.

    Raises InputError as ``load`` does.
    """
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in _READABLE or isinstance(schema, bool):
        readable = " and ".join(map(str, _READABLE))
        raise InputError(
            f"{name}: schema {schema!r} is not one that this version reads ({readable})"
        )
    try:
        result: RunResult = _CONVERTER.structure(data, RunResult)
        ExitCode(result.exit_code)
        return upgraded(result)
    except MALFORMED as error:
        raise InputError(f"{name}: {problem(error)}") from error


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
