"""Pages that the kernel holds outside everything that it counts.

A page from alloc_page() that nobody frees, or one of a process that stays referenced
after its unmapping, is in no counter of /proc/vmstat: it only goes missing from the free
ones. So what is missing is the number of managed pages less all that are counted, those
on the lists of each CPU included (Documentation/filesystems/proc.rst). In a guest without
other load that number is still to within a dozen pages, so that 64 lost ones stand out.
"""

from __future__ import annotations

import os
from pathlib import Path

from pages import PAGE

LOST = 64
#: More than the number wavers by, far fewer than are lost when one is in each turn.
LIMIT = LOST // 2
_LOOKS = 3
_COUNTED = frozenset(
    {
        "nr_free_pages",
        "nr_file_pages",
        "nr_anon_pages",
        "nr_slab_reclaimable",
        "nr_slab_unreclaimable",
        "nr_page_table_pages",
    }
)


def uncounted() -> int:
    """How many pages are in use without being counted."""
    # Reading it, too, makes every CPU add what it has not yet reported (mm/vmstat.c).
    Path("/proc/sys/vm/stat_refresh").read_bytes()
    number = 0
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[:1] == ["managed"]:
            number += int(words[1])
        elif words[:1] == ["count:"]:  # of a list of free pages that one CPU keeps
            number -= int(words[1])
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, value = line.split()
        if name in _COUNTED:
            number -= int(value)
        elif name == "nr_kernel_stack":  # in KiB
            number -= int(value) * 1024 // PAGE
    return number


def seen_in_pipes() -> int:
    """The control: how many of the LOST pages that pipes hold are seen to be missing.

    At the first look what earlier tests left to be freed may come back meanwhile (hundreds
    of pages, seen on a busy host).
    """
    seen = 0
    for _ in range(_LOOKS):
        seen = _look_into_pipes()
        if seen >= LIMIT:
            break
    return seen


def _look_into_pipes() -> int:
    before = uncounted()
    pipes = [os.pipe() for _ in range(LOST // 16)]
    try:
        for _, write_end in pipes:
            os.write(write_end, bytes(16 * PAGE))
        return uncounted() - before
    finally:
        for both in pipes:
            for descriptor in both:
                os.close(descriptor)
