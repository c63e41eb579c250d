"""The header of a bzImage, and files that have none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import InputError
from harness.kernels.image.bzimage import read_release

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder


@pytest.mark.parametrize("release", ["6.12.43+deb12-amd64", "7.3-amd64", "6.19.0-rc1"])
def test_release(tmp_path: Path, build: Builder, release: str) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(build.bzimage(release) + b"a signature")
    assert read_release(image) == release


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\x7fELF" + bytes(4096), "an ELF file"),
        (bytes(56) + b"ARM\x64" + bytes(4096), "an arm64 kernel"),
        (b"!<arch>\n" + bytes(4096), "a package"),
        (b"MZ" + bytes(4096), "EFI program"),
        (bytes(4096), "could be recognised"),
        (bytes(0x202) + b"HdrS", "not a bzImage"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, said: str) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_release(image)


def test_cut_short(tmp_path: Path, build: Builder) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(build.bzimage(payload=4096)[:-16])
    with pytest.raises(InputError, match=r"is cut short: 6640 of 6656 bytes"):
        read_release(image)


def test_32_bit(tmp_path: Path, build: Builder) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(build.bzimage(xloadflags=0))
    with pytest.raises(InputError, match="32-bit"):
        read_release(image)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_release(tmp_path / "vmlinuz")


@pytest.mark.parametrize("release", ["6.1;touch${IFS}x", "6.1$(id)", "6.1'", "-f", "6.1&", "a/b"])
def test_a_release_that_would_be_a_command(tmp_path: Path, build: Builder, release: str) -> None:
    """Files are named after it, and vng makes shell commands of their names."""
    image = tmp_path / "vmlinuz"
    image.write_bytes(build.bzimage(release))
    with pytest.raises(InputError, match="does not say in its header which release"):
        read_release(image)
