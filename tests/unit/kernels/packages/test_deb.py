"""Debian packages: what is read of them, and what is said of damaged or wrong ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import InputError
from harness.kernels.packages.assemble import check_complete
from harness.kernels.packages.formats import read_package, unpack
from harness.kernels.packages.package import Need, Package
from tests.packaging import Part, build_deb

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder


def test_control(tmp_path: Path, build: Builder) -> None:
    depends = "kmod, linux-base (>= 4.17~), linux-modules-7.3-amd64 (= 7.3-1)"
    path = build.deb(tmp_path / "a.deb", "linux-image-x", {}, depends=depends)
    name = "linux-modules-7.3-amd64"
    assert read_package(path) == Package(
        path,
        "linux-image-x",
        "6.12.43-1",
        "amd64",
        hashlib.sha256(path.read_bytes()).hexdigest(),
        (Need((name,), "7.3-1", name),),
    )


def test_package_that_needs_nothing(
    tmp_path: Path, build: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_package(build.deb(tmp_path / "a.deb", "x", {})).needs == ()
    assert caplog.text == ""


def test_unpack_takes_what_a_guest_needs(tmp_path: Path, build: Builder) -> None:
    release = build.release
    names = [
        f"boot/vmlinuz-{release}",
        f"boot/System.map-{release}",
        f"usr/lib/modules/{release}/modules.builtin",
        f"usr/lib/modules/{release}/kernel/crypto/af_alg.ko.xz",
        f"lib/modules/{release}/kernel/drivers/block/virtio_blk.ko.xz",
        f"lib/modules/{release}/kernel/drivers/net/e1000.ko.xz",
        f"lib/modules/{release}/kernel/sound/snd.ko.xz",
        "usr/share/doc/copyright",
    ]
    path = build.deb(tmp_path / "a.deb", "x", {name: name.encode() for name in names})
    target = tmp_path / "deep/target"
    written = unpack(read_package(path), target)
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert (
        found
        == set(written)
        == {
            f"boot/vmlinuz-{release}",
            f"lib/modules/{release}/modules.builtin",
            f"lib/modules/{release}/kernel/crypto/af_alg.ko.xz",
            f"lib/modules/{release}/kernel/drivers/block/virtio_blk.ko.xz",
        }
    )
    assert (target / f"boot/vmlinuz-{release}").read_bytes() == names[0].encode()


@pytest.mark.parametrize("compression", ["zstd", "xz", "gzip", "none"])
def test_compressions(tmp_path: Path, build: Builder, compression: str) -> None:
    image = f"boot/vmlinuz-{build.release}"
    part = Part("linux-image-x", {image: build.bzimage()})
    path = build_deb(tmp_path, part, compression=compression)
    assert unpack(read_package(path), tmp_path / "target") == [image]
    assert (tmp_path / "target" / image).read_bytes() == build.bzimage()


@pytest.mark.parametrize("kept", [0, 4, 60, 150, 400, 2000, -4000, -1000, -2])
def test_cut_short(tmp_path: Path, build: Builder, kept: int) -> None:
    content = hashlib.shake_128(b"incompressible").digest(5000)
    path = build.deb(tmp_path / "a.deb", "x", {f"boot/vmlinuz-{build.release}": content})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.deb is not a complete Debian package: \w") as caught:
        unpack(read_package(path), tmp_path / "target")
    assert "\n" not in str(caught.value)


def test_damaged(tmp_path: Path, build: Builder) -> None:
    path = build.deb(tmp_path / "a.deb", "x", {f"boot/vmlinuz-{build.release}": bytes(5000)})
    data = bytearray(path.read_bytes())
    data[-60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="not a complete Debian package"):
        unpack(read_package(path), tmp_path / "target")


def test_not_a_package(tmp_path: Path) -> None:
    path = tmp_path / "a.deb"
    path.write_text("hello\n")
    with pytest.raises(InputError, match="is not a Debian format archive"):
        read_package(path)


def test_other_architecture(tmp_path: Path, build: Builder) -> None:
    path = build.deb(tmp_path / "a.deb", "x", {}, architecture="arm64")
    with pytest.raises(InputError, match=r"is for arm64; this machine is amd64"):
        read_package(path)


def test_missing_part_is_named(tmp_path: Path, build: Builder) -> None:
    depends = "dracut | initramfs-tools, linux-base (>= 4.17~), linux-modules-7.3-amd64 (= 7.3-1)"
    image = read_package(build.deb(tmp_path / "i.deb", "linux-image", {}, depends=depends))
    with pytest.raises(InputError, match=r"linux-modules-7\.3-amd64 is needed as well"):
        check_complete([image])
    other = build.deb(tmp_path / "m.deb", "linux-modules-7.3-amd64", {}, version="7.3-2")
    with pytest.raises(InputError, match=r"needs linux-modules-7\.3-amd64 7\.3-1, not 7\.3-2"):
        check_complete([image, read_package(other)])
    at_least = build.deb(tmp_path / "l.deb", "x", {}, depends="linux-modules-7.3-amd64 (>= 7.3-1)")
    check_complete([read_package(at_least), read_package(other)])
    right = build.deb(tmp_path / "m.deb", "linux-modules-7.3-amd64", {}, version="7.3-1")
    check_complete([image, read_package(right)])


def test_alternatives(tmp_path: Path, build: Builder) -> None:
    depends = "linux-modules-6.8.0-45-generic | linux-modules-6.8.0-45-lowlatency"
    image = read_package(build.deb(tmp_path / "i.deb", "linux-image", {}, depends=depends))
    modules = build.deb(tmp_path / "m.deb", "linux-modules-6.8.0-45-lowlatency", {})
    check_complete([image, read_package(modules)])
    with pytest.raises(InputError, match=r"linux-modules-6\.8\.0-45-generic is needed"):
        check_complete([image])
