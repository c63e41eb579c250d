"""Puts a real run's results.json among the tests' data, compressed.

example:
  python3 ci/store_run.py runs/20261126T035014Z-56dc matrix

writes tests/data/matrix.json.xz, which tests/stored_runs.py reads. Nothing is left out: what
kernels have in common makes a run of twelve shrink to a hundredth.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
_OUT = re.compile(r"(?<=--out )\S+")


def compact(text: str, name: str) -> bytes:
    """The text of a results.json compressed, the directory that it was made in taken out."""
    data = json.loads(text)
    data["command"] = _OUT.sub(f"runs/{name}", data["command"])
    return lzma.compress(json.dumps(data, indent=1).encode(), preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("name", metavar="NAME", help="what the tests call it")
    arguments = parser.parse_args()
    text = (arguments.run / "results.json").read_text(encoding="utf-8")
    DATA.mkdir(exist_ok=True)
    path = DATA / f"{arguments.name}.json.xz"
    path.write_bytes(compact(text, arguments.name))
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
