"""How many guests this host has room for: its CPUs and its free memory, and a container's share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: What a guest may come to use, in bytes: its memory (1 GiB) and QEMU's own.
GUEST_BYTES = 1280 << 20
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that new processes may use before anything is killed or swapped out."""
    lines = (_PROC / "meminfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    available = int(fields["MemAvailable"].split()[0]) << 10
    return max(0, min(available, *_left_to_us()))


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0))


def guests_in_memory(free: int) -> int:
    """How many guests ``free`` bytes are enough for."""
    return free // GUEST_BYTES


def default_jobs() -> int:
    """How many guests to run at once, at least one: one for each CPU, as far as memory allows.

    A guest has two CPUs, but its suite is one process, which leaves one of them idle most of
    the time, under TCG as under KVM. So a kernel that is alone gets two guests, too.
    """
    return max(1, min(usable_cpus(), guests_in_memory(free_memory())))


def _left_to_us() -> Iterator[int]:
    """What the limits of our control groups (version 2 and 1) leave, in bytes."""
    yield 1 << 62
    for line in (_PROC / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            names, root = ("memory.max", "memory.current"), _CGROUPS
        elif "memory" in controllers.split(","):
            names, root = ("memory.limit_in_bytes", "memory.usage_in_bytes"), _CGROUPS / "memory"
        else:
            continue
        group = root / path.lstrip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(root):
                break
            limit, used = (_number(place / name) for name in names)
            if limit is not None and used is not None:
                yield limit - used


def _number(file: Path) -> int | None:
    """The number in a file; None for none ("max"), and for no such file."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
