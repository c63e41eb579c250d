"""Reads what a bzImage says of itself (Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import struct
from pathlib import Path

from harness.errors import InputError

_SETUP_SECTS = 0x1F1  # 512-byte sectors of real-mode code, less one
_SYSSIZE = 0x1F4  # size of the protected-mode code in 16-byte paragraphs
_MAGIC = 0x202
_PROTOCOL = 0x206
_KERNEL_VERSION = 0x20E  # where the version string is, less 0x200
_XLOADFLAGS = 0x236
_KERNEL_64 = 1
_OTHERS = (
    (0, b"\x7fELF", "an ELF file (an uncompressed vmlinux?)"),
    (56, b"ARM\x64", "an arm64 kernel"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"!<arch>", "a package or an archive"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"MZ", "an EFI program without a Linux boot header"),
)


def read_release(image: Path) -> str:
    """The release (``uname -r``) of the x86-64 bzImage at ``image``.

    Raises InputError if the file cannot be read, is cut short or is anything else.
    """
    try:
        with image.open("rb") as file:
            head = file.read(0x8000)
        size = image.stat().st_size
    except OSError as error:
        raise InputError(f"{image} cannot be read: {error.strerror}") from error
    if head[_MAGIC : _MAGIC + 4] != b"HdrS" or len(head) < 0x260:
        raise InputError(f"{image} is not a bzImage: it is {_describe(head)}")
    _check_complete(image, head, size)
    _check_64_bit(image, head)
    start = struct.unpack_from("<H", head, _KERNEL_VERSION)[0] + 0x200
    text = head[start : start + 256].split(b"\0", 1)[0].decode("ascii", "replace")
    release = text.split(" ", 1)[0]
    if start == 0x200 or not release or "/" in release or not release.isprintable():
        raise InputError(f"{image} does not say in its header which release it is")
    return release


def _describe(head: bytes) -> str:
    if not head:
        return "empty"
    for offset, magic, name in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return "no Linux kernel that could be recognised"


def _check_complete(image: Path, head: bytes, size: int) -> None:
    sectors = head[_SETUP_SECTS] or 4
    paragraphs = struct.unpack_from("<I", head, _SYSSIZE)[0]
    expected = (sectors + 1) * 512 + paragraphs * 16
    # The last paragraph need not be filled.
    if size <= expected - 16:
        raise InputError(f"{image} is cut short: {size} of {expected} bytes")


def _check_64_bit(image: Path, head: bytes) -> None:
    protocol, flags = (
        struct.unpack_from("<H", head, _PROTOCOL)[0],
        struct.unpack_from("<H", head, _XLOADFLAGS)[0],
    )
    if protocol >= 0x20C and not flags & _KERNEL_64:
        raise InputError(f"{image} is a 32-bit kernel; only x86-64 kernels are supported")
