"""RPM packages made by rpmbuild: what is read of them, and what is said of wrong ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError, InputError
from harness.kernels.packages import rpm
from harness.kernels.packages.assemble import check_complete
from harness.kernels.packages.formats import read_package, unpack
from harness.kernels.packages.package import Need
from tests.packaging import Part, build_rpms

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder

RELEASE = "6.11.4-301.fc41.x86_64"
CORE = Part(
    "kernel-core",
    {f"lib/modules/{RELEASE}/config": hashlib.shake_128(b"noise").digest(20000)},
    requires=(f"kernel-modules-core-uname-r = {RELEASE}", "/usr/bin/kernel-install"),
    provides=(f"kernel-uname-r = {RELEASE}",),
)
MODULES = Part(
    "kernel-modules-core",
    {f"lib/modules/{RELEASE}/modules.builtin": b""},
    requires=(f"kernel-uname-r = {RELEASE}",),
    provides=(f"kernel-modules-core-uname-r = {RELEASE}",),
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """kernel-core and kernel-modules-core, under names that rpm's own globbing would trip on."""
    place = tmp_path_factory.mktemp("rpms")
    (place / "a [b]").mkdir()
    built = build_rpms(place / "build", CORE, MODULES)
    return [path.rename(place / "a [b]" / path.name) for path in built]


def test_header(parts: list[Path]) -> None:
    package = read_package(parts[0])
    assert (package.name, package.version) == ("kernel-core", "6.11.4-301.fc41")
    assert package.architecture == "x86_64"
    assert package.sha256 == hashlib.sha256(parts[0].read_bytes()).hexdigest()
    label = f"kernel-modules-core ({RELEASE})"
    assert package.needs == (Need(("kernel-modules-core-uname-r",), RELEASE, label),)
    assert package.provides == (("kernel-uname-r", RELEASE),)


@pytest.mark.parametrize("payload", ["w1.zstdio", "w1.xzdio", "w1.gzdio"])
def test_payloads(tmp_path: Path, build: Builder, payload: str) -> None:
    image = f"lib/modules/{RELEASE}/vmlinuz"
    files: dict[str, bytes | Path] = {
        f"usr/{image}": build.bzimage(RELEASE),
        f"usr/lib/modules/{RELEASE}/kernel/drivers/net/e1000.ko.xz": b"not for a guest",
    }
    part = Part("kernel-default", files)
    (path,) = build_rpms(tmp_path / "build", part, payload=payload)
    assert unpack(read_package(path), tmp_path / "target") == [image]
    assert (tmp_path / "target" / image).read_bytes() == build.bzimage(RELEASE)


def test_missing_parts_are_named(tmp_path: Path, parts: list[Path]) -> None:
    core, modules = map(read_package, parts)
    check_complete([core, modules])
    with pytest.raises(InputError, match=r"kernel-modules-core \(6\.11\.4-\S+\) is needed as well"):
        check_complete([core])
    with pytest.raises(InputError, match=r"kernel-core \(6\.11\.4-\S+\) is needed as well"):
        check_complete([modules])
    with pytest.raises(InputError, match="kernel-core is given twice"):
        check_complete([core, modules, core])


@pytest.mark.parametrize(
    ("capability", "named"),
    [
        ("kernel-core-uname-r", "kernel-core"),
        ("kernel-debug-uname-r", "kernel-debug-core"),
        ("kernel-rt-modules-core-uname-r", "kernel-rt-modules-core"),
    ],
)
def test_names_of_missing_parts(tmp_path: Path, capability: str, named: str) -> None:
    part = Part("kernel", requires=(f"{capability} = 6.11",))
    (path,) = build_rpms(tmp_path / "build", part)
    with pytest.raises(InputError, match=rf": {named} \(6\.11\) is needed as well"):
        check_complete([read_package(path)])


def test_any_later_part_will_do(tmp_path: Path, parts: list[Path]) -> None:
    part = Part("kernel-modules-extra", requires=("kernel-modules-core-uname-r >= 6.11",))
    (path,) = build_rpms(tmp_path / "build", part)
    check_complete([read_package(parts[0]), read_package(parts[1]), read_package(path)])


def test_parts_of_another_release(tmp_path: Path, parts: list[Path]) -> None:
    provides = ("kernel-modules-core-uname-r = 6.12.0-1.fc41.x86_64",)
    (path,) = build_rpms(tmp_path / "build", Part("kernel-modules-core", provides=provides))
    with pytest.raises(InputError, match=r"needs kernel-modules-core 6\.11\S+, not 6\.12"):
        check_complete([read_package(parts[0]), read_package(path)])


def test_other_architecture(tmp_path: Path) -> None:
    (path,) = build_rpms(tmp_path / "build", Part("kernel-core"), architecture="aarch64")
    with pytest.raises(InputError, match=r"\.rpm is for aarch64; this machine is x86_64"):
        read_package(path)


def test_source_package(tmp_path: Path) -> None:
    (path,) = build_rpms(tmp_path / "build", Part("kernel"), source=True)
    with pytest.raises(InputError, match="is a source package"):
        read_package(path)


@pytest.mark.parametrize("kept", [4, 60, 100, 300, 1000, -9000, -1])
def test_cut_short(tmp_path: Path, parts: list[Path], kept: int) -> None:
    path = tmp_path / "a.rpm"
    path.write_bytes(parts[0].read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.rpm is damaged or cut short"):
        read_package(path)


@pytest.mark.parametrize("place", ["signature", "header", "payload"])
def test_damaged(tmp_path: Path, parts: list[Path], place: str) -> None:
    data = bytearray(parts[0].read_bytes())
    header = data.index(b"kernel-modules-core-uname-r")
    data[{"signature": 100, "header": header, "payload": -5000}[place]] ^= 1
    path = tmp_path / "a.rpm"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.rpm is damaged or cut short"):
        read_package(path)


def test_a_list_of_packages_is_none(tmp_path: Path, parts: list[Path]) -> None:
    path = tmp_path / "a.rpm"
    path.write_text(f"{parts[0]}\n")
    with pytest.raises(InputError, match=r"a\.rpm is not an RPM package"):
        read_package(path)


def test_nothing_is_left_in_the_home_directory(
    tmp_path: Path, parts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    unpack(read_package(parts[0]), tmp_path / "target")
    assert list(tmp_path.iterdir()) == [tmp_path / "target"]


def test_rpm_is_not_installed(parts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str, path: str | None = None) -> None:
        return None

    monkeypatch.setattr("harness.processes.shutil.which", none)
    with pytest.raises(HostError, match="apt-get install rpm"):
        rpm.FORMAT.read(parts[0])
