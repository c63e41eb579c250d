"""One of Debian's kernels as Fedora, Arch Linux and Ubuntu package theirs, and unpacked.

What boots is the same from all of them, bit by bit; two of them are booted.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.model import BootableKernel, Outcome, PackageFile, Status
from tests.packaging import Part, build_deb, build_pacman, build_rpms

from .conftest import bootable, execute

_RELEASE = "7.3.4+deb13-amd64"
_ORIGINAL = f"debian:{_RELEASE}"
_TREE = f"usr/lib/modules/{_RELEASE}"
_LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def _xz(data: bytes) -> bytes:
    # As the kernel's own build does: scripts/Makefile.modinst.
    return lzma.compress(data, check=lzma.CHECK_CRC32, preset=0)


def _zst(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-1cq"], input=data, capture_output=True, check=True).stdout


def _compressed(
    kernel: BootableKernel, suffix: str, compress: Callable[[bytes], bytes]
) -> dict[str, bytes | Path]:
    tree = kernel.modules_tree
    assert tree is not None
    files: dict[str, bytes | Path] = {f"{_TREE}/{name}": tree / name for name in _LISTS}
    for path in (tree / "kernel").rglob("*.ko"):
        name = path.relative_to(tree).as_posix()
        files[f"{_TREE}/{name}{suffix}"] = compress(path.read_bytes())
    return files


def _fedora(place: Path, kernel: BootableKernel) -> list[Path]:
    assert kernel.config is not None
    core = Part(
        "kernel-core",
        {f"{_TREE}/vmlinuz": kernel.image, f"{_TREE}/config": kernel.config},
        requires=(f"kernel-modules-core-uname-r = {_RELEASE}",),
        provides=(f"kernel-uname-r = {_RELEASE}",),
    )
    modules = Part(
        "kernel-modules-core",
        _compressed(kernel, ".xz", _xz),
        requires=(f"kernel-uname-r = {_RELEASE}",),
        provides=(f"kernel-modules-core-uname-r = {_RELEASE}",),
    )
    return build_rpms(place, core, modules, version="7.3.4", revision="200.fc43")


def _arch(place: Path, kernel: BootableKernel) -> list[Path]:
    files = {f"{_TREE}/vmlinuz": kernel.image, **_compressed(kernel, ".zst", _zst)}
    return [build_pacman(place, Part("linux", files), version="7.3.4.arch1")]


def _ubuntu(place: Path, kernel: BootableKernel) -> list[Path]:
    assert kernel.config is not None
    image = Part(
        f"linux-image-unsigned-{_RELEASE}",
        {f"boot/vmlinuz-{_RELEASE}": kernel.image},
        requires=("kmod", f"linux-modules-{_RELEASE}"),
    )
    modules = Part(
        f"linux-modules-{_RELEASE}",
        {f"boot/config-{_RELEASE}": kernel.config, **_compressed(kernel, ".zst", _zst)},
    )
    return [build_deb(place, part, version="7.3.4-7.7") for part in (image, modules)]


def _unpacked(place: Path, kernel: BootableKernel) -> Path:
    """A tree as Debian's package of the kernel unpacks to."""
    assert kernel.config is not None
    assert kernel.modules_tree is not None
    (place / "boot").mkdir(parents=True)
    shutil.copyfile(kernel.image, place / f"boot/vmlinuz-{_RELEASE}")
    shutil.copyfile(kernel.config, place / f"boot/config-{_RELEASE}")
    shutil.copytree(kernel.modules_tree, place / f"lib/modules/{_RELEASE}")
    return place


@dataclass(frozen=True)
class Case:
    """The original, what it was made into, and the kernels that this is."""

    original: BootableKernel
    packages: dict[str, list[Path]]
    specs: dict[str, str]
    kernels: dict[str, BootableKernel]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The original kernel in all its forms, resolved."""
    top = tmp_path_factory.mktemp("packages")
    original = bootable(_ORIGINAL)
    packages = {
        "fedora": _fedora(top / "fedora", original),
        "arch": _arch(top / "arch", original),
        "ubuntu": _ubuntu(top / "ubuntu", original),
    }
    specs = {name: ",".join(map(str, paths)) for name, paths in packages.items()}
    tree = _unpacked(top / "unpacked tree", original)
    specs |= {"tree": str(tree), "image": str(tree / f"boot/vmlinuz-{_RELEASE}")}
    return Case(original, packages, specs, {name: bootable(spec) for name, spec in specs.items()})


def _modules(kernel: BootableKernel) -> dict[str, bytes]:
    """All files of its modules' tree, by path."""
    assert kernel.modules_tree is not None
    files = [path for path in kernel.modules_tree.rglob("*") if path.is_file()]
    return {path.relative_to(kernel.modules_tree).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["fedora", "arch", "ubuntu", "tree", "image"])
def test_it_is_the_same_kernel(case: Case, name: str) -> None:
    kernel = case.kernels[name]
    assert kernel.release == _RELEASE
    assert kernel.image.read_bytes() == case.original.image.read_bytes()
    modules = _modules(case.original)
    assert len([path for path in modules if path.endswith(".ko")]) > 100
    assert _modules(kernel) == modules


@pytest.mark.parametrize("name", ["fedora", "arch", "ubuntu"])
def test_its_packages_are_named(case: Case, name: str) -> None:
    versions = {"fedora": "7.3.4-200.fc43", "arch": "7.3.4.arch1-1", "ubuntu": "7.3.4-7.7"}
    _are_named(case.kernels[name].packages, versions[name], case.packages[name])


def _are_named(packages: tuple[PackageFile, ...], version: str, files: list[Path]) -> None:
    assert {package.version for package in packages} == {version}
    assert {package.trust for package in packages} == {"local"}
    assert [package.sha256 for package in packages] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    ]


def test_config(case: Case) -> None:
    """Debian's image carries none, so that an Arch package made of it has none."""
    assert case.original.config is not None
    for name in ("fedora", "ubuntu", "tree", "image"):
        config = case.kernels[name].config
        assert config is not None
        assert config.read_bytes() == case.original.config.read_bytes()
    assert case.kernels["arch"].config is None
    assert any("no config was found" in note for note in case.kernels["arch"].notes)


def test_they_run(case: Case, tmp_path: Path) -> None:
    """Packages without a config, and an image beside its modules."""
    specs = (case.specs["arch"], case.specs["image"])
    suite = ("--suite", "zero_copy/test_input.py", "-k", "splice_file")
    finished = execute(tmp_path / "run", *specs, *suite)
    assert finished.code == 0, finished.stdout + finished.stderr
    for spec in specs:
        kernel = finished.kernel(spec)
        assert kernel.status is Status.COMPLETED, kernel.status_reason
        assert kernel.identity is not None
        assert kernel.identity.release == kernel.release == _RELEASE
        assert kernel.facts.named()["zero_copy.skcipher.splice_file"].state == "absent"
        assert {test.outcome for test in kernel.tests} == {Outcome.PASSED}
        assert (finished.out / kernel.directory / "console.log").stat().st_size > 0
    arch, image = map(finished.kernel, specs)
    _are_named(arch.packages, "7.3.4.arch1-1", case.packages["arch"])
    assert (arch.config, image.config["CONFIG_CRYPTO_USER_API_SKCIPHER"]) == ({}, "m")
    assert arch.directory != image.directory
