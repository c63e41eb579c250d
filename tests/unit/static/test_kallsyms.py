"""The symbols that a kernel carries in itself, in each layout that they have had."""

from __future__ import annotations

import struct

import pytest

from harness.static.code import Unreadable
from harness.static.kallsyms import read_kallsyms
from tests.unit.static.assembler import START, kallsyms

#: A long name, one in a section that nm(1) cannot name, and many others.
SYMBOLS = [(START + 32 * number, f"T__function_{number}") for number in range(700)]
SYMBOLS[300] = (SYMBOLS[300][0], "t" + "long" * 50)
SYMBOLS[600] = (SYMBOLS[600][0], "?__nosave_begin")
BEFORE = b"some code \x90\x90" * 100  # its length is a multiple of 8


@pytest.mark.parametrize("layout", ["6.1", "6.12", "7.3"])
@pytest.mark.parametrize("shift", [0, 4])
def test_layouts(layout: str, shift: int) -> None:
    # Up to 6.14 per-CPU symbols have small numbers.
    symbols = [(0x1000, "Aper_cpu"), *SYMBOLS] if layout == "6.1" else SYMBOLS
    shift = shift if layout == "7.3" else 0
    before = BEFORE + b"\0" * shift
    content = before + kallsyms(symbols, layout=layout, address=START + len(before))
    found = read_kallsyms(content + b"more" * 5000, lambda place: START + place)
    assert [(symbol.address, symbol.kind + symbol.name) for symbol in found] == symbols


def test_what_only_looks_like_names() -> None:
    names = b"".join(bytes([len(text)]) + text.encode() for _, text in SYMBOLS[:256])
    decoy = struct.pack("<Q", 600) + names * 3
    before = BEFORE + decoy + b"\0" * (-len(decoy) % 8)
    content = before + kallsyms(SYMBOLS, layout="6.12", address=0)
    assert len(read_kallsyms(content, lambda _place: None)) == len(SYMBOLS)


def test_none() -> None:
    with pytest.raises(Unreadable, match="no symbols found"):
        read_kallsyms(BEFORE * 10, lambda _place: None)


def test_addresses_that_do_not_ascend() -> None:
    content = BEFORE + kallsyms(SYMBOLS[::-1], layout="6.12", address=0)
    with pytest.raises(Unreadable, match="addresses"):
        read_kallsyms(content, lambda place: START + place)


def test_names_without_addresses() -> None:
    content = BEFORE + kallsyms(SYMBOLS, layout="7.3", address=START)
    with pytest.raises(Unreadable, match="addresses"):
        read_kallsyms(content + b"more" * 2, lambda _place: None)
