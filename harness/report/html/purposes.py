"""What tests are for: the docstrings of the suite's functions, read from its source.

Results hold none of that. The source is that of this installation, whose docstring of a
test may be another one than when the test ran.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from harness.locations import suite_dir


def purpose(test: str) -> str:
    """The docstring of the test with this id; "" if it has none, or is not of our suite."""
    file, _, function = test.partition("::")
    name = function.partition("[")[0].rpartition("::")[2]
    return _docstrings(file).get(name, "")


def is_ours(test: str) -> bool:
    """Whether the suite of this installation has a test with this id, parameters aside."""
    file, _, function = test.partition("::")
    return function.partition("[")[0].rpartition("::")[2] in _docstrings(file)


@cache
def _docstrings(file: str) -> Mapping[str, str]:
    """Name of each function of a file of the suite -> its docstring."""
    place = PurePosixPath(file)
    if place.is_absolute() or ".." in place.parts or place.suffix != ".py":
        return {}
    try:
        tree = ast.parse(Path(suite_dir(), place).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return {}
    return {
        node.name: inspect.cleandoc(ast.get_docstring(node) or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
