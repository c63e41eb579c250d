"""The root file system that ``--root`` names."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import InputError
from harness.guest.image import guest_image
from harness.guest.vng import Root
from harness.progress import Progress, SilentProgress

#: Of the file system's superblock, which is 1 KiB from the beginning (struct ext4_super_block).
_EXT4_MAGIC_AT, _EXT4_MAGIC = 1024 + 56, bytes((0x53, 0xEF))


def choose_root(wanted: str, cache: Path, mirror: str | None, progress: Progress) -> Root:
    """The root for ``wanted``: "image" (ours, built if the cache lacks it), "host", or a path.

    Raises InputError, and what building the image raises.
    """
    if wanted == "image":
        return Root("disk", guest_image(cache, mirror, progress), isolated=True)
    if wanted == "host":
        # The interpreter that runs us has pytest beside it.
        return Root("directory", Path("/"), python=sys.executable)
    path = Path(wanted).resolve()
    try:
        exists, is_directory = path.exists(), path.is_dir()
    except OSError as error:
        raise InputError(f"--root {wanted}: {error.strerror or error}") from error
    if not exists:
        raise InputError(f"--root {wanted}: neither 'image', 'host' nor a path that exists")
    return Root("directory" if is_directory else "disk", path)


def image_key(root: Root) -> str:
    """Which guest image it is: the cache keeps each under its key."""
    return root.path.parent.name if root.kind == "disk" else str(root.path)


def refuse_bad_root(wanted: str) -> None:
    """Raise InputError for a root that ``choose_root`` or no guest could use; nothing is built."""
    if wanted == "image":
        return
    root = choose_root(wanted, Path(), None, SilentProgress())
    try:
        if root.kind == "disk":
            with root.path.open("rb") as file:
                file.seek(_EXT4_MAGIC_AT)
                if file.read(2) != _EXT4_MAGIC:
                    raise InputError(f"--root {wanted}: neither a directory nor an ext4 image")
        elif wanted != "host":
            # Any of them may be a link that leads somewhere in the root only.
            programs = (root.path / "usr/bin").iterdir()
            if not any(program.name.startswith("python3") for program in programs):
                raise InputError(f"--root {wanted}: no python3 in its usr/bin")
    except OSError as error:
        raise InputError(f"--root {wanted}: {error.filename}: {error.strerror}") from error
