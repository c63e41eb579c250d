"""The running kernel: where its image lies, and what is said where it cannot be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from harness.errors import InputError
from harness.kernels.parts.host_kernel import from_host

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory of an ordinary user, who we are as long as the test runs."""
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 0)
    try:
        with TemporaryDirectory(dir="/tmp") as name:  # the tests' own is root's alone
            yield Path(name)
    finally:
        if os.getresuid()[2] == 0:
            os.setresuid(0, 0, 0)


def test_found(tmp_path: Path, build: Builder) -> None:
    build.tree(tmp_path)
    parts = from_host(tmp_path, build.release)
    assert parts.release == build.release
    assert parts.image == tmp_path / "boot" / f"vmlinuz-{build.release}"
    assert parts.config == tmp_path / "boot" / f"config-{build.release}"
    assert "kernel/crypto/af_alg.ko" in parts.modules


def test_beside_its_modules(tmp_path: Path, build: Builder) -> None:
    """Where Fedora and Arch Linux keep it."""
    build.tree(tmp_path)
    image = tmp_path / "lib/modules" / build.release / "vmlinuz"
    (tmp_path / "boot" / f"vmlinuz-{build.release}").rename(image)
    assert from_host(tmp_path, build.release).image == image


def test_the_running_one_by_default(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no image of the running kernel {os.uname().release}"):
        from_host(tmp_path)


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        from_host(tmp_path, "6.1.0-x")
    assert str(error.value) == (
        "host: no image of the running kernel 6.1.0-x on this machine"
        f" ({tmp_path}/boot/vmlinuz-6.1.0-x, {tmp_path}/lib/modules/6.1.0-x/vmlinuz,"
        f" {tmp_path}/usr/lib/modules/6.1.0-x/vmlinuz); name a kernel by another spec"
    )


@pytest.mark.parametrize("closed", ["boot", "boot/vmlinuz-6.12.43+deb12-amd64"])
def test_image_that_only_root_can_read(public: Path, build: Builder, closed: str) -> None:
    """Ubuntu's is mode 0600; some have a closed /boot."""
    build.tree(root := public)
    (root / closed).chmod(0)
    image = f"{root}/boot/vmlinuz-{build.release}"
    try:
        with pytest.raises(InputError) as error:
            from_host(root, build.release)
    finally:
        (root / closed).chmod(0o700)
    assert str(error.value) == f"host: {image} cannot be read; as root it can, or after chmod a+r"


def test_image_of_another_release(tmp_path: Path, build: Builder) -> None:
    build.tree(tmp_path)
    image = tmp_path / "boot/vmlinuz-6.1.0-x"
    image.write_bytes(build.bzimage())
    with pytest.raises(InputError) as error:
        from_host(tmp_path, "6.1.0-x")
    assert str(error.value) == f"host: {image} is of {build.release}, not of the running 6.1.0-x"


def test_no_bzimage(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1.0-x").write_text("no kernel")
    with pytest.raises(InputError, match=r"boot/vmlinuz-6\.1\.0-x"):
        from_host(tmp_path, "6.1.0-x")
