"""Reads RPM packages (Fedora, RHEL and its like, openSUSE), with rpm's own programs.

Facts relied on, from the packages' spec files. Fedora and RHEL split a kernel into
``kernel-core`` (image and config) and ``kernel-modules-core`` (up to RHEL 9.1 in
``kernel-core``), with more in ``kernel-modules`` and ``kernel-modules-extra``; what they
need of each other they name by capabilities like ``kernel-modules-core-uname-r = RELEASE``.
openSUSE has all in ``kernel-default``.
"""

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

_ARCHITECTURES = {"x86_64": "x86_64"}
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_QUERY = (
    r"%{SOURCEPACKAGE}\n%{NAME}\n%{EVR}\n%{ARCH}\n"
    r"[requires\t%{REQUIRENAME}\t%{REQUIREFLAGS:depflags}\t%{REQUIREVERSION}\n]"
    r"[provides\t%{PROVIDENAME}\t%{PROVIDEFLAGS:depflags}\t%{PROVIDEVERSION}\n]"
)
_KERNEL_PART = re.compile(r"(kernel(?:-[\w-]+)?)-uname-r")


def _read(path: Path) -> Package:
    """The header and the checksum of the package at ``path``, its digests verified."""
    sha256 = checksum(path)
    # rpm takes any other file for a list of packages to look at.
    with path.open("rb") as file:
        if file.read(4) != _LEAD_MAGIC:
            raise InputError(f"{path} is not an RPM package")
    # Signatures are not looked at: whose key would count is not ours to say.
    output = read_with(["rpmkeys", "--checksig", "--nosignature", "/dev/stdin"], path)
    if output.code != 0:
        reason = output.reason or "its digests do not match"
        raise InputError(f"{path} is damaged or cut short: {reason}")
    argv = ["rpm", "--query", "--package", "--nosignature", "--nodigest", "--nomanifest"]
    output = read_with([*argv, "--queryformat", _QUERY, "/dev/stdin"], path)
    lines = output.stdout.splitlines()
    if output.code != 0 or len(lines) < 4:
        raise InputError(f"{path} is not a complete RPM package: {output.reason}")
    source, name, version, architecture, *relations = lines
    if source != "(none)":
        raise InputError(f"{path} is a source package; give the packages built from it")
    check_architecture(path, architecture, _ARCHITECTURES, "noarch")
    requires, provides = _relations(relations)
    needs = tuple(
        Need((capability,), exactly, f"{_package(capability)} ({exactly or 'any version'})")
        for capability, exactly in requires
        if _KERNEL_PART.fullmatch(capability)
    )
    kernel_parts = tuple(pair for pair in provides if _KERNEL_PART.fullmatch(pair[0]))
    return Package(path, name, version, architecture, sha256, needs, kernel_parts)


def _relations(lines: list[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Capabilities required and provided, with the exact version of each or ""."""
    found: dict[str, list[tuple[str, str]]] = {"requires": [], "provides": []}
    for line in lines:
        kind, *fields = line.split("\t")
        if kind in found and len(fields) == 3:
            name, operator, version = fields
            found[kind].append((name, version if operator.strip() == "=" else ""))
    return found["requires"], found["provides"]


def _package(capability: str) -> str:
    """The package that provides ``kernel-...-uname-r``: the image's is a ``-core``."""
    name = capability.removesuffix("-uname-r")
    return name if "modules" in name or name.endswith("-core") else f"{name}-core"


def _modules_package(image: str, _: str) -> str | None:
    stem = image.removesuffix("-core")
    return f"{stem}-modules-core" if stem != image else None


FORMAT = PackageFormat(
    title="RPM package",
    suffixes=(".rpm",),
    read=_read,
    payload=lambda _: ["rpm2archive", "--nocompression", "-"],
    image_package=lambda release: f"the kernel-core or kernel-default of {release}",
    modules_package=_modules_package,
)
