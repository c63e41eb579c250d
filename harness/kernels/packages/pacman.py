"""Reads Arch Linux packages: a compressed tar archive with a ``.PKGINFO`` in it (PKGINFO(5)).

A kernel is one package (``linux``, ``linux-lts``, ...), with neither a config file nor
anything of it elsewhere.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from harness.errors import InputError
from harness.kernels.packages.package import (
    Package,
    PackageFormat,
    check_architecture,
    checksum,
    payload_of,
)

_ARCHITECTURES = {"x86_64": "x86_64"}
#: Suffix -> the program that decompresses it, and the first bytes it must have.
_COMPRESSIONS = {
    ".zst": ("zstd", b"\x28\xb5\x2f\xfd"),
    ".xz": ("xz", b"\xfd7zXZ\0"),
    ".gz": ("gzip", b"\x1f\x8b"),
}
#: Far above any .PKGINFO there is, in bytes.
_MOST_INFO = 1 << 20


def _payload(path: Path) -> list[str]:
    return [_COMPRESSIONS[path.suffix][0], "-dcq"]


def _read(path: Path) -> Package:
    """What the ``.PKGINFO`` says, and the checksum, of the package at ``path``."""
    sha256 = checksum(path)
    with path.open("rb") as file:
        magic = _COMPRESSIONS[path.suffix][1]
        if file.read(len(magic)) != magic:
            raise InputError(f"{path} is not an Arch Linux package: not {path.suffix[1:]} data")
    text: bytes | None = None
    try:
        with payload_of(path, _payload(path)) as archive:
            text = _info(archive)
    except EOFError as error:
        raise InputError(f"{path} is not a complete Arch Linux package: {error}") from error
    if text is None:
        raise InputError(f"{path} is not an Arch Linux package: no .PKGINFO in it")
    pairs = (line.partition("=") for line in text.decode(errors="replace").splitlines())
    info = {key.strip(): value.strip() for key, _, value in pairs}
    check_architecture(path, info.get("arch", ""), _ARCHITECTURES, "any")
    return Package(
        path, info.get("pkgname", ""), info.get("pkgver", ""), info.get("arch", ""), sha256
    )


def _info(archive: tarfile.TarFile) -> bytes | None:
    for member in archive:
        if member.name == ".PKGINFO" and member.isfile() and member.size <= _MOST_INFO:
            file = archive.extractfile(member)
            return file.read() if file is not None else None
    return None


FORMAT = PackageFormat(
    title="Arch Linux package",
    suffixes=tuple(f".pkg.tar{suffix}" for suffix in _COMPRESSIONS),
    read=_read,
    payload=_payload,
    image_package=lambda release: f"the linux package of {release}",
    modules_package=lambda _image, _release: None,
)
