"""Finds the parts of a kernel (image, modules, config) in the places where they lie."""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.kernels.image.bzimage import read_release
from harness.kernels.image.config import read_config
from harness.kernels.image.ikconfig import config_in, config_in_image
from harness.kernels.parts.build_tree import built_image, is_build_tree
from harness.processes import finish_bytes

_MODULE = re.compile(r"(.*\.ko)(?:\.(xz|gz|zst))?")
_CONFIG_MODULE = "kernel/kernel/configs.ko"
#: What a kernel without loadable modules must have built in to be booted from a disk image.
_NEEDED_BUILTIN = ("EXT4_FS", "VIRTIO_BLK", "VIRTIO_PCI")


@dataclass(frozen=True)
class KernelParts:
    """Where the parts of one kernel lie."""

    release: str
    image: Path
    config: Path | None = None
    #: Path below ``lib/modules/<release>`` without compression suffix -> file.
    modules: dict[str, Path] = field(default_factory=dict)
    #: ``modules.builtin`` and the like, by name.
    lists: dict[str, Path] = field(default_factory=dict)
    #: The tree or O= directory that the kernel was built in, where it still lies there.
    build: Path | None = None


def module_path(path: str) -> str | None:
    """``path`` without its compression suffix; None if it does not name a module."""
    match = _MODULE.fullmatch(path)
    return match.group(1) if match else None


def read_module(path: Path) -> bytes:
    """The content of a module file, decompressed.

    Raises InputError if it is damaged, HostError if zstd is needed and not installed.
    """
    try:
        match path.suffix:
            case ".xz":
                return lzma.decompress(path.read_bytes())
            case ".gz":
                return gzip.decompress(path.read_bytes())
            case ".zst":
                return _unzstd(path)
            case _:
                return path.read_bytes()
    except (lzma.LZMAError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path}: the module cannot be read: {error}") from error


def _unzstd(path: Path) -> bytes:
    result = finish_bytes(["zstd", "-dcq", path])
    if result.returncode != 0:
        reason = result.stderr.decode(errors="replace").strip()
        raise InputError(f"{path}: the module cannot be read: {reason}")
    return result.stdout


def from_tree(root: Path, named: str) -> KernelParts:
    """The one kernel of an unpacked package tree at ``root``.

    ``named`` is what errors call it. Raises InputError if there is no kernel or several.
    """
    candidates = [
        *root.glob("boot/vmlinuz-*"),
        *root.glob("lib/modules/*/vmlinuz"),
        *root.glob("usr/lib/modules/*/vmlinuz"),
    ]
    images: dict[str, Path] = {}
    for image in sorted(candidates):
        if image.is_file():
            images.setdefault(read_release(image), image)
    if not images:
        raise InputError(
            f"{named}: no kernel in it (boot/vmlinuz-RELEASE, lib/modules/RELEASE/vmlinuz)"
        )
    if len(images) > 1:
        raise InputError(f"{named}: several kernels in it ({', '.join(images)}); name one image")
    (release, image), *_ = images.items()
    roots = (root / "lib/modules" / release, root / "usr/lib/modules" / release)
    configs = (root / "boot" / f"config-{release}", *(tree / "config" for tree in roots))
    return _collect(release, image, configs, roots)


def from_directory(path: Path) -> KernelParts:
    """The kernel in a directory: a tree it was built in, or an unpacked package tree.

    Raises InputError if there is none, or several.
    """
    if is_build_tree(path):
        return from_build(path)
    parts = from_tree(path, str(path))
    check_modules(parts, str(path))
    return parts


def from_build(tree: Path) -> KernelParts:
    """The kernel built in the kernel tree ``tree``. Raises InputError if it is not built."""
    image = built_image(tree)
    modules = {}
    order = tree / "modules.order"
    for line in order.read_text().split() if order.is_file() else ():
        # Up to 6.1 entries read kernel/crypto/x.ko, later ones crypto/x.o.
        built = line.removeprefix("kernel/").removesuffix(".ko").removesuffix(".o") + ".ko"
        if (tree / built).is_file():
            modules[f"kernel/{built}"] = tree / built
    lists = {
        name: tree / name
        for name in ("modules.builtin", "modules.builtin.modinfo")
        if (tree / name).is_file()
    }
    config = _first((tree / ".config",))
    parts = KernelParts(read_release(image), image, config, modules, lists, tree)
    check_modules(parts, str(tree))
    return parts


def from_image(image: Path, root: Path = Path("/")) -> KernelParts:
    """The kernel whose bzImage is ``image``; modules and config beside it or below ``root``.

    Raises InputError if the file is no bzImage, or if modules that it needs are not found.
    """
    release = read_release(image)
    place = image.resolve().parent
    if place.parts[-3:] == ("arch", "x86", "boot") and (place / "../../../.config").is_file():
        return from_build(place.parent.parent.parent)
    roots = [
        place.parent / "lib/modules" / release,
        place.parent / "usr/lib/modules" / release,
        place / "lib/modules" / release,
        root / "lib/modules" / release,
        root / "usr/lib/modules" / release,
    ]
    configs = [
        place / f"config-{release}",
        *(tree / "config" for tree in roots),
        root / "boot" / f"config-{release}",
    ]
    if place.name == release:
        roots.insert(0, place)
        configs.insert(0, place / "config")
    parts = _collect(release, image, configs, roots)
    check_modules(parts, str(image))
    return parts


def check_modules(parts: KernelParts, named: str) -> None:
    """Raise InputError if a kernel without modules cannot do without, or may not."""
    if parts.modules:
        return
    if parts.config is None:
        raise InputError(
            f"{named}: neither modules nor a config found for {parts.release};"
            f" put lib/modules/{parts.release} or config-{parts.release} beside it"
        )
    options = read_config(parts.config)
    missing = [name for name in _NEEDED_BUILTIN if options.get(name) != "y"]
    crypto = sorted(
        name
        for name, value in options.items()
        if value == "m" and name.startswith("CRYPTO_USER_API")
    )
    if missing or crypto:
        why = ", ".join(f"CONFIG_{name} is not built in" for name in missing)
        why = why or f"CONFIG_{crypto[0]}=m"
        raise InputError(f"{named}: the modules of {parts.release} are missing ({why})")


def embedded_config(parts: KernelParts) -> bytes | None:
    """The config in the module ``configs`` or the image of a kernel; None if in neither.

    Raises InputError (a damaged module), HostError (a program that unpacks it is missing).
    """
    if _CONFIG_MODULE in parts.modules:
        return config_in(read_module(parts.modules[_CONFIG_MODULE]))
    return config_in_image(parts.image)


def _first(paths: tuple[Path, ...] | list[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _collect(
    release: str,
    image: Path,
    configs: tuple[Path, ...] | list[Path],
    roots: list[Path] | tuple[Path, ...],
) -> KernelParts:
    modules: dict[str, Path] = {}
    lists: dict[str, Path] = {}
    for root in roots:
        for path in sorted((root / "kernel").rglob("*.ko*")):
            name = module_path(path.relative_to(root).as_posix())
            if name is not None and path.is_file():
                modules.setdefault(name, path)
        for path in root.glob("modules.*"):
            if path.name == "modules.order" or path.name.startswith("modules.builtin"):
                lists.setdefault(path.name, path)
    lists.pop("modules.builtin.bin", None)
    lists.pop("modules.builtin.alias.bin", None)
    return KernelParts(release, image, _first(configs), modules, lists)
