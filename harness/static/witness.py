"""Asks a kernel's code, without a boot: can its request sockets take pages by reference?

A witness to hold against the probes in the guest. "Can" is said where calls lead from a
socket's operation to a function that takes pages, whether or not that is ever called;
"cannot" where none do. Calls through pointers that are not in the code itself (the
ciphers') are not followed: AF_ALG takes pages before it gets there.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.model import CodeFinding, CodeWord
from harness.static.callgraph import chain_to_pages
from harness.static.code import Unreadable
from harness.static.kernel import KernelCode

_KINDS = ("skcipher", "aead", "hash", "rng")
#: The operations of each direction, by the names of the functions they are set to.
_OPERATIONS = {
    "input": re.compile(r"\w*(?:sendmsg|sendpage)(?:_nokey)?"),
    "output": re.compile(r"\w*recvmsg(?:_nokey)?"),
}
WAYS = tuple(f"{kind}.{direction}" for direction in _OPERATIONS for kind in _KINDS)


def ask(
    modules: Path | None, image: Path, system_map: Path | None = None
) -> tuple[CodeFinding, ...]:
    """What the code of one kernel says of each way (WAYS), in that order.

    ``modules`` is a directory with its modules somewhere below, compressed or not; None if
    it has none. ``image`` is its bzImage or vmlinux, read only if a part of AF_ALG is no
    module; its symbols come from ``system_map`` or, without one, from itself. Where
    something cannot be read, the findings are silent and say why.
    """
    kernel = KernelCode(modules, image, system_map)
    return tuple(_finding(kernel, way) for way in WAYS)


def _finding(kernel: KernelCode, way: str) -> CodeFinding:
    kind, direction = way.split(".")
    try:
        operations = kernel.operations(kind, _OPERATIONS[direction])
        # A receiver counts up pages of the kernel's own, which it hands to the cipher.
        counting = direction == "input"
        chain = chain_to_pages(operations.offered, operations.codes, counting=counting)
    except Unreadable as error:
        return CodeFinding(way, CodeWord.SILENT, reason=str(error))
    if chain:
        return CodeFinding(way, CodeWord.CAN, chain)
    looked_at = sorted({operation.function.name for operation in operations.offered})
    return CodeFinding(way, CodeWord.CANNOT, tuple(looked_at))
