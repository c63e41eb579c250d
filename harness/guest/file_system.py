"""A directory tree -> an ext4 image that has the same bytes whenever and wherever it is made."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.errors import InfrastructureError
from harness.processes import run

#: Of the file system, and of what its directories are hashed with: any fixed one.
_UUID = "0afa16aa-0000-4000-8000-000000000000"
#: Named one by one, for other releases have other defaults. No journal, for nobody writes; no
#: checksums, for with those mkfs leaves parts unwritten, one release these and another those.
_FEATURES = (
    *("ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit", "flex_bg"),
    *("sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize"),
)
_LAYOUT = ("-b", "4096", "-I", "256", "-i", "16384", "-O", ",".join(("none", *_FEATURES)))
_DOING = "writing the guest image"
_FREE = re.compile(r"^\s+Free inodes: (.*)$", re.MULTILINE)
_COUNT = re.compile(r"^Inode count:\s+(\d+)$", re.MULTILINE)


def write_file_system(tree: Path, image: Path, size: str, newest: int) -> None:
    """Write ``tree`` as a sparse ext4 ``image`` of ``size`` ("600M"), owned by root.

    No time in it is after ``newest`` (Unix time): not those of files, which are changed in
    ``tree`` as well, nor that of writing it. Raises InfrastructureError.
    """
    _clamp_times(tree, newest)
    # As an ordinary user, a user namespace makes mkfs see the files as root's.
    as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    # SOURCE_DATE_EPOCH is for e2fsprogs 1.47.1 and later; Debian 12 has 1.47.0.
    environment = {
        **os.environ,
        "E2FSPROGS_FAKE_TIME": str(newest),
        "SOURCE_DATE_EPOCH": str(newest),
        "MKE2FS_CONFIG": os.devnull,
    }
    run(
        [
            *as_root,
            *("mkfs.ext4", "-q", "-F", "-m", "0", "-U", _UUID, *_LAYOUT),
            *("-E", f"root_owner=0:0,hash_seed={_UUID}", "-d", tree, image, size),
        ],
        doing=_DOING,
        environment=environment,
    )
    if not image.is_file():
        raise InfrastructureError(f"{_DOING}: mkfs.ext4 left no {image}")
    _set_change_times(image, newest, environment)


def _clamp_times(tree: Path, newest: int) -> None:
    """Make no file of ``tree`` younger than ``newest``, and none read after it was changed."""
    for path in (tree, *tree.rglob("*")):
        changed = min(path.lstat().st_mtime_ns, newest * 10**9)
        os.utime(path, ns=(changed, changed), follow_symlinks=False)


def _set_change_times(image: Path, newest: int, environment: dict[str, str]) -> None:
    """Set every file's times of change and of reading, which no system call can in ``tree``."""
    described = run(["dumpe2fs", image], doing=_DOING, environment=environment)
    commands = "".join(
        f"set_inode_field <{number}> {field} @{newest}\n"
        for number in _used_inodes(described)
        for field in ("ctime", "atime")
    )
    with tempfile.NamedTemporaryFile("w", prefix="inodes-", dir=image.parent) as script:
        script.write(commands)
        script.flush()
        # debugfs reads words as a shell does, and these paths are a person's: it is not told them.
        argv = ["debugfs", "-w", "-f", Path(script.name).name, image.name]
        run(argv, doing=_DOING, environment=environment, directory=image.parent)


def _used_inodes(described: str) -> Iterator[int]:
    """The numbers of the inodes that are files, by what dumpe2fs says."""
    count = _COUNT.search(described)
    if count is None:
        raise InfrastructureError(f"{_DOING}: dumpe2fs counts no inodes")
    free: set[int] = set()
    for group in _FREE.findall(described):
        for extent in filter(None, group.split(", ")):
            first, _, last = extent.partition("-")
            free.update(range(int(first), int(last or first) + 1))
    # The root directory is the second; the others up to 10 are the file system's own.
    yield 2
    yield from (number for number in range(11, int(count[1]) + 1) if number not in free)
