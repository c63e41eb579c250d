"""The kernel that this machine runs."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import InputError
from harness.kernels.parts.kernel_parts import KernelParts, from_image


def from_host(root: Path = Path("/"), release: str | None = None) -> KernelParts:
    """The parts of the running kernel, of ``release`` (default: uname -r), below ``root``.

    Raises InputError if its image is not there (a container, a VM booted from outside), or
    cannot be read.
    """
    release = release or os.uname().release
    places = [
        root / f"boot/vmlinuz-{release}",
        root / f"lib/modules/{release}/vmlinuz",
        root / f"usr/lib/modules/{release}/vmlinuz",
    ]
    image = next((path for path in places if _is_there(path)), None)
    if image is None:
        raise InputError(
            f"host: no image of the running kernel {release} on this machine"
            f" ({', '.join(map(str, places))}); name a kernel by another spec"
        )
    if not os.access(image, os.R_OK):
        raise InputError(f"host: {image} cannot be read; as root it can, or after chmod a+r")
    parts = from_image(image, root)
    if parts.release != release:
        raise InputError(f"host: {image} is of {parts.release}, not of the running {release}")
    return parts


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # in a directory that is closed to us: it will be said
        return True
