"""The vmlinux inside a bzImage: unpacked whichever way it was packed, and read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.kernels.image.vmlinux import read_vmlinux

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder

BUILD_ID = "00112233445566778899aabbccddeeff00112233"
BANNER = (
    "Linux version 7.3-test (me@here) (gcc (Debian 14.2.0-19) 14.2.0, GNU ld 2.44)"
    " #1 SMP PREEMPT_DYNAMIC Debian 7.3-1 (2026-11-15)"
)


def _note(name: bytes, kind: int, content: bytes) -> bytes:
    padded = name + b"\0" * (-len(name) % 4)
    return struct.pack("<III", len(name), len(content), kind) + padded + content


def _vmlinux(build_id: str = BUILD_ID, banner: str = BANNER) -> bytes:
    """An ELF file with one note segment, in which one of Xen's precedes the build id."""
    notes = _note(b"Xen\0", 3, b"\0\0\0\x80\xff\xff\xff\xff")
    if build_id:
        notes += _note(b"GNU\0", 3, bytes.fromhex(build_id))
    start = 64 + 56
    head = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 4, 4, start, 0, 0, len(notes), len(notes), 4)
    early = banner.replace("#1 SMP", "# SMP")  # as the kernel's first link leaves it
    return head + segment + notes + f"\0{early}\n\0{banner}\n\0".encode()


def _sized(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """As scripts/Makefile.lib appends the unpacked size, but for gzip."""
    return lambda data: pack(data) + struct.pack("<I", len(data))


def _program(*argv: str) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        if shutil.which(argv[0]) is None:
            pytest.skip(f"{argv[0]} is not installed")
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout

    return pack


_X86 = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}]
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": _sized(bz2.compress),
    "lzma": _sized(lambda data: lzma.compress(data, lzma.FORMAT_ALONE)),
    "xz": _sized(lambda data: lzma.compress(data, check=lzma.CHECK_CRC32, filters=_X86)),
    "lzo": _sized(_program("lzop", "-9c")),
    "lz4": _sized(_program("lz4", "-l", "-9", "-c", "-")),
    "zstd": _sized(_program("zstd", "-22", "--ultra", "-c")),
    "nothing": lambda data: data,
}


def _image(build: Builder, path: Path, payload: bytes) -> Path:
    before = b"decompressor"
    image = bytearray(build.bzimage(payload=len(before + payload) // 16 * 16 + 16))
    start = 512 * 5
    struct.pack_into("<II", image, 0x248, len(before), len(payload))
    image[start : start + len(before + payload)] = before + payload
    path.write_bytes(image)
    return path


@pytest.mark.parametrize("way", PACKED)
def test_every_way_of_packing(tmp_path: Path, build: Builder, way: str) -> None:
    said = read_vmlinux(_image(build, tmp_path / "bzImage", PACKED[way](_vmlinux())))
    assert said.problem == ""
    assert said.build_id == BUILD_ID
    assert said.banner == BANNER
    assert said.compiler == "gcc (Debian 14.2.0-19) 14.2.0, GNU ld 2.44"


@pytest.mark.parametrize("way", PACKED)
def test_damaged(tmp_path: Path, build: Builder, way: str) -> None:
    packed = bytearray(PACKED[way](_vmlinux()))
    packed[20:60] = b"\xa5" * 40
    said = read_vmlinux(_image(build, tmp_path / "bzImage", bytes(packed)))
    assert said.build_id == ""
    assert said.problem != ""
    assert "\n" not in said.problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (_vmlinux(build_id=""), "no build id in the unpacked kernel"),
        (_vmlinux(banner="silence"), "no version banner in the unpacked kernel"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, build: Builder, content: bytes, problem: str
) -> None:
    said = read_vmlinux(_image(build, tmp_path / "bzImage", gzip.compress(content)))
    assert said.problem == problem
    assert (said.build_id == "") != (said.banner == "")


def test_packed_in_an_unknown_way(tmp_path: Path, build: Builder) -> None:
    said = read_vmlinux(_image(build, tmp_path / "bzImage", b"nonsense" * 8))
    assert said.problem == "the kernel in the image is packed in no known way (6e6f6e73656e)"


def test_image_that_is_gone(tmp_path: Path) -> None:
    assert "No such file" in read_vmlinux(tmp_path / "bzImage").problem
