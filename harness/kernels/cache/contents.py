"""What the cache holds, and how it is pruned without taking anything from another process.

Kernels, guest images, builds and package indexes are directories that their users hold
(``inuse.py``) and that are made under a lock. Leftovers are what a killed process left
unfinished; the lock under which each was made tells whether somebody is still at it.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from harness import inuse
from harness.files import cache_errors_named
from harness.kernels.cache.kernel_store import FORMAT, KernelStore
from harness.locks import held_if_free

_PACKAGE = re.compile(r"\.?linux-(?:image|binary|modules|base)-([0-9][^_]*?)(?:_.*\.deb|\.part)")
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}")


class Kind(StrEnum):
    """What an entry of the cache is."""

    KERNEL = "kernel"
    IMAGE = "guest image"
    BUILD = "build"  # checkout and objects of a git tree
    LOG = "build log"
    INDEX = "package index"
    PACKAGE = "package"  # kept by a preparation that failed, for the next attempt
    UNFINISHED = "unfinished"  # being made, or left by a process that was killed


#: Those that nothing can be done with but to delete them.
_WASTE = (Kind.PACKAGE, Kind.UNFINISHED)


@dataclass(frozen=True)
class Entry:
    """One thing in the cache."""

    kind: Kind
    name: str  # a kernel's key, otherwise a file's or directory's name
    path: Path
    size: int  # bytes on disk
    used: float  # Unix time of its last use
    in_use: bool  # by some process, now
    release: str = ""
    version: str = ""  # of its package, for a kernel of the archive
    origin: str = ""  # the spec from which a kernel was prepared, where that is known


def entries(cache: Path) -> tuple[Entry, ...]:
    """Everything in the cache directory ``cache``, kernels first, what was used last first."""
    store = KernelStore(cache)
    with cache_errors_named(cache):
        found = [
            *_kernels(cache),
            *(_directory(Kind.IMAGE, path) for path in _directories(cache / "images")),
            *_builds(cache / "builds"),
            *(_directory(Kind.INDEX, path) for path in _directories(cache / "apt")),
            *_waste(cache, store),
        ]
    order = list(Kind)
    return tuple(sorted(found, key=lambda entry: (order.index(entry.kind), -entry.used)))


def kernels_by_release(cache: Path) -> dict[str, Entry]:
    """The archive's kernels that the cache holds, by release."""
    return {
        entry.release: entry
        for entry in _kernels(cache, measure=False)
        if entry.origin == f"debian:{entry.release}"
    }


def kernels_by_use(cache: Path) -> list[Entry]:
    """All kernels that the cache holds, the archive's first, of each what was used last first."""
    found = _kernels(cache, measure=False)
    return sorted(found, key=lambda entry: (not entry.origin.startswith("debian:"), -entry.used))


def origin_of(image: Path) -> str:
    """The spec from which the kernel with this ``image`` in the cache was prepared, or ""."""
    place = image.parents[2]
    return next(
        (
            entry.origin
            for entry in _kernels(place.parents[1], measure=False)
            if entry.path == place
        ),
        "",
    )


def prune(
    cache: Path, wanted: Callable[[Entry], bool], dry_run: bool
) -> Iterator[tuple[Entry, bool]]:
    """Delete the entries ``wanted``, and all that killed processes left.

    Yields each with whether it is gone (or would be): what a process uses or is just making
    stays. Raises InfrastructureError if the cache cannot be written.
    """
    store = KernelStore(cache)
    with cache_errors_named(cache):
        for entry in entries(cache):
            if entry.kind in _WASTE or wanted(entry):
                yield entry, not entry.in_use if dry_run else _remove(entry, cache, store)
        if not dry_run:
            _forget(cache, store)
            for name in store.lock_names():
                with store.try_lock(name):
                    pass  # it leaves no file behind


def _remove(entry: Entry, cache: Path, store: KernelStore) -> bool:
    with _making(entry.kind, entry.path, cache, store) as idle:
        if not idle:
            return False
        if entry.kind not in (*_WASTE, Kind.LOG):
            return inuse.remove(entry.path)
        if entry.path.is_dir() and not entry.path.is_symlink():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink(missing_ok=True)
        return True


def _making(
    kind: Kind, path: Path, cache: Path, store: KernelStore
) -> AbstractContextManager[bool]:
    """The lock under which ``path`` is made, if nobody holds it; whether that is so."""
    package = _PACKAGE.fullmatch(path.name)
    unfinished = _UNFINISHED.fullmatch(path.name)
    if kind is Kind.KERNEL:
        return store.try_lock(path.name)
    if kind is Kind.BUILD:
        return store.try_lock(f"build-{path.name}")
    if kind is Kind.INDEX:
        return store.try_lock("apt")
    if kind is Kind.IMAGE:
        return _try_file_lock(path / "lock")
    if kind is Kind.UNFINISHED and path.parent.parent == cache / "images":
        return _try_file_lock(path.parent / "lock")
    if package:
        return store.try_lock(package.group(1))
    if unfinished:
        # Of a kernel under its key, of the record of a release under that.
        return store.try_lock(unfinished.group(1).removesuffix(f".{FORMAT}.json"))
    return contextlib.nullcontext(True)


@contextlib.contextmanager
def _try_file_lock(path: Path) -> Iterator[bool]:
    if not path.exists():
        yield True  # nobody is at it, and who comes now marks the directory first
        return
    with held_if_free(path) as free:
        yield free


def _forget(cache: Path, store: KernelStore) -> None:
    """Delete the records of releases whose kernel is gone."""
    for record in (cache / "kernels/releases").glob(f"[!.]*.{FORMAT}.json"):
        release = record.name.removesuffix(f".{FORMAT}.json")
        with store.try_lock(release) as idle:
            if idle and not (cache / "kernels" / _read(record).get("key", "")).is_dir():
                record.unlink(missing_ok=True)


def _kernels(cache: Path, *, measure: bool = True) -> Iterator[Entry]:
    from_archive = {}
    for record in (cache / "kernels/releases").glob(f"[!.]*.{FORMAT}.json"):
        data = _read(record)
        release = record.name.removesuffix(f".{FORMAT}.json")
        from_archive[data.get("key")] = (f"debian:{release}", data.get("version", ""))
    for place in _directories(cache / "kernels"):
        data = _read(place / "kernel.json")
        if not data:
            continue  # "releases", or another format's
        origin, version = from_archive.get(place.name, (data.get("origin", ""), ""))
        yield Entry(
            kind=Kind.KERNEL,
            name=place.name,
            path=place,
            size=size_on_disk(place) if measure else 0,
            used=_last_used(place),
            in_use=inuse.is_used(place) if measure else False,
            release=data["release"],
            version=version,
            origin=origin or _packages(data),
        )


def _packages(data: Mapping[str, object]) -> str:
    """Named in the place of a spec, which a kernel prepared by an earlier version lacks."""
    packages = data.get("packages")
    if not isinstance(packages, list) or not packages:
        return ""
    more = f" and {len(packages) - 1} more" if len(packages) > 1 else ""
    return f"package {packages[0]['name']} {packages[0]['version']}{more}"


def _directory(kind: Kind, path: Path) -> Entry:
    used = _last_used(path)
    return Entry(kind, path.name, path, size_on_disk(path), used, inuse.is_used(path))


def _builds(place: Path) -> Iterator[Entry]:
    """The builds of each git tree, and the logs, each named like the kernel that was built."""
    for path in _directories(place):
        if path.name != "logs":
            tree = path / "tree"
            entry = _directory(Kind.BUILD, path)
            yield replace(entry, origin=tree.read_text().strip() if tree.is_file() else "")
    for path in sorted((place / "logs").glob("*.log")):
        yield Entry(Kind.LOG, path.stem, path, size_on_disk(path), _changed(path), False)


def _waste(cache: Path, store: KernelStore) -> Iterator[Entry]:
    packages = cache / "packages"
    for path in sorted(packages.iterdir()) if packages.is_dir() else ():
        kind = Kind.UNFINISHED if path.name.startswith(".") else Kind.PACKAGE
        yield _leftover(kind, path, cache, store)
    places = [cache / name for name in ("kernels", "kernels/releases", "images", "builds", "apt")]
    for place in places:
        for path in sorted(place.glob(".*")):
            yield _leftover(Kind.UNFINISHED, path, cache, store)
    for path in sorted((cache / "images").glob("[!.]*/build-*")):
        yield _leftover(Kind.UNFINISHED, path, cache, store)


def _leftover(kind: Kind, path: Path, cache: Path, store: KernelStore) -> Entry:
    with _making(kind, path, cache, store) as idle:
        return Entry(kind, path.name, path, size_on_disk(path), _changed(path), not idle)


def _directories(place: Path) -> list[Path]:
    return sorted(path for path in place.glob("[!.]*") if path.is_dir())


def _read(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _last_used(place: Path) -> float:
    return inuse.last_used(place) or _changed(place)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def size_on_disk(path: Path) -> int:
    """Bytes that ``path`` and all below it take, what is linked twice counted once."""
    seen: dict[tuple[int, int], int] = {}
    for each in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):  # deleted meanwhile
            status = each.lstat()
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())
