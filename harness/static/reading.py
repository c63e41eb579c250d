"""Asks the code of a kernel that is ready for vng; never fails."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from harness.model import BootableKernel, CodeFinding, CodeWord
from harness.static.witness import WAYS, ask


def read_code(kernel: BootableKernel) -> tuple[CodeFinding, ...]:
    """What the code of ``kernel`` says of each way; whatever goes wrong, it is silent then.

    Takes a second or so of processor time, and none the second time: what lies in the
    cache of kernels never changes.
    """
    try:
        return _read(kernel.modules_tree, kernel.image)
    except Exception as error:  # noqa: BLE001  (a witness: no run is lost for it)
        why = f"reading it failed: {type(error).__name__}: {error}"
        return tuple(CodeFinding(way, CodeWord.SILENT, reason=why) for way in WAYS)


@lru_cache(maxsize=256)
def _read(modules: Path | None, image: Path) -> tuple[CodeFinding, ...]:
    return ask(modules, image)
