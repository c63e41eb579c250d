"""Sets of packages: whether they make up a kernel, and that none can write elsewhere."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError, InputError
from harness.kernels.packages.assemble import assemble, check_complete
from harness.kernels.packages.formats import read_package
from harness.kernels.packages.package import unpack_payload
from harness.kernels.parts.kernel_parts import KernelParts
from tests.packaging import Part, build_deb, build_pacman, build_rpms

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder

RELEASE = "6.8.0-45-generic"


def _parts(place: Path, *paths: Path) -> KernelParts:
    packages = [read_package(path) for path in paths]
    check_complete(packages)
    place.mkdir()
    return assemble(packages, place, lambda _: None)


def _ubuntu(place: Path, build: Builder) -> list[Path]:
    """A kernel as Ubuntu splits it: image, modules (with the config), further modules."""
    module = lzma.compress(build.module(RELEASE))
    tree = f"lib/modules/{RELEASE}"
    image = Part(
        f"linux-image-unsigned-{RELEASE}",
        {f"boot/vmlinuz-{RELEASE}": build.bzimage(RELEASE)},
        requires=("kmod", f"linux-modules-{RELEASE}"),
    )
    modules = Part(
        f"linux-modules-{RELEASE}",
        {
            f"boot/config-{RELEASE}": b"CONFIG_EXT4_FS=y\n",
            f"{tree}/kernel/crypto/af_alg.ko.xz": module,
            f"{tree}/modules.builtin": b"",
        },
    )
    extra = Part(
        f"linux-modules-extra-{RELEASE}",
        {f"{tree}/kernel/crypto/twofish.ko.xz": module},
        requires=(f"linux-image-{RELEASE} | linux-image-unsigned-{RELEASE}",),
    )
    return [build_deb(place, part) for part in (image, modules, extra)]


def test_ubuntu(tmp_path: Path, build: Builder) -> None:
    image, modules, extra = _ubuntu(tmp_path, build)
    parts = _parts(tmp_path / "whole", image, modules, extra)
    assert (parts.release, parts.image.read_bytes()) == (RELEASE, build.bzimage(RELEASE))
    assert set(parts.modules) == {"kernel/crypto/af_alg.ko", "kernel/crypto/twofish.ko"}
    assert parts.config is not None
    without_extra = _parts(tmp_path / "without extra", image, modules)
    assert set(without_extra.modules) == {"kernel/crypto/af_alg.ko"}
    said = rf"{RELEASE}_\S+: linux-modules-{RELEASE} is needed as well"
    with pytest.raises(InputError, match=said):
        _parts(tmp_path / "no modules", image, extra)
    said = rf"only modules of {RELEASE}; add linux-image-{RELEASE}"
    with pytest.raises(InputError, match=said):
        _parts(tmp_path / "no image", modules, extra)


def test_modules_of_another_release(tmp_path: Path, build: Builder) -> None:
    def package(name: str, files: dict[str, bytes]) -> Path:
        return build.deb(tmp_path / f"{name}.deb", f"linux-{name}", files)

    image = package("image", {f"boot/vmlinuz-{RELEASE}": build.bzimage(RELEASE)})
    later = package("later", {"boot/vmlinuz-6.9-generic": build.bzimage("6.9-generic")})
    modules = package("modules", {"lib/modules/6.9-generic/kernel/crypto/a.ko": b""})
    with pytest.raises(InputError, match=r"modules\.deb holds the modules of 6\.9-generic, \S+ima"):
        _parts(tmp_path / "modules", image, modules)
    with pytest.raises(InputError, match=r"later\.deb holds the image of 6\.9-generic, \S+image"):
        _parts(tmp_path / "images", image, later)


def test_no_modules_at_all(tmp_path: Path, build: Builder) -> None:
    files: dict[str, bytes | Path] = {f"lib/modules/{RELEASE}/vmlinuz": build.bzimage(RELEASE)}
    # Up to RHEL 9.1 kernel-core held modules itself, so that it may not ask for others.
    (core,) = build_rpms(tmp_path / "core", Part("kernel-core", files))
    with pytest.raises(InputError, match="kernel-modules-core is needed as well"):
        _parts(tmp_path / "rpm", core)
    linux = build_pacman(tmp_path / "linux", Part("linux", files))
    with pytest.raises(InputError, match=rf"the modules of {RELEASE} are missing in it"):
        _parts(tmp_path / "arch", linux)


def test_packages_without_a_kernel(tmp_path: Path, build: Builder) -> None:
    bash = build.deb(tmp_path / "bash.deb", "bash", {"bin/bash": b"#!"})
    with pytest.raises(InputError, match=r"bash\.deb: bash holds no part of a kernel"):
        _parts(tmp_path / "bash", bash)
    headers = build.deb(tmp_path / "headers.deb", "linux-headers-6.8", {"usr/src/x": b""})
    with pytest.raises(InputError, match=r"headers\.deb: no kernel in it"):
        _parts(tmp_path / "headers", headers)


def test_image_that_is_none(tmp_path: Path, build: Builder) -> None:
    files = {f"boot/vmlinuz-{RELEASE}": bytes(56) + b"ARM\x64" + bytes(4096)}
    path = build.deb(tmp_path / "a.deb", "linux-image", files)
    with pytest.raises(InputError) as caught:
        _parts(tmp_path / "place", path)
    assert str(caught.value) == (
        f"{path}: boot/vmlinuz-{RELEASE} is not a bzImage: it is an arm64 kernel"
    )


def _tar(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar archive of (name, type, what it links to); files hold their own names."""
    with tarfile.open(path, "w") as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = link
            member.devmajor, member.devminor = 1, 3
            member.size = len(name) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(name.encode()))
    return path


BELOW = f"lib/modules/{RELEASE}/kernel"


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "deep/target"
    up = "/".join([".."] * 6)
    path = _tar(
        tmp_path / "a.tar",
        (f"{BELOW}/{up}/outside/dots", tarfile.REGTYPE, ""),
        (f"lib/modules/../{up}/modules.dep", tarfile.REGTYPE, ""),
        (f"../{BELOW}/dots.ko", tarfile.REGTYPE, ""),
        (f"{outside}/{BELOW}/absolute.ko", tarfile.REGTYPE, ""),
        (f"/{BELOW}/absolute.ko", tarfile.REGTYPE, ""),
        (f"{BELOW}/folder", tarfile.SYMTYPE, str(outside)),
        (f"{BELOW}/folder/through.ko", tarfile.REGTYPE, ""),
        (f"{BELOW}/link.ko", tarfile.SYMTYPE, "/etc/passwd"),
        (f"{BELOW}/link.ko", tarfile.REGTYPE, ""),
        ("boot/vmlinuz-6.8", tarfile.CHRTYPE, ""),
        ("boot/config-6.8", tarfile.FIFOTYPE, ""),
        (f"{BELOW}/good.ko", tarfile.REGTYPE, ""),
        (f"{BELOW}/hard.ko", tarfile.LNKTYPE, f"./usr/{BELOW}/good.ko"),
    )
    written = unpack_payload(path, ["cat"], target)
    assert list(outside.iterdir()) == []
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if not p.is_dir()}
    names = {f"{BELOW}/{name}.ko" for name in ("folder/through", "link", "good", "hard")}
    assert set(written) == names
    assert found == {"a.tar", *(f"deep/target/{name}" for name in names)}
    assert not any(p.is_symlink() for p in target.rglob("*"))
    assert (target / f"{BELOW}/hard.ko").read_text() == f"{BELOW}/good.ko"


@pytest.mark.parametrize("linked", ["/etc/passwd", f"{BELOW}/../../../../../../etc/passwd"])
def test_hard_link_to_elsewhere(tmp_path: Path, linked: str) -> None:
    path = _tar(tmp_path / "a.tar", (f"{BELOW}/a.ko", tarfile.LNKTYPE, linked))
    with pytest.raises(EOFError, match=r"a\.ko is a link to \S+, which is not in it before"):
        unpack_payload(path, ["cat"], tmp_path / "target")
    assert not list(tmp_path.rglob("a.ko"))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "a/b"], r"a/b cannot be in it: (File exists|Not a directory)"),
        (["a/b", "a"], r"a cannot be in it: Is a directory"),
        (["a" * 300], r"aaa cannot be in it: File name too long"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, names: list[str], said: str) -> None:
    members = [(f"{BELOW}/{name}", tarfile.REGTYPE, "") for name in names]
    with pytest.raises(EOFError, match=said):
        unpack_payload(_tar(tmp_path / "a.tar", *members), ["cat"], tmp_path / "target")


def test_names_that_are_left_out(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar", ("boot/config-\x1b[2J\n", tarfile.REGTYPE, ""))
    assert unpack_payload(path, ["cat"], tmp_path / "target") == []


def test_name_of_control_characters(tmp_path: Path, build: Builder) -> None:
    path = build.deb(tmp_path / "a.deb", "linux\x1b[2J", {})
    with pytest.raises(InputError, match="gives no sensible name"):
        read_package(path)


def test_full_disk_is_not_a_damaged_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _tar(tmp_path / "a.tar", (f"{BELOW}/a.ko", tarfile.REGTYPE, ""))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.kernels.packages.package.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        unpack_payload(path, ["cat"], tmp_path / "target")


def test_program_that_is_not_installed(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar")
    with pytest.raises(HostError, match="no-such-program is not installed"):
        unpack_payload(path, ["no-such-program"], tmp_path / "target")
