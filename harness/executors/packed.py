"""The files of a directory as a value that can be sent, and back."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path

Packed = Mapping[str, bytes]


def packed(directory: Path) -> Packed:
    """The files in ``directory``, each compressed, by their paths below it."""
    return {
        str(path.relative_to(directory)): zlib.compress(path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def unpack(files: Packed, directory: Path) -> None:
    """Write ``files`` below ``directory``, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()):
            raise ValueError(f"{name!r} leads out of the directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.decompress(content))


#: The script that boots a kernel again names files by their paths.
_SCRIPT = "vng.txt"


def moved(files: Packed, places: Mapping[str, Path]) -> Packed:
    """``files`` whose script names, for each path it was made with, where that is now."""
    if _SCRIPT not in files:
        return files
    text = zlib.decompress(files[_SCRIPT]).decode(errors="surrogateescape")
    for before, now in places.items():
        text = text.replace(before, shlex.quote(str(now.absolute())))
    return {**files, _SCRIPT: zlib.compress(text.encode(errors="surrogateescape"))}


def put(files: Packed, directory: Path, workplace: Path) -> None:
    """Have ``directory`` hold ``files`` and nothing else: all of them from one moment to the next.

    It is made whole in ``workplace``, which must be on the same file system.
    """
    made = workplace / f".{directory.name}.{secrets.token_hex(4)}"
    try:
        unpack(files, made)
        if directory.exists() and any(directory.iterdir()):
            # Of an interrupted run, which went on elsewhere.
            before = made.with_name(f"{made.name}.before")
            directory.rename(before)
            made.rename(directory)
            shutil.rmtree(before)
        else:
            os.rename(made, directory)  # noqa: PTH104  (pathlib's refuses no directory that is empty)
    finally:
        shutil.rmtree(made, ignore_errors=True)
