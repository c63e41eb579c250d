"""The cache of bootable kernels: complete directories under a key, or nothing."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout

from harness import inuse
from harness.errors import InfrastructureError
from harness.files import cache_errors_named, write_whole
from harness.kernels.spec import origin
from harness.locks import held_if_free, wait_for
from harness.model import BootableKernel, PackageFile

#: Part of every key: directories of another layout are never taken for ours.
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What is recorded of a prepared kernel beside its files."""

    release: str
    packages: tuple[PackageFile, ...] = ()
    notes: tuple[str, ...] = ()


class KernelStore:
    """Prepared kernels below a cache directory, safe among threads and processes."""

    def __init__(self, cache: Path) -> None:
        """``cache`` is the cache root; it is created when something is stored."""
        self._cache = cache
        self._kernels = cache / "kernels"

    def load(self, key: str, spec: str) -> BootableKernel | None:
        """The kernel stored under ``key``, named ``spec``; None if there is none.

        It is in use from now until this process ends: nobody prunes it.
        """
        place = self._kernels / key
        if not inuse.hold(place):
            return None
        try:
            data = json.loads((place / "kernel.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        release = data["release"]
        image = place / "modules.ext4"
        config = place / "config"
        symbols = place / "symbols"
        return BootableKernel(
            spec=spec,
            release=release,
            image=place / "boot/boot" / f"vmlinuz-{release}",
            modules_image=image if image.exists() else None,
            modules_tree=place / "full/lib/modules" / release if image.exists() else None,
            config=config if config.exists() else None,
            packages=tuple(PackageFile(**package) for package in data["packages"]),
            notes=tuple(data["notes"]),
            symbols=symbols if symbols.exists() else None,
            key=key,
        )

    def create(
        self, key: str, spec: str, fill: Callable[[Path], Manifest], waiting: Callable[[], None]
    ) -> BootableKernel:
        """The kernel stored under ``key``, made by ``fill`` in an empty directory if need be.

        ``waiting`` is called if another process is making it. What ``fill`` raises passes
        through, and leaves nothing behind.
        """
        # What is there is whole, so a cache that can only be read serves as well.
        kernel = self.load(key, spec)
        if kernel is not None:
            return kernel
        with self.lock(key, waiting), cache_errors_named(self._cache):
            kernel = self.load(key, spec)
            if kernel is not None:
                return kernel
            for stale in self._kernels.glob(f".{key}.*"):
                shutil.rmtree(stale, ignore_errors=True)
            unfinished = self._kernels / f".{key}.{secrets.token_hex(4)}"
            unfinished.mkdir(parents=True)
            try:
                content = asdict(fill(unfinished)) | {"origin": origin(spec)}
                (unfinished / "kernel.json").write_text(json.dumps(content, indent=1))
                unfinished.rename(self._kernels / key)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
            kernel = self.load(key, spec)
        if kernel is None:
            raise InfrastructureError(f"{self._kernels / key} vanished while it was made")
        return kernel

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the lock ``name`` among all users of this cache; call ``waiting`` if held."""
        path = self._lock_file(name)
        lock = FileLock(path)
        with cache_errors_named(self._cache):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                wait_for(lock)
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Hold the lock ``name`` if nobody else does; whether that is so.

        Its file is deleted afterwards: a lock of FileLock's is void once its file is gone,
        and whoever waits for it then takes that of a new file.
        """
        path = self._lock_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with held_if_free(path) as free:
            try:
                yield free
            finally:
                if free:
                    path.unlink(missing_ok=True)

    def lock_names(self) -> tuple[str, ...]:
        """The names of all locks that have a file."""
        return tuple(unquote(path.stem) for path in (self._cache / "locks").glob("*.lock"))

    def _lock_file(self, name: str) -> Path:
        return self._cache / "locks" / f"{quote(name, safe='+~')}.lock"

    def remember(self, release: str, version: str, key: str) -> None:
        """Record that ``release`` of the archive, package version ``version``, is ``key``."""
        path = self._release_file(release)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"version": version, "key": key}))

    def recall(self, release: str, spec: str, version: str | None = None) -> BootableKernel | None:
        """The stored kernel of an archive's release; None if there is none (of ``version``)."""
        try:
            entry = json.loads(self._release_file(release).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        if version is not None and entry["version"] != version:
            return None
        return self.load(entry["key"], spec)

    def _release_file(self, release: str) -> Path:
        return self._cache / "kernels/releases" / f"{release}.{FORMAT}.json"
