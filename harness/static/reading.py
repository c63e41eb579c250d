"""Asks the code of a kernel that is ready for vng; never fails."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path

from harness.files import write_whole
from harness.model import BootableKernel, CodeFinding, CodeWord

#: In a kernel's directory of the cache, what its code says, and by which reader.
_KEPT = "code.json"
#: Packages whose code decides what is read.
_READERS = ("static", "kernels")
_LIBRARIES = ("capstone", "pyelftools")


def read_code(kernel: BootableKernel) -> tuple[CodeFinding, ...]:
    """What the code of ``kernel`` says of each way; whatever goes wrong, it is silent then.

    Takes a second or so of processor time, and none the second time, nor in a later process:
    what lies in the cache of kernels never changes, and what was read is kept beside it.
    """
    try:
        return _read(kernel.modules_tree, kernel.image)
    except Exception as error:  # noqa: BLE001  (a witness: no run is lost for it)
        from harness.static.witness import WAYS  # noqa: PLC0415  (as below)

        why = f"reading it failed: {type(error).__name__}: {error}"
        return tuple(CodeFinding(way, CodeWord.SILENT, reason=why) for way in WAYS)


@lru_cache(maxsize=256)
def _read(modules: Path | None, image: Path) -> tuple[CodeFinding, ...]:
    place = image.parents[2] if len(image.parts) > 3 else None
    file = place / _KEPT if place is not None and (place / "kernel.json").exists() else None
    kept = _load(file) if file is not None else None
    if kept is not None:
        return kept
    # The libraries that it takes: 0.1 s of processor time in every run that needs none.
    from harness.static.witness import ask  # noqa: PLC0415

    findings = ask(modules, image)
    if file is not None:
        content = {"reader": _reader(), "findings": [asdict(finding) for finding in findings]}
        with contextlib.suppress(OSError):  # a cache that can only be read serves as well
            write_whole(file, json.dumps(content))
    return findings


def _load(file: Path) -> tuple[CodeFinding, ...] | None:
    """What was kept by this very reader, if anything."""
    try:
        content = json.loads(file.read_text())
        if content["reader"] != _reader():
            return None
        return tuple(
            CodeFinding(
                way=finding["way"],
                word=CodeWord(finding["word"]),
                evidence=tuple(finding["evidence"]),
                reason=finding["reason"],
            )
            for finding in content["findings"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


@cache
def _reader() -> str:
    """Tells a reader of code from an earlier one: its source, and the libraries it uses."""
    digest = hashlib.sha256(" ".join(version(name) for name in _LIBRARIES).encode())
    for package in _READERS:
        for file in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
