"""System calls that Python 3.11 has no function for, or not with these arguments."""

from __future__ import annotations

import ctypes
import os

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
