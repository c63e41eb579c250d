"""Runs of real kernels, as ci/store_run.py put them into tests/data."""

from __future__ import annotations

import lzma
import tempfile
from functools import cache
from pathlib import Path

from harness.judge.conclude import judged_anew
from harness.model import RunResult
from harness.report import results_file

DATA = Path(__file__).parent / "data"
_SUFFIX = ".json.xz"

#: 12 Debian kernels, 6.1.0-50 to 7.3.4, the baseline 6.12.43; 1,209 tests on each.
MATRIX = "matrix"
#: Twelve again, cloud and rt ones among them; 1,236 tests on each.
FLAVOURS = "flavours"


def stored_names() -> list[str]:
    """What the stored runs are called."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in DATA.glob(f"*{_SUFFIX}"))


def stored_text(name: str) -> str:
    """The results.json of a stored run."""
    return lzma.decompress((DATA / f"{name}{_SUFFIX}").read_bytes()).decode()


@cache
def stored_run(name: str = MATRIX) -> RunResult:
    """A stored run, judged by this version; read once, for nobody can alter it."""
    with tempfile.TemporaryDirectory() as directory:
        return judged_anew(results_file.load(stored_directory(name, Path(directory))), None)


def stored_directory(name: str, directory: Path) -> Path:
    """A run directory at ``directory`` that holds a stored run's results.json alone."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / results_file.FILE_NAME).write_text(stored_text(name), encoding="utf-8")
    return directory
