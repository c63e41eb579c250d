"""An image has the same bytes whenever, and in whatever order, its files were made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import InfrastructureError
from harness.guest import file_system
from harness.guest.file_system import write_file_system

_NEWEST = 1_700_000_000
_FILES = ("usr/bin/program", "usr/bin/alias", "usr/lib/a b\\c'", "etc/x", "usr/lib/python/m.py")


def _tree(place: Path, names: Sequence[str]) -> Path:
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == "usr/bin/alias":
            path.symlink_to("program")
        else:
            path.write_text(name * 300)
    os.utime(place / "usr/lib/python/m.py", (1_600_000_000, 1_600_000_000))
    return place


def _write(place: Path, names: Sequence[str]) -> bytes:
    tree, image = _tree(place / "tree", names), place / "root.ext4"
    write_file_system(tree, image, "8M", _NEWEST)
    assert (
        subprocess.run(["e2fsck", "-fn", image], capture_output=True, check=False).returncode == 0
    )
    return image.read_bytes()


def _stat(image: Path, name: str) -> str:
    argv: list[str | Path] = ["debugfs", "-R", f"stat {name}", image]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_the_same_bytes(tmp_path: Path) -> None:
    first = _write(tmp_path / "first", _FILES)
    # Another time of change, another order, and other times of what is too young anyway.
    second = _write(tmp_path / "second", _FILES[::-1])
    assert first == second


def test_what_a_host_makes_file_systems_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other releases, and people, have other defaults."""
    first = _write(tmp_path / "first", _FILES)
    settings = tmp_path / "mke2fs.conf"
    settings.write_text(
        "[defaults]\n base_features = sparse_super,filetype,metadata_csum_seed,metadata_csum\n"
        " blocksize = 1024\n inode_size = 128\n inode_ratio = 8192\n"
    )
    monkeypatch.setenv("MKE2FS_CONFIG", str(settings))
    assert _write(tmp_path / "second", _FILES) == first


def test_times(tmp_path: Path) -> None:
    """Those that bytecode goes by stay; no other is later than it may be."""
    _write(tmp_path, _FILES)
    image = tmp_path / "root.ext4"
    old, new, root = (_stat(image, name) for name in ("usr/lib/python/m.py", "etc/x", "/"))
    assert f"mtime: 0x{1_600_000_000:08x}" in old
    for text in (old, new, root):
        assert f"ctime: 0x{_NEWEST:08x}:00000000" in text
    assert f"mtime: 0x{_NEWEST:08x}" in new and f"mtime: 0x{_NEWEST:08x}" in root
    assert "User:     0" in old


def test_free_inodes_are_left_alone() -> None:
    described = "Inode count:              24\n  Free inodes: 13-14, 16\n  Free inodes: 18-24\n"
    assert list(file_system._used_inodes(described)) == [2, 11, 12, 15, 17]
    full = "Inode count:              12\n  Free inodes: \n"
    assert list(file_system._used_inodes(full)) == [2, 11, 12]
    with pytest.raises(InfrastructureError, match="counts no inodes"):
        list(file_system._used_inodes("nothing"))


def test_a_tree_that_is_too_large(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree", _FILES)
    (tree / "large").write_bytes(os.urandom(3 << 20))
    with pytest.raises((InfrastructureError, OSError), match=r"writing the guest image|space"):
        write_file_system(tree, tmp_path / "root.ext4", "2M", _NEWEST)
