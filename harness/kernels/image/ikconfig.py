"""Finds the config that a kernel carries in itself (CONFIG_IKCONFIG).

Its format is that of ``kernel/configs.c``, which ``scripts/extract-ikconfig`` reads too:
gzip between two marks, in the kernel's read-only data or in the module ``configs``.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from pathlib import Path

from harness.errors import InputError
from harness.kernels.image.bzimage import unpack_kernel

_MARKED = re.compile(rb"IKCFG_ST")


def config_in_image(image: Path) -> bytes | None:
    """The config that the bzImage at ``image`` carries; None if it carries none.

    A kernel that is damaged carries none, and says so when it boots. Raises HostError if the
    program that unpacks it is not installed.
    """
    try:
        return config_in(unpack_kernel(image.read_bytes()))
    except InputError:
        return None


def config_in(code: bytes) -> bytes | None:
    """The config in the kernel or module ``code``, unpacked; None if it carries none."""
    for mark in _MARKED.finditer(code):
        with contextlib.suppress(zlib.error):
            stream = zlib.decompressobj(wbits=31)
            config = stream.decompress(code[mark.end() :])
            if stream.eof:
                return config
    return None
