"""Arch Linux packages made by makepkg: what is read of them, and what is said of wrong ones."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import InputError
from harness.kernels.packages.formats import read_package, unpack
from tests.packaging import Part, build_pacman

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder

RELEASE = "6.11.4-arch1-1"
IMAGE = f"lib/modules/{RELEASE}/vmlinuz"
NOISE = hashlib.shake_128(b"noise").digest(20000)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package by makepkg."""
    files: dict[str, bytes | Path] = {
        f"usr/{IMAGE}": NOISE,
        f"usr/lib/modules/{RELEASE}/pkgbase": b"linux\n",
        f"usr/lib/modules/{RELEASE}/kernel/drivers/net/e1000.ko.zst": b"not for a guest",
    }
    return build_pacman(tmp_path_factory.mktemp("arch") / "a b", Part("linux", files))


def test_info(package: Path) -> None:
    read = read_package(package)
    assert (read.name, read.version, read.architecture) == ("linux", "6.11.4.arch1-1", "x86_64")
    assert read.sha256 == hashlib.sha256(package.read_bytes()).hexdigest()


def test_unpack(tmp_path: Path, package: Path) -> None:
    assert unpack(read_package(package), tmp_path) == [IMAGE]
    assert (tmp_path / IMAGE).read_bytes() == NOISE


def test_other_architecture_and_compression(tmp_path: Path) -> None:
    path = build_pacman(
        tmp_path / "build", Part("linux"), architecture="aarch64", suffix=".pkg.tar.xz"
    )
    with pytest.raises(InputError, match=r"\.xz is for aarch64; this machine is x86_64"):
        read_package(path)


@pytest.mark.parametrize("kept", [4, 100, 5000, -1])
def test_cut_short(tmp_path: Path, package: Path, kept: int) -> None:
    path = tmp_path / "a.pkg.tar.zst"
    path.write_bytes(package.read_bytes()[:kept])
    said = r"a\.pkg\.tar\.zst is not a complete Arch Linux package: \w"
    with pytest.raises(InputError, match=said) as caught:
        read_package(path)
    assert "\n" not in str(caught.value)


def test_damaged(tmp_path: Path, package: Path) -> None:
    data = bytearray(package.read_bytes())
    data[-5000] ^= 0xFF
    path = tmp_path / "a.pkg.tar.zst"
    path.write_bytes(data)
    with pytest.raises(InputError, match="not a complete Arch Linux package"):
        read_package(path)


def test_other_files(tmp_path: Path, build: Builder) -> None:
    path = tmp_path / "a.pkg.tar.zst"
    path.write_bytes(build.bzimage())
    with pytest.raises(InputError, match="is not an Arch Linux package: not zst data"):
        read_package(path)
    (tmp_path / "file").write_text("hello")
    subprocess.run(["tar", "-C", tmp_path, "--zstd", "-cf", path, "file"], check=True)
    with pytest.raises(InputError, match=r"is not an Arch Linux package: no \.PKGINFO in it"):
        read_package(path)
