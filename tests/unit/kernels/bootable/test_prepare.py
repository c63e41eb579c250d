"""The layout of a bootable kernel."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError, InfrastructureError, InputError
from harness.kernels.bootable import prepare as module
from harness.kernels.bootable.prepare import is_for_guest, modinfo, prepare
from harness.kernels.parts.kernel_parts import KernelParts, from_directory
from harness.processes import find_program

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder


def _has(*programs: str) -> bool:
    try:
        return all(find_program(program) for program in programs)
    except HostError:
        return False


needs_programs = pytest.mark.skipif(
    not _has("depmod", "modprobe", "mkfs.ext4", "debugfs"), reason="kmod or e2fsprogs is missing"
)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("kernel/crypto/af_alg.ko", True),
        ("kernel/crypto/asymmetric_keys/pkcs7_test_key.ko", True),
        ("kernel/arch/x86/crypto/aesni-intel.ko", True),
        ("kernel/fs/ext4/ext4.ko", True),
        ("kernel/fs/mbcache.ko", True),
        ("kernel/drivers/block/virtio_blk.ko", True),
        ("kernel/drivers/md/dm-crypt.ko", True),
        ("kernel/net/9p/9pnet_virtio.ko", True),
        ("kernel/net/9p/9pnet_rdma.ko", False),
        ("kernel/fs/xfs/xfs.ko", False),
        ("kernel/arch/x86/kvm/kvm.ko", False),
        ("kernel/drivers/crypto/ccp/ccp.ko", False),
        ("updates/crypto/af_alg.ko", False),
    ],
)
def test_selection(path: str, wanted: bool) -> None:
    assert is_for_guest(path) is wanted


def test_modinfo(build: Builder) -> None:
    info = modinfo(build.module("7.3-amd64", "a,b", "pre: c"))
    assert info["vermagic"].split()[0] == "7.3-amd64"
    assert info["depends"] == "a,b"
    assert info["softdep"] == "pre: c"


@needs_programs
def test_layout(tmp_path: Path, build: Builder) -> None:
    target = tmp_path / "target"
    target.mkdir()
    prepare(from_directory(build.tree(tmp_path / "tree")), target)
    release = build.release
    full = target / "full/lib/modules" / release
    assert {path.name for path in full.rglob("*.ko*")} == {
        "af_alg.ko",
        "algif_hash.ko",
        "ext4.ko",
        "mbcache.ko",
        "far_away.ko",  # only because ext4 depends on it
    }
    assert (full / "kernel/crypto/af_alg.ko").read_bytes() == build.module()
    for tree in (full, target / "boot/lib/modules" / release):
        assert (tree / "modules.dep").is_file()
        assert (tree / "modules.builtin").is_file()
    image = target / "boot/boot" / f"vmlinuz-{release}"
    assert image.read_bytes() == build.bzimage()
    assert (target / "config").read_text() == "CONFIG_EXT4_FS=m\n"
    listing = subprocess.run(
        [find_program("debugfs"), "-R", "ls -l /kernel/crypto", target / "modules.ext4"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "af_alg.ko" in listing


def test_boot_tree_holds_what_the_initramfs_loads(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    tree = full / "lib/modules" / build.release / "kernel"
    tree.mkdir(parents=True)
    for name in ("ext4", "mbcache", "af_alg"):
        (tree / f"{name}.ko").write_text(name)
    asked = []

    def modprobe(argv: list[str | Path], *, doing: str) -> str:
        name = argv[-1]
        asked.append(name)
        assert argv == [
            *("modprobe", "--show-depends", "-C", "/var/empty"),
            *("-d", full, "-S", build.release, name),
        ]
        if name == "virtio_console":
            raise InfrastructureError("modprobe failed")
        if name != "ext4":
            return f"builtin {name}\n"
        return f"insmod {tree}/mbcache.ko \ninsmod {tree}/ext4.ko option=1\n"

    monkeypatch.setattr(module, "run", modprobe)
    boot = tmp_path / "boot"
    module._link_boot_modules(full, boot, build.release)
    assert asked == ["virtio_pci", "virtio_blk", "virtio_console", "ext4"]
    linked = boot / "lib/modules" / build.release / "kernel"
    assert {path.name: path.read_text() for path in linked.iterdir()} == {
        "ext4.ko": "ext4",
        "mbcache.ko": "mbcache",
    }


@needs_programs
def test_boot_tree_is_made_from_the_full_one(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "_link_boot_modules", lambda *given: calls.append(given))
    target = tmp_path / "target"
    target.mkdir()
    prepare(from_directory(build.tree(tmp_path / "tree")), target)
    assert calls == [(target / "full", target / "boot", build.release)]


@needs_programs
def test_same_input_same_image(tmp_path: Path, build: Builder) -> None:
    parts = from_directory(build.tree(tmp_path / "tree"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        prepare(parts, tmp_path / name)
    trees = [tmp_path / name / "full/lib/modules" / build.release for name in ("a", "b")]
    first, second = (
        {p.relative_to(tree): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
        for tree in trees
    )
    assert first == second


@needs_programs
def test_kernel_without_modules(tmp_path: Path, build: Builder) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(build.bzimage())
    target = tmp_path / "target"
    target.mkdir()
    prepare(KernelParts(build.release, image), target)
    assert (target / "boot/lib/modules" / build.release / "modules.dep").is_file()
    assert not (target / "modules.ext4").exists()


@needs_programs
def test_modules_of_another_kernel(tmp_path: Path, build: Builder) -> None:
    tree = build.tree(tmp_path / "tree")
    path = tree / "lib/modules" / build.release / "kernel/fs/mbcache.ko"
    path.write_bytes(build.module("6.12.44+deb12-amd64"))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(InputError, match=r"was built for 6\.12\.44"):
        prepare(from_directory(tree), target)


def test_missing_program(tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    image = tmp_path / "bzImage"
    image.write_bytes(build.bzimage())
    with pytest.raises(HostError, match="apt-get install kmod"):
        prepare(KernelParts(build.release, image), tmp_path)
