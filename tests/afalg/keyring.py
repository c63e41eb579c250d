"""Keys of the kernel's key retention service: keyutils' calls, by raw system calls.

Numbers from arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h,
commands and permissions from include/uapi/linux/keyctl.h and include/linux/key.h.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import libc
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

#: add_key, keyctl
_NUMBERS = {"x86_64": (248, 250), "aarch64": (217, 219)}

PROCESS_KEYRING = -2
_KEYCTL_REVOKE = 3
_KEYCTL_SETPERM = 5
_KEYCTL_LINK = 8
_KEYCTL_UNLINK = 9
_KEYCTL_READ = 11

PERMIT_ALL = 0x3F3F3F3F
#: All but search, for possessor, owner, group and others.
PERMIT_NO_SEARCH = 0x37373737


def _numbers() -> tuple[int, int]:
    machine = os.uname().machine
    if machine not in _NUMBERS:
        skip(f"no system call numbers known for {machine}", Reason(Cause.HOST, name=machine))
    return _NUMBERS[machine]


def _address(data: bytes) -> tuple[int, object]:
    buffer = ctypes.create_string_buffer(data, len(data) + 1)
    return ctypes.addressof(buffer), buffer


def add(kind: str, description: str, payload: bytes, keyring: int = PROCESS_KEYRING) -> int:
    """add_key(2): the serial number of the new key."""
    kind_at, _kind = _address(kind.encode())
    description_at, _description = _address(description.encode())
    payload_at, _payload = _address(payload)
    return libc.system_call(
        _numbers()[0],
        kind_at,
        description_at,
        payload_at if payload else None,
        len(payload),
        keyring,
    )


def revoke(key: int) -> None:
    """keyctl_revoke(3)."""
    libc.system_call(_numbers()[1], _KEYCTL_REVOKE, key)


def set_permissions(key: int, permissions: int) -> None:
    """keyctl_setperm(3)."""
    libc.system_call(_numbers()[1], _KEYCTL_SETPERM, key, permissions)


def unlink(key: int, keyring: int = PROCESS_KEYRING) -> None:
    """keyctl_unlink(3)."""
    libc.system_call(_numbers()[1], _KEYCTL_UNLINK, key, keyring)


def link(key: int, keyring: int) -> None:
    """keyctl_link(3)."""
    libc.system_call(_numbers()[1], _KEYCTL_LINK, key, keyring)


def usage(key: int) -> int:
    """References to a key (/proc/keys, security/keys/proc.c)."""
    for line in Path("/proc/keys").read_text(encoding="utf-8").splitlines():
        serial, _, count, *_ = line.split()
        if int(serial, 16) == key:
            return int(count)
    raise AssertionError(f"key {key:#x} is not in /proc/keys")


def read(key: int) -> bytes:
    """keyctl_read(3)."""
    buffer = ctypes.create_string_buffer(4096)
    length = libc.system_call(
        _numbers()[1], _KEYCTL_READ, key, ctypes.addressof(buffer), len(buffer)
    )
    return buffer.raw[:length]
