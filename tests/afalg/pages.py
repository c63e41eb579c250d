"""Pages that can be shared with a socket, and the proof that they are shared.

A page-cache page is handed over by splice() or sendfile(); whoever holds a reference to
it sees what is later written to the file. tee() makes such a reference which ends in a
pipe, and so shows whether the page was shared up to the socket: the positive control.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")

#: File systems whose files are cached from a disk; overlay where the guest has no other.
DISK_FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "f2fs", "overlay")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe, read end first, closed at the end."""
    read_end, write_end = os.pipe()
    try:
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)


@dataclass(frozen=True)
class Directory:
    """A place for scratch files, and the type of its file system."""

    path: str
    file_system: str

    def __str__(self) -> str:
        return f"{self.file_system} ({self.path})"


def writable_directory(*file_systems: str) -> Directory | None:
    """The root of a mounted file system of one of these types, the first types preferred."""
    found: list[Directory] = []
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, path, kind, options, *_ = line.split()
        if kind in file_systems and "rw" in options.split(",") and os.access(path, os.W_OK):
            found.append(Directory(path, kind))
    return min(found, key=lambda one: file_systems.index(one.file_system), default=None)


@contextmanager
def scratch_file(directory: Directory, contents: bytes) -> Iterator[int]:
    """A new file without a name, synced and cached; its descriptor is open for writing."""
    with tempfile.TemporaryFile(dir=directory.path, buffering=0) as file:
        write_all(file.fileno(), contents)
        os.fsync(file.fileno())
        yield file.fileno()


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
