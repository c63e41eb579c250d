"""The formats of packages that are known, and reading a package of any of them."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InputError
from harness.kernels.packages import deb, pacman, rpm
from harness.kernels.packages.package import Package, PackageFormat, unpack_payload

FORMATS = (deb.FORMAT, rpm.FORMAT, pacman.FORMAT)
#: Every suffix by which a package is recognised.
SUFFIXES = tuple(suffix for kind in FORMATS for suffix in kind.suffixes)


def format_of(name: str) -> PackageFormat | None:
    """The format of a package with this file name; None if it is not that of a package."""
    return next((kind for kind in FORMATS if name.endswith(kind.suffixes)), None)


def format_of_package(path: Path) -> PackageFormat:
    """The format of the package at ``path``. Raises InputError if it is no package."""
    kind = format_of(path.name)
    if kind is None:
        raise InputError(f"{path} is no package ({', '.join(SUFFIXES)})")
    return kind


def read_package(path: Path) -> Package:
    """What the package at ``path`` says of itself, and its checksum.

    Raises InputError if it is no complete package, or made for another architecture;
    HostError if the program that reads it is not installed.
    """
    package = format_of_package(path).read(path)
    if not package.name or not f"{package.name}{package.version}".isprintable():
        raise InputError(f"{path} gives no sensible name and version of itself")
    return package


def unpack(package: Package, target: Path) -> list[str]:
    """Unpack what a guest can need of ``package`` below ``target``, ``usr/`` taken off.

    Returns the paths of the files written, relative to ``target``. Raises InputError if the
    package is cut short or damaged, HostError as ``read_package`` does, OSError.
    """
    kind = format_of_package(package.path)
    try:
        return unpack_payload(package.path, kind.payload(package.path), target)
    except EOFError as error:
        raise InputError(f"{package.path} is not a complete {kind.title}: {error}") from error
