"""Asynchronous I/O by raw system calls: Linux AIO (io_submit) and io_uring.

Structures from include/uapi/linux/aio_abi.h and io_uring.h.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import af_alg
import libc
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

#: io_setup, io_destroy, io_getevents, io_submit
_AIO_NUMBERS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
IOCB_CMD_PREAD = 0
IOCB_CMD_PWRITE = 1
IOCB_CMD_POLL = 5
IOCB_CMD_PREADV = 7
IOCB_FLAG_RESFD = 1

_IO_URING_SETUP = 425
_IO_URING_ENTER = 426
_ENTER_GETEVENTS = 1
IORING_OP_READV = 1
IORING_OP_READ = 22
IORING_OP_WRITE = 23
IORING_OP_SEND = 26
IORING_OP_RECV = 27
_OFF_SQ_RING = 0
_OFF_CQ_RING = 0x8000000
_OFF_SQES = 0x10000000


def pieces(*buffers: ctypes.Array[ctypes.c_char]) -> ctypes.Array[ctypes.c_char]:
    """``struct iovec`` of buffers that the caller keeps."""
    packed = b"".join(struct.pack("=QQ", ctypes.addressof(one), len(one)) for one in buffers)
    return ctypes.create_string_buffer(packed, len(packed))


@dataclass(frozen=True)
class Event:
    """``struct io_event``: which iocb, and what the call returned."""

    data: int
    result: int


class Context:
    """An AIO context of io_setup(2)."""

    def __init__(self, numbers: tuple[int, int, int, int]) -> None:
        self._setup, self._destroy, self._getevents, self._submit = numbers
        context = ctypes.c_uint64(0)
        libc.system_call(self._setup, 8, ctypes.addressof(context))
        self._context = context.value

    def submit(self, *requests: tuple[int, int, ctypes.Array[ctypes.c_char], int]) -> int:
        """io_submit(2) of (command, descriptor, buffer, length); data is the index."""
        blocks = []
        for i, (command, descriptor, buffer, length) in enumerate(requests):
            address = length if command == IOCB_CMD_POLL else ctypes.addressof(buffer)
            packed = struct.pack(
                "=QIIHhIQQqQII", i, 0, 0, command, 0, descriptor, address,
                0 if command == IOCB_CMD_POLL else length, 0, 0, 0, 0,
            )  # fmt: skip
            blocks.append(ctypes.create_string_buffer(packed, 64))
        pointers = (ctypes.c_void_p * len(blocks))(*(ctypes.addressof(one) for one in blocks))
        return libc.system_call(
            self._submit, self._context, len(blocks), ctypes.addressof(pointers)
        )

    def events(self, least: int, seconds: float = 10.0) -> list[Event]:
        """io_getevents(2): at least so many of at most eight, unless time runs out."""
        buffer = ctypes.create_string_buffer(32 * 8)
        whole = int(seconds)
        limit = ctypes.create_string_buffer(
            struct.pack("=qq", whole, int((seconds - whole) * 1e9)), 16
        )
        got = libc.system_call(
            self._getevents,
            self._context,
            least,
            8,
            ctypes.addressof(buffer),
            ctypes.addressof(limit),
        )
        unpacked = struct.iter_unpack("=QQqq", buffer.raw[: 32 * got])
        return [Event(data, result) for data, _, result, _ in unpacked]

    def close(self) -> None:
        """io_destroy(2): waits for what is under way."""
        libc.system_call(self._destroy, self._context)


@contextmanager
def context() -> Iterator[Context]:
    """An AIO context; skips where the kernel has none."""
    machine = os.uname().machine
    if machine not in _AIO_NUMBERS:
        skip(f"no system call numbers known for {machine}", Reason(Cause.HOST, name=machine))
    try:
        new = Context(_AIO_NUMBERS[machine])
    except OSError as error:
        af_alg.failed("io_setup", error).skip()
    try:
        yield new
    finally:
        new.close()


#: include/uapi/linux/io_uring.h
_OP_ACCEPT, _OP_SPLICE = 13, 30
_NO_OFFSET = (1 << 64) - 1


class Ring:
    """An io_uring of eight entries, one submission at a time."""

    def __init__(self) -> None:
        parameters = ctypes.create_string_buffer(120)
        self._descriptor = libc.system_call(_IO_URING_SETUP, 8, ctypes.addressof(parameters))
        values = struct.unpack("=10I10I10I", parameters.raw)
        sq_entries, cq_entries = values[0], values[1]
        sq, cq = values[10:20], values[20:30]
        self._sq_tail, self._sq_mask, self._sq_array = sq[1], sq[2], sq[6]
        self._cq_head, self._cq_tail, self._cq_mask, self._cqes = cq[0], cq[1], cq[2], cq[5]
        self._sq = mmap.mmap(self._descriptor, sq[6] + sq_entries * 4, offset=_OFF_SQ_RING)
        self._cq = mmap.mmap(self._descriptor, cq[5] + cq_entries * 16, offset=_OFF_CQ_RING)
        self._sqes = mmap.mmap(self._descriptor, sq_entries * 64, offset=_OFF_SQES)

    def run(
        self, command: int, descriptor: int, buffer: ctypes.Array[ctypes.c_char], length: int,
        flags: int = 0,
    ) -> int:  # fmt: skip
        """Submit one request and wait for its completion: what the call returned."""
        return self._submit(
            command, descriptor, address=ctypes.addressof(buffer), length=length, flags=flags
        )

    def splice(self, source: int, target: int, length: int, flags: int = 0) -> int:
        """splice(2) from a pipe, done by a thread of the kernel. Raises OSError."""
        return _checked(
            self._submit(
                _OP_SPLICE,
                target,
                offset=_NO_OFFSET,
                address=_NO_OFFSET,
                length=length,
                flags=flags,
                source=source,
            ),
            "splice by io_uring",
        )

    def accept(self, descriptor: int) -> int:
        """accept(2) without an address: the new descriptor. Raises OSError."""
        return _checked(self._submit(_OP_ACCEPT, descriptor), "accept by io_uring")

    def _submit(
        self, command: int, descriptor: int, *, offset: int = 0, address: int = 0, length: int = 0,
        flags: int = 0, source: int = 0,
    ) -> int:  # fmt: skip
        (tail,) = struct.unpack_from("=I", self._sq, self._sq_tail)
        (mask,) = struct.unpack_from("=I", self._sq, self._sq_mask)
        slot = tail & mask
        # struct io_uring_sqe: buf_index and personality are 0 before splice_fd_in.
        struct.pack_into(
            "=BBHiQQIIQIiQQ", self._sqes, slot * 64, command, 0, 0, descriptor, offset,
            address, length, flags, 1234, 0, source, 0, 0,
        )  # fmt: skip
        struct.pack_into("=I", self._sq, self._sq_array + 4 * slot, slot)
        struct.pack_into("=I", self._sq, self._sq_tail, tail + 1)
        libc.system_call(_IO_URING_ENTER, self._descriptor, 1, 1, _ENTER_GETEVENTS, None, 0)
        head, completed = (
            struct.unpack_from("=I", self._cq, at)[0] for at in (self._cq_head, self._cq_tail)
        )
        assert completed == head + 1, f"expected one completion, saw {completed - head}"
        (mask,) = struct.unpack_from("=I", self._cq, self._cq_mask)
        data, result = struct.unpack_from("=Qi", self._cq, self._cqes + 16 * (head & mask))
        struct.pack_into("=I", self._cq, self._cq_head, completed)
        assert data == 1234
        assert isinstance(result, int)
        return result

    def close(self) -> None:
        """Close the ring."""
        for area in (self._sq, self._cq, self._sqes):
            area.close()
        os.close(self._descriptor)


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


@contextmanager
def ring_if_offered() -> Iterator[Ring]:
    """An io_uring. Raises NotOffered where there is none, or none for such a process."""
    try:
        new = Ring()
    except OSError as error:
        # EPERM: kernel.io_uring_disabled (6.6).
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
        lack = af_alg.failed("io_uring_setup", error)
        raise af_alg.NotOffered(str(lack), lack.reason) from error
    try:
        yield new
    finally:
        new.close()


@contextmanager
def ring() -> Iterator[Ring]:
    """An io_uring; skips where the kernel has none."""
    try:
        new = Ring()
    except OSError as error:
        af_alg.failed("io_uring_setup", error).skip()
    try:
        yield new
    finally:
        new.close()
