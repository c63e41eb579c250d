"""Reads what the vmlinux inside a bzImage says of itself: its banner and its build id."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import NoteSegment

from harness.errors import HarnessError, InputError
from harness.processes import finish_bytes

# Documentation/arch/x86/boot.rst: where the compressed kernel lies in the image.
_SETUP_SECTS = 0x1F1
_PAYLOAD = 0x248  # offset from the protected-mode code, length; both 32 bits
#: "Linux version R (user@host) (compiler, linker) #1 SMP ..."; copies that lack the build's
#: number come from an earlier link of the same kernel.
_BANNER = re.compile(
    rb"Linux version (?P<release>\S+) \((?P<builder>[^()\n]*)\) \((?P<compiler>[^\n]*?)\)"
    rb" (?P<build>#[0-9][^\n\0]*)\n"
)


@dataclass(frozen=True)
class Vmlinux:
    """What a kernel says of itself; "" where it could not be found out."""

    banner: str = ""  # the whole line of /proc/version
    compiler: str = ""  # compiler and linker, as the banner has them
    build_id: str = ""  # GNU build id, in hexadecimal digits
    problem: str = ""  # why something is missing


def read_vmlinux(image: Path) -> Vmlinux:
    """Unpack the kernel in the bzImage ``image`` and read it (about a second)."""
    try:
        content = unpack_payload(image.read_bytes())
        banner = _BANNER.search(content)
        said = Vmlinux(
            banner=banner.group().decode(errors="replace").strip() if banner else "",
            compiler=banner.group("compiler").decode(errors="replace") if banner else "",
            build_id=_build_id(content),
        )
    except (HarnessError, OSError) as error:
        return Vmlinux(problem=str(error))
    missing = [
        name
        for name, value in (("version banner", said.banner), ("build id", said.build_id))
        if not value
    ]
    if not missing:
        return said
    problem = f"no {' and no '.join(missing)} in the unpacked kernel"
    return Vmlinux(said.banner, said.compiler, said.build_id, problem)


def unpack_payload(image: bytes) -> bytes:
    """The vmlinux (ELF) in a bzImage, whichever way the kernel's build compressed it.

    Raises InputError if it is in no known format or damaged, HostError if the program that
    unpacks the format is not installed.
    """
    start = ((image[_SETUP_SECTS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    payload = image[start + offset : start + offset + length]
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


def _build_id(content: bytes) -> str:
    try:
        for segment in ELFFile(io.BytesIO(content)).iter_segments():
            if isinstance(segment, NoteSegment):
                for note in segment.iter_notes():
                    # Xen's notes use the same numbers for other things.
                    if note["n_type"] == "NT_GNU_BUILD_ID" and note["n_name"] == "GNU":
                        return str(note["n_desc"])
    except (ELFError, OverflowError) as error:
        raise InputError(f"the kernel in the image is no ELF file: {error}") from error
    return ""
