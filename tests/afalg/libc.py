"""System calls that Python 3.11 has no function for, or not with these arguments."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def tee(source: int, target: int, length: int) -> int:
    """tee(2): duplicate pipe contents by reference."""
    return _checked(_libc.tee(source, target, ctypes.c_size_t(length), 0), "tee")


def bind(descriptor: int, address: bytes) -> None:
    """bind(2) with an address of any length."""
    _checked(_libc.bind(descriptor, address, len(address)), "bind")


def accept_with_address(descriptor: int) -> int:
    """accept(2) with a buffer for the peer's address (Python passes none for AF_ALG)."""
    length = ctypes.c_int(128)
    buffer = ctypes.create_string_buffer(128)
    return _checked(_libc.accept(descriptor, buffer, ctypes.byref(length)), "accept")


# include/uapi/linux/prctl.h, capability.h, sched.h
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
_CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def prctl(option: int, argument: int) -> None:
    """prctl(2) with one argument."""
    zero = ctypes.c_ulong(0)
    _checked(_libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero), "prctl")


def capset(effective: int, permitted: int) -> None:
    """capset(2) of the calling process; nothing is inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = (ctypes.c_uint32 * 6)(
        *(effective & low, permitted & low, 0), *(effective >> 32, permitted >> 32, 0)
    )
    _checked(_libc.capset(header, data), "capset")


def unshare(flags: int) -> None:
    """unshare(2): leave namespaces for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def delete_module(name: str) -> None:
    """delete_module(2) without waiting: EWOULDBLOCK if the module is in use."""
    _checked(_libc.delete_module(name.encode(), os.O_NONBLOCK), "delete_module")


def setsockopt(descriptor: int, level: int, option: int, address: int | None, length: int) -> None:
    """setsockopt(2) with the value at any address."""
    _checked(
        _libc.setsockopt(descriptor, level, option, ctypes.c_void_p(address), length), "setsockopt"
    )


def bind_at(descriptor: int, address: int, length: int) -> None:
    """bind(2) with the socket address at any memory address."""
    _checked(_libc.bind(descriptor, ctypes.c_void_p(address), length), "bind")


def recv(descriptor: int, length: int, flags: int = 0) -> bytes:
    """recv(2); unlike Python's own it ends with EINTR on a signal."""
    buffer = ctypes.create_string_buffer(max(length, 1))
    got = _checked(_libc.recv(descriptor, buffer, ctypes.c_size_t(length), flags), "recv")
    return buffer.raw[:got]


def send(descriptor: int, data: bytes, flags: int = 0) -> int:
    """send(2); unlike Python's own it ends with EINTR on a signal."""
    return _checked(_libc.send(descriptor, data, ctypes.c_size_t(len(data)), flags), "send")


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_char_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


def _message(pieces: list[tuple[int, int]], control: bytes) -> tuple[_Message, object]:
    vector = (_Iovec * len(pieces))(*(_Iovec(*piece) for piece in pieces))
    message = _Message(
        vector=ctypes.addressof(vector),
        vector_length=len(pieces),
        control=control or None,
        control_length=len(control),
    )
    return message, vector


def sendmsg(
    descriptor: int, pieces: list[tuple[int, int]], control: bytes = b"", flags: int = 0
) -> int:
    """sendmsg(2) of (address, length) pieces, with control bytes as they are."""
    message, _vector = _message(pieces, control)
    return _checked(_libc.sendmsg(descriptor, ctypes.byref(message), flags), "sendmsg")


def recvmsg(descriptor: int, pieces: list[tuple[int, int]], flags: int = 0) -> int:
    """recvmsg(2) into (address, length) pieces."""
    message, _vector = _message(pieces, b"")
    return _checked(_libc.recvmsg(descriptor, ctypes.byref(message), flags), "recvmsg")


def recvmsg_with_address(
    descriptor: int, address: ctypes.Array[ctypes.c_char], length: int, flags: int = 0
) -> tuple[bytes, int]:
    """recvmsg(2) with a buffer for the sender's address: the data, the length of the address."""
    data = ctypes.create_string_buffer(length)
    message, _vector = _message([(ctypes.addressof(data), length)], b"")
    message.name, message.name_length = ctypes.addressof(address), len(address)
    got = _checked(_libc.recvmsg(descriptor, ctypes.byref(message), flags), "recvmsg")
    return data.raw[:got], int(message.name_length)


def system_call(number: int, *arguments: int | None) -> int:
    """A system call that the C library has no function for."""
    return _checked(
        _libc.syscall(ctypes.c_long(number), *(ctypes.c_void_p(one) for one in arguments)),
        f"system call {number}",
    )


def vmsplice(pipe: int, address: int, length: int, *, gift: bool = False) -> int:
    """vmsplice(2): put the pages of one range of memory into a pipe by reference."""
    vector = _Iovec(address, length)
    flags = 0x08 if gift else 0  # SPLICE_F_GIFT
    return _checked(
        _libc.vmsplice(pipe, ctypes.byref(vector), ctypes.c_ulong(1), flags), "vmsplice"
    )


def map_memory(
    length: int, *, descriptor: int = -1, at: int = 0, writable: bool = True, offset: int = 0
) -> int:
    """mmap(2): a shared mapping of ``descriptor``, else private anonymous memory; its address.

    ``at`` replaces whatever is mapped there.
    """
    protection = 0x1 | (0x2 if writable else 0)  # PROT_READ, PROT_WRITE
    flags = (0x1 if descriptor >= 0 else 0x22) | (0x10 if at else 0)  # SHARED; PRIVATE, ANON; FIXED
    _libc.mmap.restype = ctypes.c_void_p
    address: int | None = _libc.mmap(
        ctypes.c_void_p(at),
        ctypes.c_size_t(length),
        protection,
        flags,
        descriptor,
        ctypes.c_long(offset),
    )
    if address is None or address == ctypes.c_void_p(-1).value:
        _checked(-1, "mmap")
    assert address is not None
    return address


def change_owner(descriptor: int, user: int, group: int) -> None:
    """fchownat(2) with AT_EMPTY_PATH: works on an O_PATH descriptor, too."""
    _checked(_libc.fchownat(descriptor, b"", user, group, 0x1000), "fchownat")


def unmap_memory(address: int, length: int) -> None:
    """munmap(2)."""
    _checked(_libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(length)), "munmap")


def memory_at(address: int, length: int) -> memoryview:
    """Mapped memory as bytes to read and write; the caller keeps it mapped."""
    return memoryview((ctypes.c_ubyte * length).from_address(address)).cast("B")


def read_own_memory(address: int, target: memoryview) -> int:
    """process_vm_readv(2) of this process: pins all pages of the range, then copies them."""
    return _own_memory(_libc.process_vm_readv, address, target, "process_vm_readv")


def write_own_memory(address: int, source: memoryview) -> int:
    """process_vm_writev(2) to this process: pins all pages of the range, then writes."""
    return _own_memory(_libc.process_vm_writev, address, source, "process_vm_writev")


def _own_memory(call: Callable[..., int], address: int, local_bytes: memoryview, what: str) -> int:
    local = _Iovec(ctypes.addressof(ctypes.c_char.from_buffer(local_bytes)), len(local_bytes))
    remote = _Iovec(address, len(local_bytes))
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    return _checked(
        call(os.getpid(), ctypes.byref(local), one, ctypes.byref(remote), one, none), what
    )


def userfaultfd() -> int:
    """userfaultfd(2), non-blocking; faults inside the kernel are reported too (needs root)."""
    numbers = {"x86_64": 323, "aarch64": 282, "riscv64": 282}
    number = numbers.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "userfaultfd: number of the system call is not known here")
    return _checked(
        _libc.syscall(ctypes.c_long(number), os.O_CLOEXEC | os.O_NONBLOCK), "userfaultfd"
    )


def mount(kind: str, target: str, options: str = "") -> None:
    """mount(2) of a file system without a device."""
    data = options.encode() or None
    _checked(_libc.mount(kind.encode(), target.encode(), kind.encode(), 0, data), "mount")


def unmount(target: str) -> None:
    """umount(2), which goes through at once and lets go of the mount when nobody uses it."""
    _checked(_libc.umount2(target.encode(), 0x2), "umount")
