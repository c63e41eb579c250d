"""Makes packages with the tools that distributions make theirs with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import find_program


@dataclass(frozen=True)
class Part:
    """One package: its name, what is in it, what it asks for and offers."""

    name: str
    #: Path in the package (no / before it) -> its content, or a file to take it from.
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()


def _fill(root: Path, files: Mapping[str, bytes | Path]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)


def _run(argv: list[str | Path], place: Path, **environment: str) -> None:
    find_program(str(argv[0]))
    result = subprocess.run(
        argv,
        cwd=place,
        env={**os.environ, "HOME": str(place), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{argv[0]} failed: {result.stdout}"


def build_deb(
    place: Path,
    part: Part,
    *,
    version: str = "6.8.0-45.45",
    architecture: str = "amd64",
    compression: str = "zstd",
) -> Path:
    """A Debian package, by dpkg-deb, in the directory ``place``."""
    root = place / f"deb-{part.name}"
    _fill(root, part.files)
    (root / "DEBIAN").mkdir(parents=True)
    lines = [f"Package: {part.name}", f"Version: {version}", f"Architecture: {architecture}"]
    lines += ["Maintainer: nobody <nobody@localhost>", "Description: part of a kernel"]
    lines += [f"Depends: {', '.join(part.requires)}"] if part.requires else []
    (root / "DEBIAN/control").write_text("\n".join(lines) + "\n")
    path = place / f"{part.name}_{version}_{architecture}.deb"
    _run(["dpkg-deb", "--root-owner-group", f"-Z{compression}", "-z1", "-b", root, path], place)
    return path


def build_rpms(
    place: Path,
    *parts: Part,
    version: str = "6.11.4",
    revision: str = "301.fc41",
    architecture: str = "x86_64",
    payload: str = "w1.zstdio",
    source: bool = False,
) -> list[Path]:
    """RPM packages, by rpmbuild, of one source in the new directory ``place``.

    ``payload`` is as rpm's macro ``_binary_payload`` has it. ``source``: the source package
    instead.
    """
    tree = place / "tree"
    tree.mkdir(parents=True)
    first, *others = parts
    spec = [f"Name: {first.name}", f"Version: {version}", f"Release: {revision}"]
    spec += ["License: GPL-2.0-only", *_rpm_preamble(first), "%description", "Part of a kernel."]
    for part in others:
        spec += [f"%package -n {part.name}", *_rpm_preamble(part)]
        spec += [f"%description -n {part.name}", "Part of a kernel."]
    spec += ["%install", f"mkdir -p %{{buildroot}}; cp -r {tree}/. %{{buildroot}}"]
    for part in parts:
        _fill(tree, part.files)
        spec += [f"%files -n {part.name}", *(f'"/{name}"' for name in part.files)]
    (place / "kernel.spec").write_text("\n".join(spec) + "\n")
    macros = {
        "_topdir": place / "top",
        "_dbpath": place / "db",
        "_tmppath": place,
        "_binary_payload": payload,
        # Files go into the packages as they are.
        "__os_install_post": "%{nil}",
        "_build_id_links": "none",
        "_binaries_in_noarch_packages_terminate_build": "0",
    }
    argv: list[str | Path] = ["rpmbuild", "-bs" if source else "-bb", "--quiet"]
    argv += ["--target", architecture, place / "kernel.spec"]
    for name, value in macros.items():
        argv += ["--define", f"{name} {value}"]
    _run(argv, place)
    kind = "src" if source else architecture
    folder = place / "top" / ("SRPMS" if source else f"RPMS/{architecture}")
    built = parts[:1] if source else parts
    return [folder / f"{part.name}-{version}-{revision}.{kind}.rpm" for part in built]


def _rpm_preamble(part: Part) -> list[str]:
    return [
        "Summary: Part of a kernel",
        "AutoReqProv: no",
        *(f"Requires: {item}" for item in part.requires),
        *(f"Provides: {item}" for item in part.provides),
    ]


_PKGBUILD = """\
pkgname={name}
pkgver={version}
pkgrel=1
pkgdesc="a kernel"
arch=({architecture})
license=(GPL-2.0-only)
options=(!strip !debug)
package() {{ cp -r "$startdir/tree/." "$pkgdir/"; }}
"""


def build_pacman(
    place: Path,
    part: Part,
    *,
    version: str = "6.11.4.arch1",
    architecture: str = "x86_64",
    suffix: str = ".pkg.tar.zst",
) -> Path:
    """An Arch Linux package, by makepkg, in the new directory ``place``."""
    (place / "tree").mkdir(parents=True)
    _fill(place / "tree", part.files)
    (place / "PKGBUILD").write_text(
        _PKGBUILD.format(name=part.name, version=version, architecture=architecture)
    )
    configuration = Path("/etc/makepkg.conf").read_text()
    (place / "makepkg.conf").write_text(
        f"{configuration}\nCARCH={architecture}\nCOMPRESSZST=(zstd -c -1 -q -)\n"
    )
    # It will not run as root; in a user namespace of its own root has another number.
    argv: list[str | Path] = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    argv += ["makepkg", "--config", place / "makepkg.conf", "--nodeps", "--skipinteg"]
    find_program("makepkg")
    # There is no pacman to ask for dependencies.
    _run(argv, place, PACMAN="true", PKGEXT=suffix)
    return place / f"{part.name}-{version}-1-{architecture}{suffix}"
