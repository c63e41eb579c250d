"""Decodes machine code as far as it matters here: branches, and pages counted up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import capstone
from capstone import x86_const as x86

from harness.static.code import Unreadable

#: ELF's names of the machines (``e_machine``) whose code can be decoded.
_MACHINES = {
    "EM_X86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    "EM_AARCH64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
}
#: Where ``_refcount`` lies in ``struct page``: behind flags (8 bytes), a union (40) and
#: ``_mapcount`` (4), on every 64-bit kernel (include/linux/mm_types.h).
_REFCOUNT = 52
#: What get_page(), folio_ref_add() and try_get_page() become. refcount_t, which counts
#: references to other things, is counted up by xadd.
_COUNTING_UP = (x86.X86_INS_INC, x86.X86_INS_ADD, x86.X86_INS_CMPXCHG)


@dataclass(frozen=True)
class Step:
    """One instruction that matters."""

    start: int  # address
    end: int
    target: int | None  # address that it branches to; None if it does not
    counts_page: bool = False


def steps(code: bytes, address: int, machine: str) -> Iterator[Step]:
    """The direct branches and page counts of ``code``, which lies at ``address``.

    Indirect branches are left out. Raises Unreadable for a machine not known here, or when
    ``code`` holds what is no instruction: what lies behind it has not been seen then.
    """
    if machine not in _MACHINES:
        raise Unreadable(f"code of {machine.removeprefix('EM_').lower()} cannot be decoded")
    decoder = capstone.Cs(*_MACHINES[machine])
    decoder.detail = True
    end = address
    for instruction in decoder.disasm(code, address):
        end = instruction.address + instruction.size
        if instruction.group(capstone.CS_GRP_BRANCH_RELATIVE):
            # Before it arm64 may have the register, and the bit, that the branch looks at. Its
            # branches to a register are in this group as well.
            place = instruction.operands[-1]
            if place.type == capstone.CS_OP_IMM:
                yield Step(instruction.address, end, place.imm % (1 << 64))
        elif machine == "EM_X86_64" and _counts_page(instruction):
            yield Step(instruction.address, end, None, counts_page=True)
    if end != address + len(code):
        raise Unreadable(f"no instruction that is known {end - address} bytes into it")


def _counts_page(instruction: capstone.CsInsn) -> bool:
    if instruction.id not in _COUNTING_UP or instruction.prefix[0] != x86.X86_PREFIX_LOCK:
        return False
    place = instruction.operands[0]
    return bool(place.type == x86.X86_OP_MEM and place.mem.disp == _REFCOUNT)
