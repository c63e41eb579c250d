"""What can be known of a suite of the user's by reading it, for it is meant for guests.

Nothing of it is imported or run on the host. Reading tells little of what pytest will make of
a file: what cannot be told for certain may be anything.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Names by which pytest finds files, functions and classes, unless a suite says otherwise.
_FILE = re.compile(r"test_.*\.py|.*_test\.py")
_TEST = re.compile(r"test|Test")
#: Statements at the top of a file that make no test.
_HARMLESS = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)


class Unknown(Exception):
    """Reading the suite does not tell which tests it holds, or how they are called."""


def read_tests(suite: Path) -> Mapping[Path, tuple[str, ...]]:
    """The tests of a suite, a folder or a file: names of functions, by file.

    Files are given relative to the folder in which the suite lies. Raises Unknown unless the
    tests are exactly these, and called like their functions.
    """
    if suite.is_dir():
        files = [file for file in sorted(suite.rglob("*.py")) if "__pycache__" not in file.parts]
        if any(file.name == "conftest.py" for file in files):
            raise Unknown("a conftest.py may make tests of anything")
        files = [file for file in files if _FILE.fullmatch(file.name)]
    else:
        files = [suite]
    return {file.relative_to(suite.parent): tuple(_tests_of(file)) for file in files}


def _tests_of(file: Path) -> Iterator[str]:
    try:
        module = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise Unknown(f"{file}: {error}") from error
    for statement in module.body:
        match statement:
            case ast.FunctionDef() if _is_plain(statement):
                if statement.name.startswith("test"):
                    yield statement.name
            case _ if isinstance(statement, _HARMLESS) and not _makes_tests(statement):
                continue
            case _:
                raise Unknown(f"{file}:{statement.lineno}")


def _is_plain(function: ast.FunctionDef) -> bool:
    """Whether pytest makes exactly one test of it, called like it, or none."""
    if not _TEST.match(function.name):
        # Tests without arguments get only such fixtures as take them all.
        takes_all = any("autouse" in ast.unparse(one) for one in function.decorator_list)
        return not (takes_all or function.name.startswith("pytest"))
    arguments = function.args
    taken = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return not (function.decorator_list or taken or arguments.vararg or arguments.kwarg)


def _makes_tests(statement: ast.stmt) -> bool:
    """Whether names that mean something to pytest are bound, or may be."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound = node.id
        elif isinstance(node, ast.alias):
            bound = node.asname or node.name
        elif isinstance(node, ast.Call):
            bound = node.func.id if isinstance(node.func, ast.Name) else ""
            if bound in {"exec", "globals", "vars", "setattr"}:
                return True
        else:
            continue
        # "import pytest" itself is what most files begin with.
        known = isinstance(node, ast.alias) and bound == "pytest"
        if not known and (bound == "*" or _TEST.match(bound) or bound.startswith("pytest")):
            return True
    return False
