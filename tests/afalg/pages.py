"""Pages that can be shared with a socket, and the proof that they are shared.

A page-cache page is handed over by splice() or sendfile(); whoever holds a reference to
it sees what is later written to the file. tee() makes such a reference which ends in a
pipe, and so shows whether the page was shared up to the socket: the positive control.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")

#: File systems whose files are cached from a disk.
DISK_FILE_SYSTEMS = ("ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, read end first, closed at the end."""
    read_end, write_end = os.pipe()
    try:
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)


def writable_mounts(file_systems: tuple[str, ...]) -> list[tuple[str, str]]:
    """Mount points (path, file-system type) of these types that can be written, in order."""
    found: list[tuple[str, str]] = []
    with open("/proc/self/mounts", encoding="utf-8") as mounts:  # noqa: PTH123
        for line in mounts:
            _, path, kind, options, *_ = line.split()
            if kind in file_systems and "rw" in options.split(",") and os.access(path, os.W_OK):
                found.append((path, kind))
    return sorted(found, key=lambda mount: file_systems.index(mount[1]))


@contextmanager
def scratch_file(directory: str, contents: bytes) -> Iterator[int]:
    """A new file without a name, synced and cached; its descriptor is open for writing."""
    path = os.path.join(directory, f".afalg-{os.getpid()}-{os.urandom(4).hex()}")  # noqa: PTH118
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.unlink(path)  # noqa: PTH108
        write_all(descriptor, contents)
        os.fsync(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def reopened_read_only(descriptor: int) -> Iterator[int]:
    """The same file, opened again for reading only."""
    read_only = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    try:
        yield read_only
    finally:
        os.close(read_only)


@contextmanager
def scratch_memfd(contents: bytes) -> Iterator[int]:
    """A memfd with these contents."""
    descriptor = os.memfd_create("afalg")
    try:
        write_all(descriptor, contents)
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, contents: bytes) -> None:
    """Write from offset 0, through the page cache."""
    written = os.pwrite(descriptor, contents, 0)
    assert written == len(contents), f"expected {len(contents)} bytes written, saw {written}"
