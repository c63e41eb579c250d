"""What the cache holds, and what pruning takes and leaves."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import inuse
from harness.kernels.cache import contents as module
from harness.kernels.cache.contents import (
    Entry,
    Kind,
    entries,
    kernels_by_release,
    origin_of,
    prune,
)
from harness.kernels.cache.kernel_store import KernelStore

RELEASE = "6.12.43+deb12-amd64"
KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one of everything."""
    top = tmp_path / "cache"
    for key, release, origin in ((KEY, RELEASE, ""), (OTHER, "7.3-test", "/some/linux")):
        place = top / "kernels" / key
        (place / "boot/boot").mkdir(parents=True)
        (place / "boot/boot" / f"vmlinuz-{release}").write_bytes(b"x" * 100_000)
        content = {"release": release, "packages": [], "notes": [], "origin": origin}
        (place / "kernel.json").write_text(json.dumps(content))
    KernelStore(top).remember(RELEASE, "6.12.43-1", KEY)
    for name in ("images/abcdef", "builds/linux-1", "apt/123456"):
        (top / name).mkdir(parents=True)
    (top / "images/abcdef/root.ext4").write_bytes(b"x" * 50_000)
    (top / "builds/linux-1/tree").write_text("/home/me/linux\n")
    (top / "builds/logs").mkdir()
    (top / "builds/logs/aaaa.log").write_text("CC main.o\n")
    return top


def _names(cache: Path) -> set[str]:
    return {entry.name for entry in entries(cache)}


def _leftovers(cache: Path) -> list[Path]:
    """What processes killed at different points leave."""
    (cache / "packages").mkdir()
    left = [
        cache / f"kernels/.{KEY}.0a1b2c3d",
        cache / "packages/.linux-image-6.12.43+deb12-amd64.part",
        cache / "images/abcdef/build-xyz",
        cache / "images/.abcdef.00000000",
        cache / "builds/.linux-1.00000000",
    ]
    for path in left:
        path.mkdir()
    files = [
        cache / "packages/linux-image-6.12.43+deb12-amd64_6.12.43-1_amd64.deb",
        cache / f"kernels/releases/.{RELEASE}.1.json.00000000",
    ]
    for path in files:
        path.write_bytes(b"x" * 9000)
    return left + files


def _keep(_entry: Entry) -> bool:
    return False


def _take(_entry: Entry) -> bool:
    return True


def test_entries(cache: Path) -> None:
    found = {entry.name: entry for entry in entries(cache)}
    kernel, other = found[KEY], found[OTHER]
    assert (kernel.kind, kernel.release) == (Kind.KERNEL, RELEASE)
    assert (kernel.origin, kernel.version) == (f"debian:{RELEASE}", "6.12.43-1")
    assert 100_000 <= kernel.size < 150_000
    assert other.origin == "/some/linux"
    assert {name: entry.kind for name, entry in found.items() if entry not in (kernel, other)} == {
        "abcdef": Kind.IMAGE,
        "linux-1": Kind.BUILD,
        "aaaa": Kind.LOG,
        "123456": Kind.INDEX,
    }
    assert found["linux-1"].origin == "/home/me/linux"
    assert not any(entry.in_use for entry in found.values())


def test_empty_cache(tmp_path: Path) -> None:
    assert entries(tmp_path / "none") == ()
    assert list(prune(tmp_path / "none", _take, False)) == []


def test_what_was_used_last_comes_first(cache: Path) -> None:
    os.utime(cache / "kernels" / KEY, (0, 0))
    assert [entry.name for entry in entries(cache)][:2] == [OTHER, KEY]
    store = KernelStore(cache)
    before = time.time() - 1
    assert store.load(KEY, "spec") is not None
    os.utime(cache / "kernels" / OTHER, (0, 0))
    kernel = entries(cache)[0]
    assert (kernel.name, kernel.in_use) == (KEY, True)
    assert kernel.used >= before


def test_linked_files_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    once = module.size_on_disk(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert module.size_on_disk(tmp_path) == once


def test_releases_of_the_archive(cache: Path) -> None:
    assert {release: entry.name for release, entry in kernels_by_release(cache).items()} == {
        RELEASE: KEY
    }


def test_origin(cache: Path) -> None:
    assert origin_of(cache / f"kernels/{OTHER}/boot/boot/vmlinuz-7.3-test") == "/some/linux"
    assert origin_of(cache / f"kernels/{KEY}/boot/boot/vmlinuz-{RELEASE}") == f"debian:{RELEASE}"


def test_prune_takes_leftovers_only(cache: Path) -> None:
    whole = _names(cache)
    left = _leftovers(cache)
    assert {entry.path for entry in entries(cache) if entry.name not in whole} == set(left)
    gone = list(prune(cache, _keep, False))
    assert {entry.path for entry, _ in gone} == set(left)
    assert all(deleted for _, deleted in gone)
    assert not any(path.exists() for path in left)
    assert _names(cache) == whole
    assert KernelStore(cache).recall(RELEASE, "spec") is not None


def test_dry_run_deletes_nothing(cache: Path) -> None:
    _leftovers(cache)
    before = sorted(path for path in cache.rglob("*") if "locks" not in path.parts)
    assert all(deleted for _, deleted in prune(cache, _take, True))
    assert sorted(path for path in cache.rglob("*") if "locks" not in path.parts) == before


def test_prune_everything(cache: Path) -> None:
    assert all(deleted for _, deleted in prune(cache, _take, False))
    assert entries(cache) == ()
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert KernelStore(cache).recall(RELEASE, "spec") is None


@pytest.mark.parametrize(
    "name", [f"kernels/{KEY}", "images/abcdef", "builds/linux-1", "apt/123456"]
)
def test_what_is_used_stays(cache: Path, name: str) -> None:
    assert inuse.hold(cache / name)
    outcome = {entry.path: deleted for entry, deleted in prune(cache, _take, False)}
    assert [path for path, deleted in outcome.items() if not deleted] == [cache / name]
    assert (cache / name).is_dir()


@pytest.mark.parametrize(
    ("lock", "kept"),
    [
        (KEY, [f"kernels/{KEY}", f"kernels/.{KEY}.0a1b2c3d"]),
        (
            RELEASE,
            [
                f"kernels/releases/.{RELEASE}.1.json.00000000",
                "packages/.linux-image-6.12.43+deb12-amd64.part",
                "packages/linux-image-6.12.43+deb12-amd64_6.12.43-1_amd64.deb",
            ],
        ),
        ("apt", ["apt/123456"]),
        ("build-linux-1", ["builds/linux-1"]),
    ],
)
def test_what_is_being_made_stays(cache: Path, lock: str, kept: list[str]) -> None:
    _leftovers(cache)
    with KernelStore(cache).lock(lock, lambda: None):
        outcome = list(prune(cache, _take, False))
        left = {entry.path.relative_to(cache).as_posix() for entry, gone in outcome if not gone}
        assert left == set(kept)
        assert all((cache / name).exists() for name in kept)
        assert (cache / "locks").is_dir()
        assert KernelStore(cache).lock_names() == (lock,)


def test_waiting_for_a_lock_that_is_pruned(cache: Path) -> None:
    """Whoever waits while its file is deleted excludes those that come later all the same."""
    store = KernelStore(cache)
    waits, got, go = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        with store.lock("name", waits.set):
            got.set()
            assert go.wait(10)

    thread = threading.Thread(target=wait)
    with store.try_lock("name") as alone:
        assert alone
        thread.start()
        assert waits.wait(10)
    assert got.wait(10)
    with store.try_lock("name") as alone:
        assert not alone
    go.set()
    thread.join(10)


def _first(kind: Kind) -> Callable[[Entry], bool]:
    return lambda entry: entry.kind is kind


def test_record_of_a_pruned_kernel_goes_with_it(cache: Path) -> None:
    list(prune(cache, _first(Kind.KERNEL), False))
    assert list((cache / "kernels/releases").iterdir()) == []
    assert (cache / "images/abcdef/root.ext4").exists()
