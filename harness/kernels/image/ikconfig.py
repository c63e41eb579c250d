"""Finds the config that a kernel carries in itself (CONFIG_IKCONFIG).

Its format is that of ``kernel/configs.c``, which ``scripts/extract-ikconfig`` reads too:
gzip between two marks, in the kernel's read-only data or in the module ``configs``. Where
the compressed kernel lies in a bzImage says Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import bz2
import contextlib
import lzma
import re
import struct
import zlib
from pathlib import Path

from harness.kernels.parts.kernel_parts import KernelParts, read_module
from harness.processes import finish_bytes

_MODULE = "kernel/kernel/configs.ko"
_MARKED = re.compile(rb"IKCFG_ST")
_SETUP_SECTS = 0x1F1  # 512-byte sectors of real-mode code, less one
_PAYLOAD_OFFSET = 0x248  # from the protected-mode code on; since boot protocol 2.08
_PAYLOAD_LENGTH = 0x24C


def embedded_config(parts: KernelParts) -> bytes | None:
    """The config in the module ``configs`` or the image of a kernel; None if in neither.

    Raises InputError (a damaged module), HostError (zstd is needed and not installed).
    """
    if _MODULE in parts.modules:
        return _find(read_module(parts.modules[_MODULE]))
    return config_of_image(parts.image)


def config_of_image(image: Path) -> bytes | None:
    """The config that the bzImage at ``image`` carries.

    None if it carries none, or if it is compressed with LZ4 or LZO, which no distribution's
    kernel without a config file is. Raises HostError if zstd is needed and not installed.
    """
    data = image.read_bytes()
    start = ((data[_SETUP_SECTS] or 4) + 1) * 512
    start += struct.unpack_from("<I", data, _PAYLOAD_OFFSET)[0]
    length = struct.unpack_from("<I", data, _PAYLOAD_LENGTH)[0]
    return _find(_decompress(data[start : start + length]))


def _decompress(data: bytes) -> bytes:
    """The kernel itself; what can be had of it if it is damaged."""
    with contextlib.suppress(zlib.error, lzma.LZMAError, OSError):
        if data.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=31).decompress(data)
        if data.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
            return lzma.LZMADecompressor().decompress(data)
        if data.startswith(b"BZh"):
            return bz2.BZ2Decompressor().decompress(data)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            # The build appends the size, of which zstd complains after it is done.
            return finish_bytes(["zstd", "-dcq", "--long=31"], stdin=data).stdout
    return data


def _find(data: bytes) -> bytes | None:
    for mark in _MARKED.finditer(data):
        with contextlib.suppress(zlib.error):
            stream = zlib.decompressobj(wbits=31)
            config = stream.decompress(data[mark.end() :])
            if stream.eof:
                return config
    return None
