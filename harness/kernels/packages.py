"""Packages of several distributions that together make up one kernel."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.kernels import arch, deb, rpm
from harness.kernels.bzimage import read_release
from harness.kernels.ikconfig import embedded_config
from harness.kernels.package import Package, PackageFormat, unpack_payload
from harness.kernels.parts import KernelParts, check_modules, from_tree, module_path

FORMATS = (deb.FORMAT, rpm.FORMAT, arch.FORMAT)
#: Every suffix by which a package is recognised.
SUFFIXES = tuple(suffix for kind in FORMATS for suffix in kind.suffixes)
_IMAGE = re.compile(r"boot/vmlinuz-[^/]+|lib/modules/[^/]+/vmlinuz")
_MODULE = re.compile(r"lib/modules/([^/]+)/kernel/.+")
#: Packages that hold no part of a kernel and yet belong to one, such as meta packages.
_KERNELS_OWN = re.compile(r"(?:linux|kernel)(?:-|$)")


def format_of(name: str) -> PackageFormat | None:
    """The format of a package with this file name; None if it is not that of a package."""
    return next((kind for kind in FORMATS if name.endswith(kind.suffixes)), None)


def _format(path: Path) -> PackageFormat:
    kind = format_of(path.name)
    if kind is None:
        raise InputError(f"{path} is no package ({', '.join(SUFFIXES)})")
    return kind


def read_package(path: Path) -> Package:
    """What the package at ``path`` says of itself, and its checksum.

    Raises InputError if it is no complete package, or made for another architecture;
    HostError if the program that reads it is not installed.
    """
    package = _format(path).read(path)
    if not package.name or not f"{package.name}{package.version}".isprintable():
        raise InputError(f"{path} gives no sensible name and version of itself")
    return package


def unpack(package: Package, target: Path) -> list[str]:
    """Unpack what a guest can need of ``package`` below ``target``, ``usr/`` taken off.

    Returns the paths of the files written, relative to ``target``. Raises InputError if the
    package is cut short or damaged, HostError as ``read_package`` does, OSError.
    """
    kind = _format(package.path)
    try:
        return unpack_payload(package.path, kind.payload(package.path), target)
    except EOFError as error:
        raise InputError(f"{package.path} is not a complete {kind.title}: {error}") from error


def check_complete(packages: Sequence[Package]) -> None:
    """Raise InputError if a package needs a part of its kernel that is not among them,

    or if one is among them twice.
    """
    seen: dict[str, Package] = {}
    for package in packages:
        if package.name in seen:
            raise InputError(
                f"{package.path}: {package.name} is given twice"
                f" ({seen[package.name].path} is {package.name} {seen[package.name].version})"
            )
        seen[package.name] = package
    for package in packages:
        _check_needs(package, packages)


def _check_needs(package: Package, packages: Sequence[Package]) -> None:
    for need in package.needs:
        found = [
            (other, version)
            for other in packages
            for name, version in ((other.name, other.version), *other.provides)
            if name in need.names
        ]
        if not found:
            raise InputError(f"{package.path}: {need.label} is needed as well; add its package")
        if need.version and all(version != need.version for _, version in found):
            other, version = found[0]
            raise InputError(
                f"{package.path} needs {other.name} {need.version}, not {version} ({other.path})"
            )


def assemble(
    packages: Sequence[Package], place: Path, report: Callable[[str], None]
) -> KernelParts:
    """Unpack ``packages`` into the empty directory ``place`` and find the kernel in it.

    A config that is in no file is read out of the image, or written to ``place`` from the
    module that has it. Raises InputError if they do not make up one whole kernel.
    """
    names = ", ".join(str(package.path) for package in packages)
    images: dict[str, Package] = {}
    modules: dict[str, Package] = {}
    for package in packages:
        report(f"unpacking {package.name}")
        written = unpack(package, place)
        if not written and not _KERNELS_OWN.match(package.name):
            raise InputError(f"{package.path}: {package.name} holds no part of a kernel")
        for name in written:
            if _IMAGE.fullmatch(name):
                with errors_naming(place, [package]):
                    images.setdefault(read_release(place / name), package)
            elif (match := _MODULE.fullmatch(name)) and module_path(name):
                modules.setdefault(match.group(1), package)
    if not images:
        raise InputError(_no_image(names, packages, modules))
    (release, image), *others = images.items()
    for other, package in [*others, *modules.items()]:
        if other != release:
            what = "modules" if (other, package) not in others else "image"
            raise InputError(
                f"{package.path} holds the {what} of {other}, {image.path} the image of"
                f" {release}; give the packages of one kernel"
            )
    with errors_naming(place, packages):
        parts = from_tree(place, names)
        if parts.config is None:
            parts = replace(parts, config=_write_config(parts, place))
    if not parts.modules:
        _require_modules(parts, image, names)
    return parts


def _no_image(names: str, packages: Sequence[Package], modules: dict[str, Package]) -> str:
    if not modules:
        return f"{names}: no kernel in it"
    release, package = next(iter(modules.items()))
    wanted = _format(package.path).image_package(release)
    return f"{names}: no kernel in it, only modules of {release}; add {wanted}"


def _require_modules(parts: KernelParts, image: Package, names: str) -> None:
    try:
        check_modules(parts, names)
    except InputError as error:
        wanted = _format(image.path).modules_package(image.name, parts.release)
        if wanted is None:
            what = f"the modules of {parts.release} are missing in it"
        else:
            what = f"{wanted} is needed as well; add its package"
        raise InputError(f"{names}: {what}") from error


def _write_config(parts: KernelParts, place: Path) -> Path | None:
    config = embedded_config(parts)
    if config is None:
        return None
    path = place / "config"
    path.write_bytes(config)
    return path


@contextlib.contextmanager
def errors_naming(place: Path, packages: Sequence[Package]) -> Iterator[None]:
    """Let input errors about files unpacked to ``place`` name their packages instead."""
    try:
        yield
    except InputError as error:
        names = ", ".join(str(package.path) for package in packages)
        raise InputError(str(error).replace(f"{place}/", f"{names}: ")) from error
