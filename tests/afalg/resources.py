"""What the kernel counts, so that a leaked reference shows.

``sockets: used`` of /proc/net/sockstat counts every ``struct sock`` from sk_alloc() to
__sk_free(), ``refcnt`` of /proc/crypto the transforms of an implementation, and ``refcnt``
of /sys/module/NAME the users of a module.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import blocking
from unavailable import skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = ("af_alg", "algif_hash", "algif_skcipher", "algif_aead", "algif_rng")
_open_files: dict[str, int] = {}
#: Of each entry of /proc/crypto, one of each (c_show(), crypto/proc.c).
_DRIVERS = re.compile(r"\ndriver +: (.*)")
_REFERENCES = re.compile(r"\nrefcnt +: (\d+)")
OPTMEM = Path("/proc/sys/net/core/optmem_max")


def sockets() -> int:
    """How many sockets exist, of all families."""
    try:
        first = Path("/proc/net/sockstat").read_text().splitlines()[0]
    except FileNotFoundError:  # net/ipv4/proc.c
        skip(
            "no /proc/net/sockstat: a kernel without CONFIG_INET counts no sockets",
            Reason(Cause.OTHER, name="/proc/net/sockstat", errno="ENOENT"),
        )
    return int(first.removeprefix("sockets: used "))


def module_users(names: tuple[str, ...] = MODULES) -> dict[str, int]:
    """Users of each module that is loaded as one.

    The files stay open: with each opening the kernel allocates what it frees seconds later
    (kernfs_unlink_open_file() by kfree_rcu()), and who counts objects would count that.
    """
    counts: dict[str, int] = {}
    for name in names:
        text = _read_open(name) or _read_open(name)  # once more where it was loaded anew
        if text:
            counts[name] = int(text)
    return counts


def _read_open(name: str) -> bytes:
    """The file that tells a module's users, b"" if it is not there, or not any more."""
    try:
        if name not in _open_files:
            path = f"/sys/module/{name}/refcnt"
            _open_files[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(_open_files[name], 32, 0)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if error.errno != errno.ENODEV:  # the module was unloaded (fs/kernfs/file.c)
            raise
        os.close(_open_files.pop(name))
        return b""


def transforms() -> dict[str, int]:
    """References to each implementation of an algorithm, by the name of its driver."""
    text = Path("/proc/crypto").read_text()
    references = map(int, _REFERENCES.findall(text))
    return dict(zip(_DRIVERS.findall(text), references, strict=True))


def counters() -> dict[str, dict[str, int]]:
    """All of them."""
    return {
        "sockets": {"used": sockets()},
        "users of module": module_users(),
        "references to": transforms(),
    }


@contextmanager
def balanced(what: str) -> Iterator[None]:
    """What happens inside gives back all that it takes.

    Other processes may hold a socket for a moment, so an excess is looked at again.
    """
    before = counters()
    yield
    excess: list[str] = []
    for _ in blocking.attempts(2.0):
        after = counters()
        excess = [
            f"{kind} {name}: {before[kind].get(name, 0)} before, {count} after"
            for kind, counts in after.items()
            for name, count in counts.items()
            if count != before[kind].get(name, count)
        ]
        if not excess:
            return
    raise AssertionError(f"{what}: {'; '.join(excess)}")


@contextmanager
def option_memory(limit: int) -> Iterator[None]:
    """Bound what sock_kmalloc() may hold for one socket (net.core.optmem_max)."""
    before = OPTMEM.read_text()
    OPTMEM.write_text(str(limit))
    try:
        yield
    finally:
        OPTMEM.write_text(before)
