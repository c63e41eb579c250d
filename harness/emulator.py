"""Faults of QEMU's emulation that look like a kernel's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.model import Boot, ConsoleEvent

#: What a kernel says of them.
_SAID = re.compile(r"Oops: int3|int3: 0000|IO-APIC \+ timer doesn't work")
_INT3 = re.compile(r"int3: 0000")
#: The flags with which a CPU was interrupted in the kernel (show_regs(), arch/x86/kernel).
_FLAGS = re.compile(r"RSP: 0018:[0-9a-f]{16} EFLAGS: ([0-9a-f]{8})")
#: Those that no CPU sets, and the one that is always set (Intel SDM, volume 1, 3.4.3).
_NEVER_SET, _ALWAYS_SET = 0xFFC0_8028, 0x2
#: The byte before the one that was to be executed next (show_opcodes()), and that of int3.
_BEFORE = re.compile(r"Code: .*\b([0-9a-f]{2}) <[0-9a-f]{2}>")
_OPCODE = "cc"


def emulator_fault(boot: Boot) -> ConsoleEvent | None:
    """The report of a fault that is QEMU's and not the kernel's.

    QEMU 7.2's TCG now and then lets a CPU run a stale ``int3`` of the kernel's live
    patching, or goes on with flags that are none (seen as a double fault with EFLAGS
    10870a02, the low half of RAX); on a busy host its timer may tick too late for the
    kernel's check of it, at boot. Under KVM it is the kernel's own, and so it is of a guest
    that had reported, unless it is proved: by flags that no CPU has, or by what was in
    memory where the ``int3`` is said to be.
    """
    return emulator_fault_in(boot.deadly_report, boot.accel, has_reported=boot.identity is not None)


def emulator_fault_in(
    event: ConsoleEvent | None, accel: str, *, has_reported: bool
) -> ConsoleEvent | None:
    """``event``, the report of which a guest died, if it is of such a fault."""
    if event is None or accel != "tcg":
        return None
    lines = (event.title, *event.lines)
    told = _proves_emulator_fault(lines) if has_reported else tells_of_emulator_fault(lines)
    return event if told else None


def tells_of_emulator_fault(lines: Iterable[str]) -> bool:
    """Whether the console of a guest under TCG, not yet up, tells of such a fault."""
    known = tuple(lines)
    return any(map(_SAID.search, known)) or _has_impossible_flags(known)


def _proves_emulator_fault(lines: Sequence[str]) -> bool:
    return _has_impossible_flags(lines) or _is_stale_int3(lines)


def _has_impossible_flags(lines: Iterable[str]) -> bool:
    """Of several flags the first count: what follows them may come of what happened."""
    first = next(filter(None, map(_FLAGS.search, lines)), None)
    if first is None:
        return False
    flags = int(first[1], 16)
    return bool(flags & _NEVER_SET) or not flags & _ALWAYS_SET


def _is_stale_int3(lines: Sequence[str]) -> bool:
    """Whether a CPU met an ``int3`` where there was none in memory."""
    before = next(filter(None, map(_BEFORE.search, lines)), None)
    return before is not None and before[1] != _OPCODE and _INT3.search(lines[0]) is not None
