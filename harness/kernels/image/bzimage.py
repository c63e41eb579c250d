"""Reads a bzImage: its header, and the kernel packed in it (Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from harness.errors import InputError
from harness.processes import finish_bytes

_SETUP_SECTS = 0x1F1  # 512-byte sectors of real-mode code, less one
_SYSSIZE = 0x1F4  # size of the protected-mode code in 16-byte paragraphs
_MAGIC = 0x202
_PROTOCOL = 0x206
_KERNEL_VERSION = 0x20E  # where the version string is, less 0x200
_XLOADFLAGS = 0x236
_PAYLOAD = 0x248  # offset from the protected-mode code, length; both 32 bits
_KERNEL_64 = 1
#: Files are named after it, and vng's shell commands hold their names: an image must not
#: bring words of its own into these.
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
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
    release = _banner(head).split(" ", 1)[0]
    if not _RELEASE.fullmatch(release):
        raise InputError(f"{image} does not say in its header which release it is")
    return release


def read_banner(image: Path) -> str:
    """What the bzImage at ``image`` says of itself: release, who built it, ``uname -v``.

    "" if it cannot be read or says nothing.
    """
    try:
        with image.open("rb") as file:
            head = file.read(0x8000)
    except OSError:
        return ""
    known = head[_MAGIC : _MAGIC + 4] == b"HdrS" and len(head) >= 0x260
    return _banner(head) if known else ""


def _banner(head: bytes) -> str:
    """The version string in the header of an image; "" if there is none."""
    offset = struct.unpack_from("<H", head, _KERNEL_VERSION)[0]
    start = offset + 0x200
    text = head[start : start + 256].split(b"\0", 1)[0].decode("ascii", "replace")
    return text if offset else ""


def _describe(head: bytes) -> str:
    if not head:
        return "empty"
    for offset, magic, name in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return "no Linux kernel that could be recognised"


def _check_complete(image: Path, head: bytes, size: int) -> None:
    paragraphs = struct.unpack_from("<I", head, _SYSSIZE)[0]
    expected = _setup_size(head) + paragraphs * 16
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


def _setup_size(image: bytes) -> int:
    """Bytes before the protected-mode code, at least so many of which are in ``image``."""
    return ((image[_SETUP_SECTS] or 4) + 1) * 512


def unpack_kernel(image: bytes) -> bytes:
    """The vmlinux (ELF) in a bzImage, whichever way the kernel's build compressed it.

    Raises InputError if it is in no known format or damaged, HostError if the program that
    unpacks the format is not installed.
    """
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = _setup_size(image) + offset
    payload = image[start : start + length]
    for magic, unpack in _FORMATS:
        if payload.startswith(magic):
            try:
                return unpack(payload)
            except (lzma.LZMAError, zlib.error, OSError, ValueError, EOFError) as error:
                raise InputError(f"the kernel in the image is damaged: {error}") from error
    raise InputError(f"the kernel in the image is packed in no known way ({payload[:6].hex()})")


def _gunzip(payload: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(payload)


def _unlzma(payload: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(payload)


def _by_program(name: str) -> Callable[[bytes], bytes]:
    def unpack(payload: bytes) -> bytes:
        # The build appends the unpacked size (4 bytes), which programs take for damage.
        result = finish_bytes([name, "-dc"], stdin=payload[:-4])
        if result.returncode != 0:
            complaint = result.stderr.decode(errors="replace").strip().splitlines()
            raise ValueError(f"{name}: {complaint[-1] if complaint else 'failed'}")
        return result.stdout

    return unpack


_FORMATS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x28\xb5\x2f\xfd", _by_program("zstd")),
    (b"\xfd7zXZ\0", _unlzma),
    (b"\x1f\x8b", _gunzip),
    (b"BZh", lambda payload: bz2.BZ2Decompressor().decompress(payload)),
    (b"\x02\x21\x4c\x18", _by_program("lz4")),
    (b"\x5d\0\0", _unlzma),
    (b"\x89LZO", _by_program("lzop")),
    (b"\x7fELF", lambda payload: payload),  # CONFIG_KERNEL_UNCOMPRESSED
)
