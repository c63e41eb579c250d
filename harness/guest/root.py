"""The root file system that ``--root`` names."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import InputError
from harness.guest.image import guest_image
from harness.guest.vng import Root
from harness.progress import Progress


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
