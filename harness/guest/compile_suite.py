"""Compiles the files of a suite, each as pytest would, and runs none of them.

Run by the guest image's own Python, in the image's files, on the host (``bytecode.py``):
``python3 -I compile_suite.py DIRECTORY``. What pytest rewrites (tests, conftest.py and the
plugins that this names, so that a failed assert tells its values) has names of its own beside
Python's ``.pyc`` files. A file that does not compile is left to the guest, which says what is
wrong with it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import py_compile
import sys
from pathlib import Path

from _pytest.assertion import rewrite


def is_rewritten(name: str) -> bool:
    """Whether pytest rewrites a file of that name: its own defaults, and our plugins."""
    is_test = name.startswith("test_") or name.endswith("_test.py")
    return is_test or is_plugin(name) or name in {"conftest.py", "own_suites.py"}


def is_plugin(name: str) -> bool:
    """Whether the built-in suite's conftest.py may name it as a plugin.

    One that is imported before it is named is not rewritten.
    """
    return name.endswith("_fixtures.py")


def compile_rewritten(source: Path) -> None:
    """Write what pytest's import hook would (``_pytest/assertion/rewrite.py``, 7.2)."""
    status, code = rewrite._rewrite_test(source, None)  # type: ignore[arg-type]
    directory = source.parent / "__pycache__"
    directory.mkdir(exist_ok=True)
    with (directory / f"{source.stem}{rewrite.PYC_TAIL}").open("wb") as target:
        rewrite._write_pyc_fp(target, status, code)


def compile_plain(source: Path) -> None:
    """Write what Python's import would."""
    target = importlib.util.cache_from_source(str(source))
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    py_compile.compile(str(source), target, doraise=True, invalidation_mode=mode)


def main() -> None:
    """Compile every file below the directory that is given."""
    for source in sorted(Path(sys.argv[1]).rglob("*.py")):
        with contextlib.suppress(SyntaxError, ValueError, py_compile.PyCompileError):
            if is_rewritten(source.name):
                compile_rewritten(source)
            if is_plugin(source.name) or not is_rewritten(source.name):
                compile_plain(source)


if __name__ == "__main__":
    main()
