"""What mends a host is said in the words of its distribution."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from harness import distributions, host, processes
from harness.cli import main
from harness.distributions import install_command
from harness.errors import HostError
from harness.kernels.source import kbuild
from harness.processes import PACKAGES, find_program

_DEBIAN = {"ID": "debian", "VERSION_ID": "13"}
_UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian"}
_FEDORA = {"ID": "fedora"}
_ARCH = {"ID": "arch"}
_OPENSUSE = {"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}


def _on(monkeypatch: pytest.MonkeyPatch, os_release: dict[str, str]) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: os_release)


@pytest.mark.parametrize(
    ("os_release", "told"),
    [
        (_DEBIAN, "apt-get install qemu-system-x86 xz-utils"),
        (_UBUNTU, "apt-get install qemu-system-x86 xz-utils"),
        (
            {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"},
            "apt-get install qemu-system-x86 xz-utils",
        ),
        (_FEDORA, "dnf install qemu-system-x86-core xz"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "dnf install qemu-system-x86-core xz"),
        (_ARCH, "pacman -S --needed qemu-system-x86 xz"),
        (_OPENSUSE, "zypper install qemu-x86 xz"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, "zypper install qemu-x86 xz"),
        ({}, "apt-get install qemu-system-x86 xz-utils"),
    ],
    ids=str,
)
def test_packages(monkeypatch: pytest.MonkeyPatch, os_release: dict[str, str], told: str) -> None:
    _on(monkeypatch, os_release)
    assert install_command("qemu-system-x86", "xz-utils", "xz-utils") == told


def test_a_machine_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> dict[str, str]:
        raise FileNotFoundError

    monkeypatch.setattr(platform, "freedesktop_os_release", missing)
    assert install_command("kmod") == "apt-get install kmod"


def test_what_a_distribution_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    container = "so use the container of ci/Containerfile"
    _on(monkeypatch, _ARCH)
    assert install_command("mmdebstrap") == f"Arch has no package of mmdebstrap, {container}"
    _on(monkeypatch, _OPENSUSE)
    assert install_command("apt", "kmod", "mmdebstrap") == (
        f"zypper install kmod; openSUSE has no package of apt and mmdebstrap, {container}"
    )


def test_other_names_are_of_packages_that_are_asked_for() -> None:
    """None outlives the program that it was for."""
    asked = {*PACKAGES.values(), *kbuild._HEADERS.values(), host._KEYRING.stem}
    for distribution in distributions._BY_ID.values():
        assert {*dict(distribution.names)} <= asked, distribution.name


def test_errors_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch, _FEDORA)
    monkeypatch.setattr(processes, "search_path", lambda: "/nowhere")
    with pytest.raises(HostError, match=r"^mkfs.ext4 is not installed; dnf install e2fsprogs$"):
        find_program("mkfs.ext4")


def test_doctor_names_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _on(monkeypatch, _OPENSUSE)
    monkeypatch.setattr(processes, "search_path", lambda: "/nowhere")
    monkeypatch.setattr(host, "_KEYRING", tmp_path / "debian-archive-keyring.gpg")
    monkeypatch.setenv("AFALG_MIRROR", "http://mirror/debian")
    assert main(["doctor", "--cache", str(tmp_path)]) == 3
    told = capsys.readouterr().out
    assert "missing  qemu-system-x86_64: not installed\n         mend with: zypper install" in told
    assert "ok  mirror: http://mirror/debian (AFALG_MIRROR)" in told
    (line,) = (line for line in told.splitlines() if line.startswith("all that is missing: "))
    assert line.startswith("all that is missing: zypper install kmod file e2fsprogs ")
    assert "no package of apt and mmdebstrap and debian-archive-keyring" in line
