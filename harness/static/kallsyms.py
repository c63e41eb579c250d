"""Reads the symbols of a kernel: from its own table (kallsyms), or from a System.map.

The table has no symbol of its own to be found by. Its parts are known by how they agree
with each other (scripts/kallsyms.c writes them, kernel/kallsyms.c reads them)::

    number of symbols; their names, packed; where every 256th name begins; 256 tokens that
    names are packed with; where each token begins; offsets of the symbols; base of those

Up to 6.3 the last two come first; 6.2, 6.3 and some 6.1 have another part before the tokens.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.static.code import Unreadable

#: Digits are never replaced by a longer token, so these ten stand as they are.
_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
#: As nm(1) has it: "?" for an empty section, of which a kernel may keep a symbol or two.
_KIND = re.compile(rb"[A-Za-z?]")
_TOKENS = 256
_EVERY = 256  # names between two marks
#: What each part begins at a multiple of: since 7.x, before.
_ALIGNMENTS = (4, 8)
_PAGE = 4096
_NAMES_AT_MOST = 16 << 20  # bytes; Debian's largest take 4 MB
_FEWEST, _MOST = 500, 1 << 21  # symbols; Debian's largest have 210,000


@dataclass(frozen=True)
class KernelSymbol:
    """A name in a kernel's image."""

    address: int
    kind: str  # as nm(1) has it: "t" for a static function, "T" for one known elsewhere
    name: str


@dataclass(frozen=True)
class _Tokens:
    """The table of tokens, and where it and its index lie in the image."""

    start: int
    end: int
    words: tuple[bytes, ...]
    kinds: frozenset[int]  # tokens that a symbol can begin with: that of its kind


@dataclass(frozen=True)
class _Names:
    """The packed names of all symbols, kind first, and where they lie in the image."""

    start: int
    packed: tuple[bytes, ...]


def read_system_map(text: str) -> tuple[KernelSymbol, ...]:
    """The symbols in the ``text`` of a System.map, in its order. Raises Unreadable."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]+) (\S) (\S+)", line)
        if match is None:
            raise Unreadable(f"no System.map: {line[:60]!r}")
        found.append(KernelSymbol(int(match[1], 16), match[2], match[3]))
    return tuple(found)


def read_kallsyms(
    content: bytes, address_of: Callable[[int], int | None]
) -> tuple[KernelSymbol, ...]:
    """The symbols in ``content``, the vmlinux of a 64-bit little-endian kernel.

    ``address_of`` tells the address at which an offset in ``content`` is loaded, or None.
    Raises Unreadable.
    """
    for tokens in _token_tables(content):
        for names in _name_lists(content, tokens):
            addresses = _addresses(content, tokens, names, address_of)
            words = (b"".join([tokens.words[byte] for byte in name]) for name in names.packed)
            texts = (word.decode(errors="replace") for word in words)
            return tuple(
                KernelSymbol(address, text[0], text[1:])
                for address, text in zip(addresses, texts, strict=True)
            )
    raise Unreadable("no symbols found in the kernel (is CONFIG_KALLSYMS set?)")


def _aligned(place: int, alignment: int) -> int:
    return (place + alignment - 1) // alignment * alignment


def _token_tables(content: bytes) -> Iterator[_Tokens]:
    for match in re.finditer(re.escape(_DIGITS), content):
        # 48 tokens come before "0", and before those whatever precedes the table.
        before = content[max(0, match.start() - _PAGE) : match.start()].split(b"\0")[-50:-1]
        span = sum(len(token) + 1 for token in before)
        for start in range(_aligned(match.start() - span, 4), match.start(), 4):
            words = content[start : start + 4 * _PAGE].split(b"\0")[:_TOKENS]
            kinds = frozenset(byte for byte, word in enumerate(words) if _KIND.match(word))
            place = start + sum(len(word) + 1 for word in words)
            for alignment in _ALIGNMENTS:
                index = _aligned(place, alignment)
                end = index + 2 * _TOKENS
                if content[index:end] == _index(words):
                    yield _Tokens(start, end, tuple(words), kinds)
                    break


def _index(words: list[bytes]) -> bytes:
    """Where each token begins in the table, as the kernel has it."""
    begins = itertools.accumulate((len(word) + 1 for word in words[:-1]), initial=0)
    return b"".join(struct.pack("<H", begin) for begin in begins)


def _name_lists(content: bytes, tokens: _Tokens) -> Iterator[_Names]:
    """The lists of names before ``tokens`` that their number and their marks agree with."""
    first = max(0, tokens.start - _NAMES_AT_MOST) // 4 * 4
    words = memoryview(content)[first : tokens.start // 4 * 4].cast("I")
    for number, count in enumerate(words):
        if _FEWEST < count < _MOST:
            for alignment in _ALIGNMENTS:
                start = first + 4 * number + alignment
                packed = _unpack_list(content, start, count, tokens)
                if packed:
                    yield _Names(start, packed)


def _unpack_list(content: bytes, start: int, count: int, tokens: _Tokens) -> tuple[bytes, ...]:
    """The ``count`` packed names at ``start``; none unless the marks behind them agree."""
    names: list[bytes] = []
    marks, place = [], start
    for number in range(count):
        if number % _EVERY == 0:
            marks.append(place - start)
        length = content[place]
        place += 1
        if length >= 0x80:  # since 6.1: seven bits, then the others
            length = length & 0x7F | content[place] << 7
            place += 1
        if not length or place + length > tokens.start or content[place] not in tokens.kinds:
            return ()
        names.append(content[place : place + length])
        place += length
    wanted = struct.pack(f"<{len(marks)}I", *marks)
    found = (_aligned(place, alignment) for alignment in _ALIGNMENTS)
    agree = any(content[at : at + len(wanted)] == wanted for at in found)
    return tuple(names) if agree else ()


def _addresses(
    content: bytes, tokens: _Tokens, names: _Names, address_of: Callable[[int], int | None]
) -> list[int]:
    """The address of each symbol."""
    count = len(names.packed)
    after = [_aligned(tokens.end, alignment) for alignment in _ALIGNMENTS]
    before = names.start - 16 - _aligned(4 * count, 8)
    based = [_from_base(content, start, count) for start in (*after, before)]
    placed = [_from_place(content, start, count, address_of(start)) for start in after]
    for addresses in (*based, *placed):
        if _in_order(addresses):
            return addresses
    raise Unreadable("the addresses of the kernel's symbols were not found")


def _in_order(addresses: list[int]) -> bool:
    """Whether these can be addresses of symbols, which ascend."""
    return bool(addresses) and all(one <= other for one, other in itertools.pairwise(addresses))


def _from_base(content: bytes, start: int, count: int) -> list[int]:
    """Up to 6.19 or so: ``count`` offsets from one base, which lies behind them."""
    end = _aligned(start + 4 * count, 8)
    if start < 0 or end + 8 > len(content):
        return []
    offsets = struct.unpack_from(f"<{count}i", content, start)
    (base,) = struct.unpack_from("<Q", content, end)
    if base >> 47 != 0x1FFFF or base % _PAGE:
        return []
    # Up to 6.14 x86-64 has per-CPU symbols at small addresses, given as they are, and all
    # others at the base less one less a negative offset.
    if any(offset < 0 for offset in offsets):
        return [base - 1 - offset if offset < 0 else offset for offset in offsets]
    return [base + offset for offset in offsets]


def _from_place(content: bytes, start: int, count: int, address: int | None) -> list[int]:
    """Since 7.0 or so: each from where it lies itself. ``address`` is that of the first."""
    if address is None or start + 4 * count > len(content):
        return []
    offsets = struct.unpack_from(f"<{count}i", content, start)
    return [address + 4 * number + offset for number, offset in enumerate(offsets)]
