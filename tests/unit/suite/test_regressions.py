"""Every probe of a known defect says whether it provoked it, or is known to be unable to."""

from __future__ import annotations

import ast
from pathlib import Path

from harness.locations import suite_dir

#: Their docstrings say why.
NEVER = {"test_clone_of_a_half_done_hash", "test_send_that_faults"}


def probes() -> dict[str, bool]:
    """Each test marked as a regression, and whether it takes ``provoked``."""
    found: dict[str, bool] = {}
    for path in Path(str(suite_dir())).rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any(
                "mark.regression" in ast.unparse(one) for one in node.decorator_list
            ):
                found[node.name] = "provoked" in {argument.arg for argument in node.args.args}
    return found


def test_each_probe_says_whether_it_provoked() -> None:
    found = probes()
    assert len(found) > 20
    assert {name for name, takes in found.items() if not takes} == NEVER
