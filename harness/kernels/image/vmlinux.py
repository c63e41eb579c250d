"""Reads what the vmlinux inside a bzImage says of itself: its banner and its build id."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import NoteSegment

from harness.errors import HarnessError, InputError
from harness.kernels.image.bzimage import unpack_kernel

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
        content = unpack_kernel(image.read_bytes())
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
