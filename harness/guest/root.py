"""The root file system that ``--root`` names."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import InputError
from harness.guest.image import guest_image, image_contents
from harness.guest.vng import Root
from harness.model import ImageContents
from harness.progress import Progress

#: Of the file system's superblock, which is 1 KiB from the beginning (struct ext4_super_block).
_EXT4_MAGIC_AT, _EXT4_MAGIC = 1024 + 56, bytes((0x53, 0xEF))


def choose_root(
    wanted: str,
    cache: Path,
    mirror: str | None,
    progress: Progress,
    *,
    suite: str | None = None,
    refresh: bool = False,
) -> Root:
    """The root for ``wanted``: "image" (ours, built if the cache lacks it), "host", or a path.

    ``suite`` is that of Debian which the image is made of, None for the default; of "stable"
    ``refresh`` asks the mirror anew which one that is. Raises InputError, and what building the
    image raises.
    """
    if wanted == "image":
        image = guest_image(cache, mirror, progress, suite=suite, refresh=refresh)
        return Root("disk", image, isolated=True)
    return _other_root(wanted)


def _other_root(wanted: str) -> Root:
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


def root_contents(root: Root) -> ImageContents | None:
    """What the guest image is made of; None of another root."""
    return image_contents(root.path) if root.isolated else None


def refuse_bad_root(wanted: str, suite: str | None) -> None:
    """Raise InputError for a root that ``choose_root`` or no guest could use; nothing is built."""
    if wanted == "image":
        return
    if suite is not None:
        raise InputError(f"--guest-suite {suite}: only of --root image, not of --root {wanted}")
    root = _other_root(wanted)
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
