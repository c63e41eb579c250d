"""One of Debian's kernels as Fedora, Arch Linux and Ubuntu package theirs, run from each."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.model import BootableKernel, KernelResult, Outcome, Status
from tests.packaging import Part, build_deb, build_pacman, build_rpms

from .conftest import Finished, bootable, execute

_RELEASE = "7.3.4+deb13-amd64"
_ORIGINAL = f"debian:{_RELEASE}"
_TREE = f"usr/lib/modules/{_RELEASE}"
_LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def _xz(data: bytes) -> bytes:
    # As the kernel's own build does: scripts/Makefile.modinst.
    return lzma.compress(data, check=lzma.CHECK_CRC32, preset=0)


def _zst(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-1cq"], input=data, capture_output=True, check=True).stdout


def _modules(
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
        _modules(kernel, ".xz", _xz),
        requires=(f"kernel-uname-r = {_RELEASE}",),
        provides=(f"kernel-modules-core-uname-r = {_RELEASE}",),
    )
    return build_rpms(place, core, modules, version="7.3.4", revision="200.fc43")


def _arch(place: Path, kernel: BootableKernel) -> list[Path]:
    files = {f"{_TREE}/vmlinuz": kernel.image, **_modules(kernel, ".zst", _zst)}
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
        {f"boot/config-{_RELEASE}": kernel.config, **_modules(kernel, ".zst", _zst)},
    )
    return [build_deb(place, part, version="7.3.4-7.7") for part in (image, modules)]


@dataclass(frozen=True)
class Case:
    """One run of the original and the three, and what they were run from."""

    finished: Finished
    original: KernelResult
    packages: dict[str, list[Path]]

    def kernel(self, name: str) -> KernelResult:
        """The result of the packages called ``name``."""
        return self.finished.kernel(",".join(map(str, self.packages[name])))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The original kernel and its three packagings, compared."""
    top = tmp_path_factory.mktemp("packages")
    kernel = bootable(_ORIGINAL)
    packages = {
        "fedora": _fedora(top / "fedora", kernel),
        "arch": _arch(top / "arch", kernel),
        "ubuntu": _ubuntu(top / "ubuntu", kernel),
    }
    specs = [",".join(map(str, paths)) for paths in packages.values()]
    suite = ("--suite", "zero_copy/test_input.py")
    finished = execute(top / "run", _ORIGINAL, *specs, *suite, "--jobs", "2")
    assert finished.code == 0, finished.stdout + finished.stderr
    return Case(finished, finished.kernel(_ORIGINAL), packages)


@pytest.mark.parametrize("name", ["fedora", "arch", "ubuntu"])
def test_it_is_the_same_kernel(case: Case, name: str) -> None:
    kernel = case.kernel(name)
    assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert kernel.identity is not None
    assert case.original.identity is not None
    assert kernel.identity.release == kernel.release == _RELEASE
    assert kernel.identity.version == case.original.identity.version
    states = {path: fact.state for path, fact in kernel.facts.named().items()}
    assert states == {path: fact.state for path, fact in case.original.facts.named().items()}
    assert states["zero_copy.skcipher.splice_file"] == "absent"
    assert {test.outcome for test in kernel.tests} == {Outcome.PASSED}


@pytest.mark.parametrize("name", ["fedora", "arch", "ubuntu"])
def test_its_packages_are_named(case: Case, name: str) -> None:
    versions = {"fedora": "7.3.4-200.fc43", "arch": "7.3.4.arch1-1", "ubuntu": "7.3.4-7.7"}
    recorded = case.kernel(name).packages
    assert {package.version for package in recorded} == {versions[name]}
    assert {package.trust for package in recorded} == {"local"}
    assert [package.sha256 for package in recorded] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in case.packages[name]
    ]


def test_config(case: Case) -> None:
    """Debian's image carries none, so that an Arch package made of it has none."""
    assert case.kernel("fedora").config == case.kernel("ubuntu").config == case.original.config
    assert case.kernel("arch").config == {}
    assert any("no config was found" in note for note in case.kernel("arch").notes)
