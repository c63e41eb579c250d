"""Kernel specs: the strings by which a person names a kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.kernels.archive.suites import FLAVOURS, SUITES
from harness.kernels.packages.formats import SUFFIXES, format_of

_RELEASE = re.compile(r"[0-9][0-9A-Za-z.+~]*(-[0-9A-Za-z.+~]+)*")


@dataclass(frozen=True)
class ImageSpec:
    """A bzImage on this machine."""

    path: Path


@dataclass(frozen=True)
class DirectorySpec:
    """A directory holding a kernel: an unpacked package tree, or a tree it was built in."""

    path: Path


@dataclass(frozen=True)
class PackagesSpec:
    """Packages of one format on this machine that together make up one kernel."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class ReleaseSpec:
    """One release in Debian's archive, in whatever suite it is."""

    release: str


@dataclass(frozen=True)
class SuiteSpec:
    """The newest kernel of a flavour (``amd64``, ``cloud-amd64``, ``rt-amd64``) in a suite."""

    suite: str
    flavour: str = "amd64"


@dataclass(frozen=True)
class GitSpec:
    """A revision of a git tree of the kernel, to be built."""

    tree: Path
    revision: str = "HEAD"  # whatever git rev-parse takes for a commit


@dataclass(frozen=True)
class HostSpec:
    """The kernel that this machine runs."""


KernelSpec = ImageSpec | DirectorySpec | PackagesSpec | ReleaseSpec | SuiteSpec | GitSpec | HostSpec


def parse_spec(text: str) -> KernelSpec:
    """The kernel that ``text`` names.

    Paths must exist; whether there is a kernel in them, or in the archive, is found out
    when the spec is resolved. Raises InputError saying what is wrong with the text.
    """
    if not text or text != text.strip() or "\0" in text:
        raise InputError(f"{text!r} is no kernel spec: give a path, packages or debian:RELEASE")
    if text.startswith("debian:"):
        return _parse_debian(text.removeprefix("debian:"))
    if text == "host":
        return HostSpec()
    if text.startswith("git:"):
        return _parse_git(text.removeprefix("git:"))
    items = text.split(",")
    if any(format_of(item) for item in items) and not Path(text).expanduser().is_dir():
        return _parse_packages(text, items)
    path = Path(text).expanduser()
    if path.is_dir():
        return DirectorySpec(path)
    if path.is_file():
        return ImageSpec(path)
    if path.exists():
        raise InputError(f"{text} is neither a file nor a directory")
    raise InputError(
        f"{text}: no such file or directory (a kernel is named by a path, by packages"
        " A.deb,B.deb or A.rpm or A.pkg.tar.zst, or by debian:RELEASE or debian:SUITE)"
    )


def _parse_packages(text: str, items: list[str]) -> PackagesSpec:
    first = next(item for item in items if format_of(item))
    kind = format_of(first)
    others = [item for item in items if format_of(item) != kind]
    if others:
        suffix = next(suffix for suffix in SUFFIXES if first.endswith(suffix))
        raise InputError(
            f"{text}: {others[0]!r} is no {suffix}, and packages are not mixed with others"
        )
    paths = tuple(Path(item).expanduser() for item in items)
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    return PackagesSpec(paths)


def _parse_git(name: str) -> GitSpec:
    """``TREE@REV``; the tree's name may hold an @ as well, and the revision, too."""
    if not name:
        raise InputError("git: names no tree; give git:TREE@REV")
    places = [place.start() for place in re.finditer("@", name)]
    for end in [*places, len(name)]:
        tree = Path(name[:end]).expanduser()
        if name[:end] and tree.is_dir():
            if end < len(name) and not name[end + 1 :]:
                raise InputError(f"git:{name}: no revision after the @")
            return GitSpec(tree, name[end + 1 :] or "HEAD")
    raise InputError(f"git:{name}: {name.partition('@')[0] or name!r} is no directory")


def _parse_debian(name: str) -> ReleaseSpec | SuiteSpec:
    if name[:1].isdigit():
        if not _RELEASE.fullmatch(name):
            raise InputError(f"debian:{name}: {name!r} cannot be a kernel release")
        if not name.endswith("-amd64"):
            raise InputError(
                f"debian:{name}: a release names its flavour too, for example"
                f" debian:{name}-amd64 or debian:{name}-cloud-amd64"
            )
        return ReleaseSpec(name)
    suite, slash, flavour = name.partition("/")
    if suite not in SUITES:
        raise InputError(f"debian:{name}: no suite {suite!r}; there are {', '.join(SUITES)}")
    if slash and flavour not in FLAVOURS:
        raise InputError(f"debian:{name}: no flavour {flavour!r}; there are amd64, cloud and rt")
    return SuiteSpec(suite, FLAVOURS[flavour] if slash else "amd64")


def origin(text: str) -> str:
    """The spec ``text`` as it can be read from any directory: its paths made absolute."""
    items = [text] if Path(text).expanduser().exists() else text.split(",")
    paths = [Path(item).expanduser() for item in items]
    return ",".join(
        str(path.absolute()) if path.exists() else item
        for item, path in zip(items, paths, strict=True)
    )
