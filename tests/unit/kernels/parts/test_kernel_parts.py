"""Where a kernel's parts are looked for, and what is said when some are not there."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import InputError
from harness.kernels.parts.kernel_parts import from_directory, from_image, read_module

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder


def test_package_tree(tmp_path: Path, build: Builder) -> None:
    parts = from_directory(build.tree(tmp_path))
    assert parts.release == build.release
    assert parts.image == tmp_path / f"boot/vmlinuz-{build.release}"
    assert parts.config == tmp_path / f"boot/config-{build.release}"
    assert "kernel/crypto/af_alg.ko" in parts.modules
    assert set(parts.lists) == {"modules.builtin"}


def test_merged_usr_tree(tmp_path: Path, build: Builder) -> None:
    build.tree(tmp_path / "old")
    modules = tmp_path / "new/usr/lib/modules" / build.release
    shutil.copytree(tmp_path / "old/lib/modules" / build.release, modules)
    (modules / "vmlinuz").write_bytes(build.bzimage())
    (modules / "config").write_text("")
    parts = from_directory(tmp_path / "new")
    assert parts.image == modules / "vmlinuz"
    assert parts.config == modules / "config"
    assert parts.modules


def test_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kernel in it"):
        from_directory(tmp_path)


def test_several_kernels(tmp_path: Path, build: Builder) -> None:
    build.tree(tmp_path)
    (tmp_path / "boot/vmlinuz-7.3-amd64").write_bytes(build.bzimage("7.3-amd64"))
    with pytest.raises(InputError, match=r"several kernels in it \(6\.12.*, 7\.3-amd64\)"):
        from_directory(tmp_path)


def test_image_beside_its_modules(tmp_path: Path, build: Builder) -> None:
    build.tree(tmp_path)
    parts = from_image(tmp_path / f"boot/vmlinuz-{build.release}", root=tmp_path / "none")
    assert "kernel/crypto/af_alg.ko" in parts.modules
    assert parts.config == tmp_path / f"boot/config-{build.release}"


def test_image_of_an_installed_kernel(tmp_path: Path, build: Builder) -> None:
    build.tree(tmp_path / "system")
    image = tmp_path / "elsewhere/bzImage"
    image.parent.mkdir()
    image.write_bytes(build.bzimage())
    parts = from_image(image, root=tmp_path / "system")
    assert "kernel/crypto/af_alg.ko" in parts.modules
    assert parts.config == tmp_path / f"system/boot/config-{build.release}"


def test_image_alone(tmp_path: Path, build: Builder) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(build.bzimage())
    with pytest.raises(InputError, match="neither modules nor a config"):
        from_image(image, root=tmp_path)


BUILT_IN = "CONFIG_EXT4_FS=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (BUILT_IN.replace("BLK=y", "BLK=m"), "CONFIG_VIRTIO_BLK is not built in"),
        (BUILT_IN + "CONFIG_CRYPTO_USER_API_HASH=m\n", "CONFIG_CRYPTO_USER_API_HASH=m"),
    ],
)
def test_image_whose_modules_are_missing(
    tmp_path: Path, build: Builder, config: str, said: str
) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(build.bzimage())
    (tmp_path / f"config-{build.release}").write_text(config)
    with pytest.raises(InputError, match=said):
        from_image(image, root=tmp_path)


def test_image_with_everything_built_in(tmp_path: Path, build: Builder) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(build.bzimage())
    (tmp_path / f"config-{build.release}").write_text(BUILT_IN)
    assert from_image(image, root=tmp_path).modules == {}


@pytest.mark.parametrize("entry", ["crypto/af_alg.o", "kernel/crypto/af_alg.ko"])
def test_build_tree(tmp_path: Path, build: Builder, entry: str) -> None:
    image = tmp_path / "arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(build.bzimage())
    (tmp_path / "Kbuild").touch()
    (tmp_path / ".config").touch()
    (tmp_path / "crypto").mkdir()
    (tmp_path / "crypto/af_alg.ko").write_bytes(build.module())
    (tmp_path / "modules.order").write_text(f"{entry}\n")
    for parts in (from_directory(tmp_path), from_image(image)):
        assert parts.modules == {"kernel/crypto/af_alg.ko": tmp_path / "crypto/af_alg.ko"}
        assert parts.config == tmp_path / ".config"


def test_tree_that_was_not_built(tmp_path: Path) -> None:
    (tmp_path / "Kbuild").touch()
    with pytest.raises(InputError, match="build it first"):
        from_directory(tmp_path)


def test_read_module(tmp_path: Path) -> None:
    data = b"a module" * 100
    (tmp_path / "a.ko").write_bytes(data)
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(data))
    (tmp_path / "a.ko.gz").write_bytes(gzip.compress(data))
    for name in ("a.ko", "a.ko.xz", "a.ko.gz"):
        assert read_module(tmp_path / name) == data


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_read_zstd_module(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(b"a module")
    subprocess.run(["zstd", "-q", tmp_path / "a.ko"], check=True)
    assert read_module(tmp_path / "a.ko.zst") == b"a module"
    (tmp_path / "a.ko.zst").write_bytes(b"no zstd")
    with pytest.raises(InputError, match="cannot be read"):
        read_module(tmp_path / "a.ko.zst")


@pytest.mark.parametrize("suffix", ["xz", "gz"])
def test_damaged_module(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.ko.{suffix}"
    compress = lzma.compress if suffix == "xz" else gzip.compress
    path.write_bytes(compress(b"a module" * 100)[:-4])
    with pytest.raises(InputError, match="the module cannot be read"):
        read_module(path)
