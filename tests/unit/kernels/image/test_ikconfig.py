"""The config that a kernel carries in itself."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.kernels.image.ikconfig import config_in_image
from harness.kernels.parts.kernel_parts import KernelParts, embedded_config

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder

CONFIG = b"# Linux\nCONFIG_CRYPTO_USER_API=m\n" * 50
MARKED = b"IKCFG_ST" + gzip.compress(CONFIG) + b"IKCFG_ED"
# The marks also stand in the code that reads them.
KERNEL = b"\x7fELF" + b"code IKCFG_ST more code" * 100 + MARKED + b"data" * 1000


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


def _image(build: Builder, kernel: bytes) -> bytes:
    """A bzImage with this compressed kernel 16 bytes into its protected-mode code."""
    size = struct.pack("<I", len(kernel))  # as the build appends it
    body = b"startup code...." + kernel + size
    body += bytes(-len(body) % 16) + b"decompressor...."
    image = bytearray(build.bzimage("6.11.4-arch1-1", payload=len(body)))
    image[-len(body) :] = body
    struct.pack_into("<II", image, 0x248, 16, len(kernel) + 4)
    return bytes(image)


@pytest.mark.parametrize(
    "compress",
    [_zstd, gzip.compress, lzma.compress, _lzma, bz2.compress, bytes],
    ids=["zstd", "gzip", "xz", "lzma", "bzip2", "none"],
)
def test_in_the_image(tmp_path: Path, build: Builder, compress: Callable[[bytes], bytes]) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(_image(build, compress(KERNEL)))
    assert config_in_image(image) == CONFIG
    image.write_bytes(_image(build, compress(KERNEL.replace(MARKED, b""))))
    assert config_in_image(image) is None


@pytest.mark.parametrize(
    "data",
    [b"", _zstd(KERNEL)[:30], lzma.compress(KERNEL)[:60], KERNEL[: KERNEL.index(MARKED) + 40]],
    ids=["empty", "zstd", "xz", "config"],
)
def test_image_that_is_cut_short(tmp_path: Path, build: Builder, data: bytes) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(_image(build, data))
    assert config_in_image(image) is None


def test_in_the_module(tmp_path: Path, build: Builder) -> None:
    module = tmp_path / "configs.ko.xz"
    module.write_bytes(lzma.compress(b"\x7fELF" + MARKED))
    image = tmp_path / "vmlinuz"
    image.write_bytes(build.bzimage())
    modules = {"kernel/kernel/configs.ko": module}
    assert embedded_config(KernelParts("6.11", image, modules=modules)) == CONFIG
    assert embedded_config(KernelParts("6.11", image)) is None
