"""What the kernel still holds after many requests: pages, slab objects, sockets, references.

What is done over and over and gives everything back leaves each count as it was. One count
that grows in every try by nearly as much as there were turns has grown with them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import page_count
import resources

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 16
#: Of what one in each turn loses, how much shows although the counts waver.
_SHOWN = 0.75
_SECONDS = 0.5  # in which what is given back late has been (by RCU, by a work queue)
_TRIES = 3  # something else may allocate meanwhile, but not each time
_WARM_UP = 2  # what is allocated once and kept

PAGES = "pages"
SOCKETS = "sockets"
#: Beginnings of the names of the other counts.
OBJECTS = "objects of "
USERS = "users of module "
REFERENCES = "references to "
KINDS = (PAGES, SOCKETS, OBJECTS, USERS, REFERENCES)

_SLABINFO = Path("/proc/slabinfo")
_CACHES = Path("/sys/kernel/slab")
#: sock_kmalloc(), the crypto API and AIO allocate from these; none frees later than at once.
_COUNTED = ("kmalloc-", "aio_kiocb")


def slab_objects() -> dict[str, int]:
    """Objects in use of each cache of which AF_ALG allocates; {} on a kernel that does not tell.

    The rest of a slab that a CPU allocates from counts as used, so that the caches are told
    to take it back first (kmem_cache_shrink(), mm/slub.c). Opening a file would allocate:
    they stay open.
    """
    try:
        for name in _counted_caches():
            os.pwrite(_opened(_CACHES / name / "shrink", os.O_WRONLY), b"1", 0)
        return _read_slabinfo()
    except FileNotFoundError:  # no /proc/slabinfo, or no CONFIG_SLUB_SYSFS
        return {}


@cache
def _counted_caches() -> tuple[str, ...]:
    """Their names: all are made at boot (create_kmalloc_caches(), aio_setup())."""
    return tuple(_read_slabinfo())


def _read_slabinfo() -> dict[str, int]:
    descriptor, text = _opened(_SLABINFO, os.O_RDONLY), b""
    while piece := os.pread(descriptor, 1 << 16, len(text)):  # the kernel gives a page at a time
        text += piece
    return {
        words[0]: int(words[1])
        for line in text.decode().splitlines()
        if line.startswith(_COUNTED) and (words := line.split())
    }


@cache
def _opened(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def counts() -> Counter[str]:
    """All counts of this moment, by name."""
    found = Counter({OBJECTS + name: count for name, count in slab_objects().items()})
    found[PAGES] = page_count.uncounted()
    found[SOCKETS] = resources.sockets()
    found.update({USERS + name: count for name, count in resources.module_users().items()})
    found.update({REFERENCES + name: count for name, count in resources.transforms().items()})
    return found


def grown(
    once: Callable[[], object],
    turns: int = TURNS,
    *,
    tries: int = _TRIES,
    seconds: float = _SECONDS,
    before: Counter[str] | None = None,
) -> tuple[Counter[str], Counter[str]]:
    """The counts that grow with what is done over and over, by how much; and all afterwards.

    ``before`` is what was counted last, if that was a moment ago: there the first try begins.
    A count must have grown in each of so many tries, and by as much in all after some seconds:
    only what has grown in each try is waited for.
    """
    for _ in range(_WARM_UP):
        once()
    first = after = counts() if before is None else before
    told = {*first}
    for _ in range(tries):
        last = after
        for _ in range(turns):
            once()
        after = counts()
        told &= _more(last, after, turns).keys()
        if not told:
            return Counter(), after  # what went up by chance would go up again
    end = time.monotonic() + seconds
    while True:
        more = _more(first, after, tries * turns)
        excess = Counter({name: more[name] for name in more.keys() & told})
        if not excess or time.monotonic() >= end:
            return excess, after
        after = counts()


def _more(before: Counter[str], after: Counter[str], turns: int) -> dict[str, int]:
    """The counts that grew by nearly as much as there were turns, by how much.

    A cache or an algorithm that was not there before was not leaked to.
    """
    return {
        name: count - before[name]
        for name, count in after.items()
        if name in before and count - before[name] >= _SHOWN * turns
    }


class Ledger:
    """Holds what is done over and over against the counts; one for tests in a row.

    Each begins from where the one before it ended: counting takes as long as the turns.
    """

    def __init__(self) -> None:
        self._last: Counter[str] | None = None

    def given_back(self, what: str, once: Callable[[], object], turns: int = TURNS) -> None:
        """What is done over and over gives back all that it takes."""
        excess, after = grown(once, turns, before=self._last)
        # What a failed test holds may go with it, and what the next one loses would make up for it.
        self._last = None if excess else after
        told = ", ".join(f"{count} more {name}" for name, count in sorted(excess.items()))
        assert not excess, f"{what}: {told} after {turns * _TRIES} turns, expected none"
