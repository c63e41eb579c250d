"""A kernel tree, or its O= directory, in which somebody else has built a kernel."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InputError

BUILT_IMAGE = Path("arch/x86/boot/bzImage")
#: Images of other architectures, by the one that is built for.
_FOREIGN = ("arch/*/boot/Image*", "arch/*/boot/zImage", "arch/*/boot/uImage", "arch/*/boot/*.gz")
_SOURCES = (".c", ".h", ".S", ".rs", ".lds")
_NOT_SOURCES = frozenset({".git", "generated", "Documentation", "tools", "samples", "debian"})


def is_build_tree(path: Path) -> bool:
    """Whether ``path`` is a kernel tree or an O= directory, built or not."""
    return (
        (path / "Kbuild").is_file()
        or (path / BUILT_IMAGE).exists()
        or ((path / ".config").is_file() and (path / "Makefile").is_file())
    )


def built_image(tree: Path) -> Path:
    """The image built in ``tree``. Raises InputError if there is none for this machine."""
    image = tree / BUILT_IMAGE
    if image.is_file():
        return image
    for pattern in _FOREIGN:
        for other in tree.glob(pattern):
            built_for = other.relative_to(tree).parts[1]
            if built_for != "x86":
                raise InputError(f"{tree}: built for {built_for}, not for {platform.machine()}")
    raise InputError(
        f"{tree}: a kernel tree without {BUILT_IMAGE}; build it first, name the directory that"
        " it was built in (O=), or have it built: git:TREE@REV"
    )


def source_of(tree: Path) -> Path:
    """Where the source of what is built in ``tree`` lies: itself, or what O= was given to."""
    link = tree / "source"
    return link.resolve() if link.is_dir() and not (tree / "Kbuild").is_file() else tree


def staleness(tree: Path) -> tuple[str, ...]:
    """One note if the image in ``tree`` is older than its config or its sources, else none.

    Looks at times only, as make does, and at the first newer file, not at all.
    """
    built = (tree / BUILT_IMAGE).stat().st_mtime
    config = tree / ".config"
    if config.is_file() and config.stat().st_mtime > built:
        return (f"the image is older than {config}: what was configured since is not in it",)
    for path, changed in _source_files(source_of(tree)):
        if changed > built:
            return (f"the image is older than {path}: what was changed since is not in it",)
    return ()


def _source_files(directory: Path) -> Iterator[tuple[Path, float]]:
    # Somebody may be at work in it: what vanishes, or is closed to us, is passed over.
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _NOT_SOURCES:
                    yield from _source_files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and _is_source(entry.name):
                with contextlib.suppress(OSError):
                    yield Path(entry.path), entry.stat().st_mtime


def _is_source(name: str) -> bool:
    # What modpost writes for each module is newer than the image.
    return (
        name.endswith(_SOURCES) and not name.endswith(".mod.c") and not name.startswith(".")
    ) or name in ("Makefile", "Kbuild", "Kconfig")
