"""Follows calls to a function that takes pages by reference."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.static.code import Body, Code, Function, Unreadable

#: Functions of the kernel that hand out the pages behind an iterator or an address.
_TAKERS = re.compile(
    r"_*(?:extract_iter_to_\w+|netfs_extract_\w+|(?:\w+_)?iov_iter_(?:get|extract)_\w+"
    r"|pin_user_\w+|get_user_pages\w*|skb_splice_from_iter|\w*zerocopy\w*)"
)
#: What get_page() calls where it is traced (CONFIG_DEBUG_PAGE_REF).
_COUNTERS = ("__page_ref_mod", "__page_ref_mod_unless")
#: Up to 6.4 ``sendpage`` is handed a page itself. These only send what is in it.
_SENDS = re.compile(r"(?:sock|kernel)_sendmsg\w*|sock_no_sendpage\w*")
INLINED = "get_page() in its own code"
HANDED = "the page that it is handed"


@dataclass(frozen=True)
class Operation:
    """A function that a request socket's table of operations points to."""

    code: Code
    function: Function


def chain_to_pages(
    operations: Sequence[Operation], codes: Iterable[Code], *, counting: bool
) -> tuple[str, ...]:
    """The shortest chain of calls from ``operations`` to what takes pages; () without one.

    Calls are followed into all ``codes``. ``counting``: whether code that counts up a page
    by itself is taken for that, too. Raises Unreadable if there is no chain in what can be
    read, and not everything can be.
    """
    codes = tuple(codes)
    waiting: deque[tuple[Operation, tuple[str, ...]]] = deque()
    waiting += ((operation, (operation.function.name,)) for operation in operations)
    seen = set(operations)
    unread: Unreadable | None = None
    while waiting:
        at, chain = waiting.popleft()
        try:
            body = at.code.body(at.function)
        except Unreadable as error:
            unread = error
            continue
        taker = _taker(at.function, body, counting)
        if taker:
            return (*chain, taker)
        for reference in body.references:
            called = _resolve(reference, at.code, codes)
            if called is not None and called not in seen:
                seen.add(called)
                waiting.append((called, (*chain, called.function.name)))
    if unread is not None:
        raise unread
    return ()


def _taker(function: Function, body: Body, counting: bool) -> str:
    """What in ``body`` itself takes pages; "" if nothing does."""
    named = (each if isinstance(each, str) else each.name for each in body.references)
    names = [name for name in named if name != function.name]  # most branches stay within
    for name in names:
        if _TAKERS.fullmatch(name) or (counting and name in _COUNTERS):
            return name
    if counting and body.counts_page:
        return INLINED
    if "sendpage" in function.name and not any(_hands_on(name) for name in names):
        return HANDED
    return ""


def _hands_on(name: str) -> bool:
    return "sendpage" in name or _SENDS.fullmatch(name) is not None


def _resolve(reference: Function | str, code: Code, codes: Iterable[Code]) -> Operation | None:
    if isinstance(reference, Function):
        return Operation(code, reference)
    for each in codes:
        function = each.exported(reference)
        if function is not None:
            return Operation(each, function)
    return None
