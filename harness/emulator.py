"""Faults of QEMU's emulation that look like a kernel's."""

from __future__ import annotations

import re

from harness.model import Boot, ConsoleEvent

#: What a kernel says of them.
_SAID = re.compile(r"Oops: int3|int3: 0000|IO-APIC \+ timer doesn't work")


def emulator_fault(boot: Boot) -> ConsoleEvent | None:
    """The report of a fault that is QEMU's and not the kernel's.

    QEMU 7.2's TCG now and then lets a CPU run a stale ``int3`` of the kernel's live
    patching, at boot; on a busy host its timer may tick too late for the kernel's check of
    it. Under KVM, or of a guest that had reported, it is the kernel's own.
    """
    event = boot.deadly_report
    if event is None or boot.accel != "tcg" or boot.identity is not None:
        return None
    lines = (event.title, *event.lines)
    return event if any(tells_of_emulator_fault(line) for line in lines) else None


def tells_of_emulator_fault(line: str) -> bool:
    """Whether a line of the console of a guest under TCG, not yet up, tells of such a fault."""
    return _SAID.search(line) is not None
