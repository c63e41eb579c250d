"""Unpacks the Debian packages of one kernel, as far as a guest can need them."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import platform
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from debian.arfile import ArError
from debian.debfile import DebFile

from harness.errors import HostError, InputError
from harness.model import PackageFile

_ARCHITECTURES = {"x86_64": "amd64"}
#: Members worth unpacking. Most modules drive hardware that no guest of ours has.
_WANTED = re.compile(
    r"(?:usr/)?(?P<path>boot/(?:vmlinuz|config)-[^/]+"
    r"|lib/modules/[^/]+/(?:vmlinuz|config|modules\.[^/]+"
    r"|kernel/(?!drivers/|sound/).+"
    r"|kernel/drivers/(?:block|char|crypto|dax|md|virtio)/.+))"
)
_KERNEL_PART = re.compile(r"(linux-(?:binary|modules|base)-[0-9]\S*)(?:\s+\(=\s*([^)\s]+)\))?")


@dataclass(frozen=True)
class Package:
    """The control data of one .deb that matter here."""

    path: Path
    name: str
    version: str
    architecture: str
    depends: str
    sha256: str


_UNREADABLE = (ArError, tarfile.TarError, lzma.LZMAError, EOFError, zlib.error, ValueError)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[DebFile]:
    """The package at ``path``, open; anything wrong with it becomes an InputError."""
    try:
        with DebFile(str(path)) as deb:
            names = deb.getnames()
            # Decompressors need not notice that the very end is missing.
            if 8 + sum(60 + member.size for member in deb.getmembers()) > path.stat().st_size:
                raise EOFError("it is cut short")
            if any(name.endswith(".zst") for name in names) and shutil.which("unzstd") is None:
                raise HostError(f"{path} is compressed with zstd; apt-get install zstd")
            yield deb
    except _UNREADABLE as error:
        raise InputError(f"{path} is not a complete Debian package: {error}") from error
    except OSError as error:
        # python-debian reports bad ar headers so; errors of the system carry a number.
        if error.errno is not None:
            raise
        raise InputError(f"{path} is not a complete Debian package: {error}") from error


def host_architecture() -> str:
    """Debian's name of this machine's architecture. Raises HostError if it is not supported."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise HostError(f"this machine is {machine}; kernels are booted on x86_64 only")
    return _ARCHITECTURES[machine]


def read_package(path: Path) -> Package:
    """The control data and the checksum of the package at ``path``.

    Raises InputError if it is no complete package, or made for another architecture.
    """
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    with _opened(path) as deb:
        control = deb.debcontrol()
    package = Package(
        path,
        control.get("Package", ""),
        control.get("Version", ""),
        control.get("Architecture", ""),
        control.get("Depends", ""),
        sha256,
    )
    expected = host_architecture()
    if package.architecture not in (expected, "all"):
        raise InputError(
            f"{path} is for {package.architecture or 'no architecture'}; this machine is {expected}"
        )
    return package


def unpack(package: Package, target: Path) -> None:
    """Unpack what a guest can need of ``package`` below ``target``, ``usr/`` taken off.

    Raises InputError if the package is cut short or damaged.
    """
    with _opened(package.path) as deb, deb.data.tgz() as archive:
        for member in archive:
            _unpack_member(archive, member, target)


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    name = str(member.name).removeprefix("./")
    wanted = _WANTED.fullmatch(name)
    if not wanted or ".." in name.split("/") or not (member.isfile() or member.islnk()):
        return
    source = archive.extractfile(member)
    if source is None:
        return
    path = target / wanted.group("path")
    path.parent.mkdir(parents=True, exist_ok=True)
    with source, path.open("wb") as file:
        try:
            shutil.copyfileobj(source, file)
        except tarfile.ReadError as error:
            raise EOFError("unexpected end of data") from error


def check_complete(packages: Sequence[Package]) -> None:
    """Raise InputError if a package needs another part of its kernel that is not among them."""
    given = {package.name: package for package in packages}
    for package in packages:
        for name, version in _KERNEL_PART.findall(package.depends):
            if name not in given:
                raise InputError(f"{package.path}: {name} is needed as well; add its package")
            if version and given[name].version != version:
                raise InputError(
                    f"{package.path} needs {name} {version}, not {given[name].version}"
                    f" ({given[name].path})"
                )


def package_file(package: Package, trust: str) -> PackageFile:
    """``package`` as results name it."""
    return PackageFile(package.name, package.version, package.sha256, trust)
