"""What is decoded, and what is not."""

from __future__ import annotations

import struct

import pytest

from harness.static.code import Unreadable
from harness.static.disassembly import steps


def _targets(code: bytes, address: int, machine: str) -> list[int | None]:
    return [step.target for step in steps(code, address, machine)]


def test_x86() -> None:
    code = bytes.fromhex("e800000000 7500 e9fbffffff ffd0 c3")  # call, jne, jmp, call *%rax, ret
    assert _targets(code, 0x1000, "EM_X86_64") == [0x1005, 0x1007, 0x1007]


def test_addresses_of_a_kernel_are_not_negative() -> None:
    assert _targets(bytes.fromhex("e800000000"), 0xFFFFFFFF81000000, "EM_X86_64") == [
        0xFFFFFFFF81000005
    ]


def test_arm64() -> None:
    # bl, b, b.eq, cbz, tbnz, blr, ret
    words = (0x94000010, 0x14000010, 0x54000080, 0xB4000080, 0x37000080, 0xD63F0000, 0xD65F03C0)
    code = struct.pack(f"<{len(words)}I", *words)
    assert _targets(code, 0x1000, "EM_AARCH64") == [0x1040, 0x1044, 0x1018, 0x101C, 0x1020]


def test_a_machine_that_is_not_known() -> None:
    with pytest.raises(Unreadable, match="code of riscv cannot be decoded"):
        list(steps(b"\0\0", 0, "EM_RISCV"))
