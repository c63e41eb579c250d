"""Pages that can be shared with a socket, and the proof that they are shared.

A page-cache page is handed over by splice() or sendfile(); whoever holds a reference to
it sees what is later written to the file. tee() makes such a reference which ends in a
pipe, and so shows whether the page was shared up to the socket: the positive control.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import af_alg
import libc
from unavailable import Unavailable

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")

_HUGE = 2 << 20

#: File systems whose files are cached from a disk; overlay where the guest has no other.
DISK_FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "f2fs", "overlay")


@contextmanager
def pipe(room: int = 16) -> Iterator[tuple[int, int]]:
    """A pipe with room for so many pages, read end first, closed at the end."""
    read_end, write_end = os.pipe()
    try:
        if room > 16:
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, room * PAGE)
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


class Source(Protocol):
    """Contents that can be put into a pipe by reference, and overwritten afterwards."""

    @property
    def origin(self) -> str:
        """What the pages are of, for people."""

    def put(self, pipe: int, offset: int, length: int) -> int:
        """Put a range of the contents into a pipe; returns how much went in."""

    def overwrite(self, offset: int, contents: bytes) -> None:
        """Write over the contents in place."""

    def frame(self, number: int) -> int:
        """The page frame of one of the pages, 0 for who may not know (needs CAP_SYS_ADMIN)."""


@dataclass(frozen=True)
class FileSource:
    """A file's pages in the page cache."""

    descriptor: int
    origin: str

    def put(self, pipe: int, offset: int, length: int) -> int:
        """Splice a range of the file into a pipe."""
        return os.splice(self.descriptor, pipe, length, offset_src=offset)

    def overwrite(self, offset: int, contents: bytes) -> None:
        """Write to the file."""
        assert os.pwrite(self.descriptor, contents, offset) == len(contents)

    def frame(self, number: int) -> int:
        """Of the page in the page cache."""
        address = libc.map_memory((number + 1) * PAGE, descriptor=self.descriptor)
        try:
            at = address + number * PAGE
            bytes(libc.memory_at(at, 1))  # faults it in
            return frame_numbers(at, 1)[0]
        finally:
            libc.unmap_memory(address, (number + 1) * PAGE)


@dataclass(frozen=True)
class MemorySource:
    """Anonymous memory of this process.

    A fork between put() and overwrite() would make the write go to a copy, and the
    probe void.
    """

    address: int
    length: int
    gift: bool
    origin: str = "anonymous memory"

    def put(self, pipe: int, offset: int, length: int) -> int:
        """Vmsplice a range of the memory into a pipe."""
        return libc.vmsplice(pipe, self.address + offset, length, gift=self.gift)

    def overwrite(self, offset: int, contents: bytes) -> None:
        """Write to the memory."""
        libc.memory_at(self.address, self.length)[offset : offset + len(contents)] = contents

    def frame(self, number: int) -> int:
        """Of the page that the memory has at present."""
        return frame_numbers(self.address + number * PAGE, 1)[0]


class NoSource(Unavailable):
    """The guest cannot give a source of the sort that was asked for."""

    def __init__(self, sort: str, problem: str, error: str = "") -> None:
        super().__init__(problem, Reason(Cause.HOST, name=sort, errno=error))


@contextmanager
def source(sort: str, contents: bytes) -> Iterator[Source]:
    """Fresh pages of these contents.

    "disk" (a file), "tmpfs", "large" (a huge page of one), "memfd", "memory", or "gift"
    (memory that is given away by vmsplice()).
    """
    with ExitStack() as stack:
        try:
            made = _source(stack, sort, contents)
        except OSError as error:
            name = af_alg.errno_name(error)
            raise NoSource(sort, f"no pages of {sort}: {error}", name) from error
        yield made


def _source(stack: ExitStack, sort: str, contents: bytes) -> Source:
    if sort in {"memory", "gift"}:
        length = -(-len(contents) // PAGE) * PAGE
        address = libc.map_memory(length)
        stack.callback(libc.unmap_memory, address, length)
        memory = MemorySource(address, length, gift=sort == "gift")
        memory.overwrite(0, contents)
        return memory
    if sort == "memfd":
        return FileSource(stack.enter_context(scratch_memfd(contents)), "a memfd")
    if sort == "large":
        return FileSource(stack.enter_context(_huge_page(contents)), "a huge page of a tmpfs")
    wanted = ("tmpfs",) if sort == "tmpfs" else DISK_FILE_SYSTEMS
    directory = writable_directory(*wanted)
    if directory is None:
        raise NoSource(sort, f"no writable file system of type {', '.join(wanted)} is mounted")
    descriptor = stack.enter_context(scratch_file(directory, contents))
    return FileSource(descriptor, f"a file on {directory}")


@contextmanager
def _huge_page(contents: bytes) -> Iterator[int]:
    """A file whose pages are parts of one huge page: tmpfs with huge=always."""
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        try:
            libc.mount("tmpfs", directory, "huge=always")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            reason = Reason(Cause.OTHER, name="large", errno="EINVAL")
            raise af_alg.NotOffered("tmpfs with huge pages: EINVAL", reason) from error
        try:
            with (Path(directory) / "huge").open("w+b", buffering=0) as file:
                write_all(file.fileno(), contents + bytes(-len(contents) % _HUGE))
                yield file.fileno()
        finally:
            libc.unmount(directory)


def frame_numbers(address: int, count: int) -> list[int]:
    """The page frame numbers of mapped pages (Documentation/admin-guide/mm/pagemap.rst)."""
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        entries = os.pread(pagemap.fileno(), 8 * count, address // PAGE * 8)
    numbers = [int.from_bytes(entries[at : at + 8], "little") for at in range(0, 8 * count, 8)]
    return [number & ((1 << 55) - 1) for number in numbers]
