"""Linux distributions: what a package of Debian is called there, and how it is installed.

The names are those of Fedora 42, Arch and openSUSE Tumbleweed in 2026.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass

#: Where to run what a distribution cannot, in the words of a remedy.
_CONTAINER = "use the container of ci/Containerfile"


@dataclass(frozen=True)
class Distribution:
    """One family of distributions, which /etc/os-release names by ``ID`` or ``ID_LIKE``."""

    name: str
    install: str  # the command, without packages
    #: Debian's name of a package -> theirs where it differs; "" where they have none.
    names: tuple[tuple[str, str], ...] = ()

    def remedy(self, packages: Iterable[str]) -> str:
        """What installs ``packages``, given by Debian's names: a command, or words."""
        names = dict(self.names)
        named = {package: names.get(package, package) for package in packages}
        found = " ".join(dict.fromkeys(filter(None, named.values())))
        lacking = " and ".join(package for package, name in named.items() if not name)
        told = [f"{self.install} {found}"] if found else []
        told += [f"{self.name} has no package of {lacking}, so {_CONTAINER}"] if lacking else []
        return "; ".join(told)


_DEBIAN = Distribution("Debian", "apt-get install")
_BY_ID = {
    "debian": _DEBIAN,
    "ubuntu": Distribution("Ubuntu", "apt-get install"),
    "fedora": Distribution(
        "Fedora",
        "dnf install",
        (
            ("busybox-static", "busybox"),
            ("debian-archive-keyring", "debian-keyring"),
            ("libelf-dev", "elfutils-libelf-devel"),
            ("qemu-system-x86", "qemu-system-x86-core"),
            ("rpm2cpio", "rpm"),
            ("uidmap", "shadow-utils"),
            ("xz-utils", "xz"),
        ),
    ),
    "arch": Distribution(
        "Arch",
        "pacman -S --needed",
        (
            ("busybox-static", "busybox"),
            ("libelf-dev", "libelf"),
            ("mmdebstrap", ""),  # it is in the AUR
            ("rpm", "rpm-tools"),
            ("rpm2cpio", "rpm-tools"),
            ("uidmap", "shadow"),
            ("xz-utils", "xz"),
        ),
    ),
    "opensuse": Distribution(
        "openSUSE",
        "zypper install",
        (
            ("apt", ""),
            ("debian-archive-keyring", ""),
            ("libelf-dev", "libelf-devel"),
            ("mmdebstrap", ""),
            ("qemu-system-x86", "qemu-x86"),
            ("rpm2cpio", "rpm"),
            ("uidmap", "shadow"),
            ("xz-utils", "xz"),
        ),
    ),
}


def this_distribution() -> Distribution:
    """That of this machine, by its /etc/os-release; Debian where that does not tell."""
    try:
        said = platform.freedesktop_os_release()
    except OSError:
        return _DEBIAN
    for word in (said.get("ID", ""), *said.get("ID_LIKE", "").split()):
        found = _BY_ID.get(word.partition("-")[0])  # opensuse-tumbleweed
        if found is not None:
            return found
    return _DEBIAN


def install_command(*packages: str) -> str:
    """What installs packages, given by Debian's names, on this machine."""
    return this_distribution().remedy(packages)
