"""Reads Debian packages (Debian, Ubuntu), with dpkg's own program."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import InputError
from harness.kernels.packages.package import (
    Need,
    Package,
    PackageFormat,
    check_architecture,
    checksum,
    read_with,
)

_ARCHITECTURES = {"x86_64": "amd64"}
#: Debian splits a kernel into binary, modules and base; Ubuntu into image (or
#: image-unsigned), modules and modules-extra, of which the last is not needed to boot.
_KERNEL_PART = re.compile(r"linux-(?:binary|modules|base)-[0-9]\S*")


def _read(path: Path) -> Package:
    """The control data and the checksum of the package at ``path``."""
    from debian.deb822 import Deb822  # noqa: PLC0415  (25 ms)

    sha256 = checksum(path)
    output = read_with(["dpkg-deb", "--field", "-"], path)
    control = Deb822(output.stdout)
    if output.code != 0 or "Package" not in control:
        reason = output.reason or "it names no package"
        raise InputError(f"{path} is not a complete Debian package: {reason}")
    check_architecture(path, control.get("Architecture", ""), _ARCHITECTURES, "all")
    return Package(
        path,
        control["Package"],
        control.get("Version", ""),
        control.get("Architecture", ""),
        sha256,
        _needs(control.get("Depends", "")),
    )


def _needs(depends: str) -> tuple[Need, ...]:
    if not depends.strip():
        return ()  # the parser would complain on stderr
    from debian.deb822 import PkgRelation  # noqa: PLC0415  (25 ms)

    needs = []
    for alternatives in PkgRelation.parse_relations(depends):
        names = tuple(relation["name"] for relation in alternatives)
        if any(_KERNEL_PART.fullmatch(name) for name in names):
            operator, version = alternatives[0].get("version") or ("", "")
            exactly = version if operator == "=" and len(names) == 1 else ""
            needs.append(Need(names, exactly, names[0]))
    return tuple(needs)


FORMAT = PackageFormat(
    title="Debian package",
    suffixes=(".deb",),
    read=_read,
    payload=lambda _: ["dpkg-deb", "--fsys-tarfile", "-"],
    image_package=lambda release: f"linux-image-{release}",
    modules_package=lambda _, release: f"linux-modules-{release}",
)
