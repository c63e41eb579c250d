"""Packages that together make up one kernel."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.kernels.image.bzimage import read_release
from harness.kernels.packages.formats import format_of_package, unpack
from harness.kernels.packages.package import Package
from harness.kernels.parts.kernel_parts import (
    KernelParts,
    check_modules,
    embedded_config,
    from_tree,
    module_path,
)

_IMAGE = re.compile(r"boot/vmlinuz-[^/]+|lib/modules/[^/]+/vmlinuz")
_MODULE = re.compile(r"lib/modules/([^/]+)/kernel/.+")
#: Packages that hold no part of a kernel and yet belong to one, such as meta packages.
_KERNELS_OWN = re.compile(r"(?:linux|kernel)(?:-|$)")


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
    wanted = format_of_package(package.path).image_package(release)
    return f"{names}: no kernel in it, only modules of {release}; add {wanted}"


def _require_modules(parts: KernelParts, image: Package, names: str) -> None:
    try:
        check_modules(parts, names)
    except InputError as error:
        wanted = format_of_package(image.path).modules_package(image.name, parts.release)
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
