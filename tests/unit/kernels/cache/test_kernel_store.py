"""The cache of bootable kernels: whole or absent, made once."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from harness.errors import InfrastructureError, InputError
from harness.kernels.cache.kernel_store import KernelStore, Manifest
from harness.model import BootableKernel, PackageFile

RELEASE = "7.3-amd64"


def _never() -> None:
    raise AssertionError("nobody else was here")


def _fill(target: Path) -> Manifest:
    (target / "boot/boot").mkdir(parents=True)
    (target / f"boot/boot/vmlinuz-{RELEASE}").touch()
    (target / "modules.ext4").touch()
    return Manifest(RELEASE, (PackageFile("a", "1", "00", "local"),), ("a note",))


def _unexpected(target: Path) -> Manifest:
    raise AssertionError("it is there already")


def _entries(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "kernels").iterdir())


def test_made_once_and_loaded(tmp_path: Path) -> None:
    store = KernelStore(tmp_path)
    assert store.load("key", "spec") is None
    made = store.create("key", "spec", _fill, _never)
    place = tmp_path / "kernels/key"
    assert made == BootableKernel(
        spec="spec",
        release=RELEASE,
        image=place / f"boot/boot/vmlinuz-{RELEASE}",
        modules_image=place / "modules.ext4",
        modules_tree=place / f"full/lib/modules/{RELEASE}",
        config=None,
        packages=(PackageFile("a", "1", "00", "local"),),
        notes=("a note",),
        key="key",
    )
    assert store.create("key", "spec", _unexpected, _never) == made
    assert _entries(tmp_path) == ["key"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> Manifest:
        _fill(target)
        raise InputError("damaged")

    store = KernelStore(tmp_path)
    with pytest.raises(InputError, match="damaged"):
        store.create("key", "spec", fail, _never)
    assert store.load("key", "spec") is None
    assert _entries(tmp_path) == []


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    (tmp_path / "kernels/.key.dead/boot").mkdir(parents=True)
    (tmp_path / "kernels/.other.alive").mkdir()
    KernelStore(tmp_path).create("key", "spec", _fill, _never)
    assert _entries(tmp_path) == [".other.alive", "key"]


def test_concurrent_users_make_it_once(tmp_path: Path) -> None:
    inside, go, waited = threading.Event(), threading.Event(), threading.Event()
    results: list[BootableKernel] = []

    def slow(target: Path) -> Manifest:
        inside.set()
        assert go.wait(10)
        return _fill(target)

    def user(waiting: threading.Event) -> None:
        store = KernelStore(tmp_path)
        fill = slow if not inside.is_set() else _unexpected
        results.append(store.create("key", "spec", fill, waiting.set))

    first = threading.Thread(target=user, args=(threading.Event(),))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=user, args=(waited,))
    second.start()
    assert waited.wait(10)
    go.set()
    for thread in (first, second):
        thread.join(10)
    assert len(results) == 2
    assert results[0] == results[1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(tmp_path: Path, number: int) -> None:
    def fail(target: Path) -> Manifest:
        raise OSError(number, "no room", str(target / "x"))

    with pytest.raises(InfrastructureError, match=f"no space left in the cache {tmp_path}"):
        KernelStore(tmp_path).create("key", "spec", fail, _never)
    assert _entries(tmp_path) == []


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(InfrastructureError, match="cannot be used"):
        KernelStore(tmp_path / "cache").create("key", "spec", _fill, _never)


def test_complete_kernel_in_a_cache_that_can_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = KernelStore(tmp_path)
    kernel = store.create("key", "spec", _fill, _never)
    monkeypatch.setattr(KernelStore, "lock", lambda *_: pytest.fail("it was locked"))
    assert store.create("key", "spec", _unexpected, _never) == kernel


def test_other_errors_are_not_taken_for_the_cache(tmp_path: Path) -> None:
    def fail(target: Path) -> Manifest:
        raise FileNotFoundError(errno.ENOENT, "no such file", "/elsewhere")

    with pytest.raises(FileNotFoundError):
        KernelStore(tmp_path).create("key", "spec", fail, _never)


def test_releases_are_remembered(tmp_path: Path) -> None:
    store = KernelStore(tmp_path)
    assert store.recall(RELEASE, "spec") is None
    store.create("key", "spec", _fill, _never)
    store.remember(RELEASE, "1", "key")
    store.remember("gone", "1", "deleted key")
    assert store.recall(RELEASE, "spec") == store.load("key", "spec")
    assert store.recall(RELEASE, "spec", "1") is not None
    assert store.recall(RELEASE, "spec", "2") is None
    assert store.recall("gone", "spec") is None
