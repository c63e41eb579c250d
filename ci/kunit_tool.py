"""The kernel's own reader of KTAP, tools/testing/kunit, out of Debian's kernel source.

It is what report.ktap is made for, and its licence is the kernel's: it is fetched once for
the tests (150 MB through the signed index, of which 100 kB are kept in .venv).
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from kernel_tree import read_source

SERIES = "6.12"
_FOLDER = Path("tools/testing/kunit")
_FILES = (
    "kunit.py",
    "kunit_config.py",
    "kunit_json.py",
    "kunit_kernel.py",
    "kunit_parser.py",
    "kunit_printer.py",
    "qemu_config.py",
)
_PLACE = Path(__file__).resolve().parents[1] / ".venv/kunit"


def kunit_tool() -> Path:
    """The path of kunit.py, fetched if it is not there yet."""
    tool = _PLACE / _FOLDER / "kunit.py"
    with FileLock(_PLACE.with_suffix(".lock")):
        if not tool.exists():
            _fetch()
    return tool


def _fetch() -> None:
    with TemporaryDirectory(dir=_PLACE.parent) as scratch:
        place = Path(scratch)
        found = read_source(SERIES, SERIES, [str(_FOLDER / name) for name in _FILES], place)
        missing = [name for name in _FILES if str(_FOLDER / name) not in found]
        if missing:
            raise SystemExit(f"linux-source-{SERIES} has no {', '.join(missing)}")
        (place / "made" / _FOLDER).mkdir(parents=True)
        for name, content in found.items():
            (place / "made" / name).write_bytes(content)
        (place / "made").rename(_PLACE)


if __name__ == "__main__":
    print(kunit_tool())
