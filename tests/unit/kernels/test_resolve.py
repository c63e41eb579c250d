"""Specs resolved to bootable kernels, without a network."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import FetchError, HostError, InputError
from harness.kernels import resolve as module
from harness.kernels.archive.debian import Archive, ArchiveKernel, ArchivePackage
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.model import PackageFile
from harness.processes import find_program
from tests.packaging import Part, build_rpms

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder, Recorder

MIRROR = "http://mirror/debian"


@pytest.fixture(autouse=True)
def programs() -> None:
    """Skip where the programs that make images are missing."""
    try:
        for name in ("depmod", "modprobe", "mkfs.ext4"):
            find_program(name)
    except HostError as error:
        pytest.skip(str(error))


def _packages(build: Builder, place: Path) -> dict[str, Path]:
    """A kernel split into three packages."""
    release = build.release
    tree = f"usr/lib/modules/{release}"
    files = {
        "base": {f"{tree}/config": b"CONFIG_EXT4_FS=m\n", f"{tree}/modules.builtin": b""},
        "binary": {f"{tree}/vmlinuz": build.bzimage()},
        "modules": {f"{tree}/kernel/crypto/af_alg.ko.xz": lzma.compress(build.module())},
    }
    return {
        part: build.deb(place / f"{part}.deb", f"linux-{part}-{release}", content)
        for part, content in files.items()
    }


def test_packages(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    paths = _packages(build, tmp_path)
    sources = KernelSources(tmp_path / "cache")
    spec = ",".join(map(str, paths.values()))
    kernel = resolve(spec, sources, progress)
    assert kernel.release == build.release
    assert kernel.image.read_bytes() == build.bzimage()
    assert kernel.modules_tree is not None
    assert (kernel.modules_tree / "kernel/crypto/af_alg.ko").is_file()
    assert kernel.modules_image is not None
    assert kernel.modules_image.is_file()
    assert kernel.config is not None
    assert [package.trust for package in kernel.packages] == ["local"] * 3
    assert [path.name for path in kernel.modules_image.parent.glob(".*")] == []
    progress.reports.clear()
    assert resolve(spec, sources, progress) == kernel
    assert (spec, "preparing", None) not in progress.reports


def test_packages_without_modules(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    paths = _packages(build, tmp_path)
    spec = f"{paths['base']},{paths['binary']}"
    with pytest.raises(InputError, match=f"linux-modules-{build.release[:4]}.* is needed as well"):
        resolve(spec, KernelSources(tmp_path / "cache"), progress)


def test_rpms(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    tree = f"lib/modules/{build.release}"
    module = lzma.compress(build.module())
    core = Part("kernel-core", {f"{tree}/vmlinuz": build.bzimage()})
    modules = Part("kernel-modules-core", {f"{tree}/kernel/crypto/af_alg.ko.xz": module})
    paths = build_rpms(tmp_path / "build", core, modules)
    sources = KernelSources(tmp_path / "cache")
    kernel = resolve(",".join(map(str, paths)), sources, progress)
    assert kernel.modules_tree is not None
    assert (kernel.modules_tree / "kernel/crypto/af_alg.ko").read_bytes() == build.module()
    assert kernel.packages == tuple(
        PackageFile(name, "6.11.4-301.fc41", hashlib.sha256(path.read_bytes()).hexdigest(), "local")
        for name, path in zip(("kernel-core", "kernel-modules-core"), paths, strict=True)
    )
    assert kernel.config is None
    assert kernel.notes == ("no config was found in its packages or its image",)


def test_config_in_a_module(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    tree = f"lib/modules/{build.release}"
    configs = b"\x7fELF IKCFG_ST" + gzip.compress(b"CONFIG_EXT4_FS=y\n") + b"IKCFG_ED"
    files = {f"{tree}/vmlinuz": build.bzimage(), f"{tree}/kernel/kernel/configs.ko": configs}
    path = build.deb(tmp_path / "a.deb", "linux-image", files)
    kernel = resolve(str(path), KernelSources(tmp_path / "cache"), progress)
    assert kernel.config is not None
    assert kernel.config.read_text() == "CONFIG_EXT4_FS=y\n"
    assert kernel.notes == ()


def test_damaged_module_is_named_by_its_package(
    tmp_path: Path, build: Builder, progress: Recorder
) -> None:
    tree = f"lib/modules/{build.release}"
    module = f"{tree}/kernel/crypto/af_alg.ko.xz"
    files = {f"{tree}/vmlinuz": build.bzimage(), module: b"no xz"}
    path = build.deb(tmp_path / "a.deb", "linux-image", files)
    with pytest.raises(InputError) as caught:
        resolve(str(path), KernelSources(tmp_path / "cache"), progress)
    assert str(caught.value).startswith(f"{path}: {module}: the module cannot be read: ")


def test_package_that_names_a_missing_part(
    tmp_path: Path, build: Builder, progress: Recorder
) -> None:
    depends = "linux-base-7.3-amd64 (= 7.3-1)"
    path = build.deb(tmp_path / "binary.deb", "linux-binary-7.3-amd64", {}, depends=depends)
    with pytest.raises(InputError, match=r"linux-base-7\.3-amd64 is needed as well"):
        resolve(str(path), KernelSources(tmp_path / "cache"), progress)


def test_packages_without_image(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    paths = _packages(build, tmp_path)
    with pytest.raises(InputError, match="no kernel in it"):
        resolve(str(paths["modules"]), KernelSources(tmp_path / "cache"), progress)


def test_directory_is_prepared_anew_once_it_changed(
    tmp_path: Path, build: Builder, progress: Recorder
) -> None:
    tree = build.tree(tmp_path / "tree")
    sources = KernelSources(tmp_path / "cache")
    first = resolve(str(tree), sources, progress)
    assert resolve(str(tree), sources, progress) == first
    modules = tree / f"lib/modules/{build.release}/kernel"
    (modules / "crypto/new.ko").write_bytes(build.module())
    second = resolve(str(tree), sources, progress)
    assert second.image != first.image
    assert second.modules_tree is not None
    assert (second.modules_tree / "kernel/crypto/new.ko").is_file()
    (modules / "crypto/new.ko").write_bytes(build.module(depends="af_alg"))
    assert resolve(str(tree), sources, progress).image != second.image


def test_relative_cache(
    tmp_path: Path, build: Builder, progress: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kernel = resolve(str(build.tree(tmp_path / "tree")), KernelSources(Path("cache")), progress)
    assert kernel.image.is_relative_to(tmp_path / "cache")


class FakeArchive:
    """An archive with one kernel, that counts what it is asked for."""

    def __init__(self, packages: dict[str, Path], kernel: ArchiveKernel) -> None:
        self.packages = packages
        self.kernel = kernel
        self.updates = 0
        self.fetched: list[str] = []
        self.failed: tuple[str, ...] = ()
        self.fresh = False


@pytest.fixture
def archive(
    tmp_path: Path, build: Builder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeArchive]:
    """The fake, in the place of the real one."""
    (tmp_path / "pool").mkdir()
    packages = _packages(build, tmp_path / "pool")
    kernel = ArchiveKernel(build.release, "6.12.43-1", "amd64", ("trixie",))
    fake = FakeArchive(packages, kernel)

    def update(_: Archive) -> None:
        fake.updates += 1
        fake.fresh = True

    def packages_of(_: Archive, kernel: ArchiveKernel) -> tuple[ArchivePackage, ...]:
        return tuple(
            ArchivePackage(part, "6.12.43-1", None if part == "modules" else "00", 1)
            for part in fake.packages
        )

    def fetch(_: Archive, package: ArchivePackage, report: object) -> Path:
        fake.fetched.append(package.name)
        copy = tmp_path / f"copy-{package.name}.deb"
        copy.write_bytes(fake.packages[package.name].read_bytes())
        return copy

    monkeypatch.setattr(Archive, "needs_update", lambda _self, _now: not fake.fresh)
    monkeypatch.setattr(Archive, "update", update)
    monkeypatch.setattr(Archive, "failed_suites", lambda _: fake.failed)
    monkeypatch.setattr(Archive, "kernels", lambda _: (fake.kernel,))
    monkeypatch.setattr(Archive, "packages_of", packages_of)
    monkeypatch.setattr(Archive, "fetch", fetch)
    yield fake


def test_release(tmp_path: Path, build: Builder, progress: Recorder, archive: FakeArchive) -> None:
    sources = KernelSources(tmp_path / "cache", MIRROR)
    kernel = resolve(f"debian:{build.release}", sources, progress)
    assert {package.name: package.trust for package in kernel.packages} == {
        f"linux-base-{build.release}": "signed index",
        f"linux-binary-{build.release}": "signed index",
        f"linux-modules-{build.release}": "outside the signed index",
    }
    assert kernel.notes == ("modules 6.12.43-1 came from the pool, outside the signed index",)
    assert archive.fetched[0] == "modules", "what may be gone is asked for first"
    assert list(tmp_path.glob("copy-*")) == [], "packages are deleted once they have served"


def test_prepared_release_takes_no_network(
    tmp_path: Path,
    build: Builder,
    progress: Recorder,
    archive: FakeArchive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = KernelSources(tmp_path / "cache", MIRROR)
    kernel = resolve(f"debian:{build.release}", sources, progress)

    def offline(*_: object) -> None:
        raise FetchError("no network")

    monkeypatch.setattr(module, "_archive", offline)
    assert resolve(f"debian:{build.release}", sources, progress) == kernel
    with pytest.raises(FetchError):
        resolve("debian:trixie", sources, progress)


def test_suite_with_a_fresh_index_fetches_nothing(
    tmp_path: Path, build: Builder, progress: Recorder, archive: FakeArchive
) -> None:
    sources = KernelSources(tmp_path / "cache", MIRROR)
    kernel = resolve("debian:trixie", sources, progress)
    assert (kernel.spec, kernel.release) == ("debian:trixie", build.release)
    archive.fetched.clear()
    resolve("debian:trixie", sources, progress)
    assert (archive.updates, archive.fetched) == (1, [])
    resolve("debian:trixie", KernelSources(tmp_path / "cache", MIRROR, True), progress)
    assert (archive.updates, archive.fetched) == (2, [])


def test_new_version_of_a_release_is_fetched(
    tmp_path: Path, build: Builder, progress: Recorder, archive: FakeArchive
) -> None:
    sources = KernelSources(tmp_path / "cache", MIRROR)
    resolve("debian:trixie", sources, progress)
    archive.fetched.clear()
    archive.kernel = ArchiveKernel(build.release, "6.12.43-2", "amd64", ("trixie",))
    resolve("debian:trixie", sources, progress)
    assert sorted(archive.fetched) == ["base", "binary", "modules"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("debian:6.12.44+deb12-amd64", r"does not list it; there are 6\.12\.43"),
        ("debian:trixie/cloud", "trixie has no kernel of flavour cloud-amd64"),
    ],
)
def test_what_the_archive_lacks(
    tmp_path: Path, progress: Recorder, archive: FakeArchive, spec: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        resolve(spec, KernelSources(tmp_path / "cache", MIRROR), progress)


def test_suites_that_could_not_be_read(
    tmp_path: Path, progress: Recorder, archive: FakeArchive
) -> None:
    archive.failed = ("trixie",)
    sources = KernelSources(tmp_path / "cache", MIRROR)
    with pytest.raises(FetchError, match="did not give its index of trixie"):
        resolve("debian:trixie", sources, progress)
    with pytest.raises(InputError, match=r"not read: trixie"):
        resolve("debian:7.3-amd64", sources, progress)
