"""Faults of QEMU's emulation that look like a kernel's."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.model import Boot, ConsoleEvent

#: What a kernel says of them.
_SAID = re.compile(r"Oops: int3|int3: 0000|IO-APIC \+ timer doesn't work")
#: The flags with which a CPU was interrupted in the kernel (show_regs(), arch/x86/kernel).
_FLAGS = re.compile(r"RSP: 0018:[0-9a-f]{16} EFLAGS: ([0-9a-f]{8})")
#: Those that no CPU sets, and the one that is always set (Intel SDM, volume 1, 3.4.3).
_NEVER_SET, _ALWAYS_SET = 0xFFC0_8028, 0x2


def emulator_fault(boot: Boot) -> ConsoleEvent | None:
    """The report of a fault that is QEMU's and not the kernel's.

    QEMU 7.2's TCG now and then lets a CPU run a stale ``int3`` of the kernel's live
    patching, at boot, or goes on with flags that are none (seen as a double fault with EFLAGS
    10870a02, the low half of RAX); on a busy host its timer may tick too late for the
    kernel's check of it. Under KVM, or of a guest that had reported, it is the kernel's own.
    """
    event = boot.deadly_report
    if event is None or boot.accel != "tcg" or boot.identity is not None:
        return None
    lines = (event.title, *event.lines)
    return event if tells_of_emulator_fault(lines) else None


def tells_of_emulator_fault(lines: Iterable[str]) -> bool:
    """Whether the console of a guest under TCG, not yet up, tells of such a fault.

    Of several flags in ``lines`` the first count: what follows them may come of what happened.
    """
    flags: str | None = None
    for line in lines:
        if _SAID.search(line):
            return True
        if flags is None and (found := _FLAGS.search(line)):
            flags = found[1]
    return flags is not None and not _are_possible(int(flags, 16))


def _are_possible(flags: int) -> bool:
    return not flags & _NEVER_SET and bool(flags & _ALWAYS_SET)
