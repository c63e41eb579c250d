"""Reads the code of a kernel's image: the functions of AF_ALG, where it is built in.

Everything is linked here, so that only decoding tells what a function calls, and only the
kernel's symbols what that is.
"""

from __future__ import annotations

import bisect
import io
import re
from collections.abc import Iterator, Sequence

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from harness.static.code import Body, Function, Unreadable
from harness.static.disassembly import Step, steps
from harness.static.kallsyms import KernelSymbol, read_kallsyms

_AF_ALG = re.compile(r"af_alg_\w+")
_TEXT = "tTwW"  # kinds of symbols


class Vmlinux:
    """A linked kernel, and what of it is loaded where."""

    def __init__(self, content: bytes) -> None:
        """``content`` is that of the ELF file. Raises Unreadable."""
        self._content = content
        try:
            elf = ELFFile(io.BytesIO(content))
            self.machine: str = elf["e_machine"]
            self._segments = [
                (segment["p_offset"], segment["p_filesz"], segment["p_vaddr"])
                for segment in elf.iter_segments("PT_LOAD")
            ]
        except (ELFError, ValueError, OverflowError) as error:
            raise Unreadable(f"the kernel in the image is damaged: {error}") from error

    def symbols(self) -> tuple[KernelSymbol, ...]:
        """The symbols that it carries in itself. Raises Unreadable."""
        return read_kallsyms(self._content, self._address_of)

    def _address_of(self, place: int) -> int | None:
        for offset, size, address in self._segments:
            if offset <= place < offset + size:
                return int(address + place - offset)
        return None

    def read(self, start: int, end: int) -> bytes | None:
        """What is loaded from the address ``start`` to ``end``; None if nothing is."""
        for offset, size, address in self._segments:
            if address <= start and end <= address + size:
                place = offset + start - address
                return self._content[place : place + end - start]
        return None


class ImageCode:
    """The code in a kernel's image."""

    def __init__(self, vmlinux: Vmlinux, symbols: Sequence[KernelSymbol]) -> None:
        """``symbols`` are those of ``vmlinux``, in any order."""
        self._vmlinux = vmlinux
        self._symbols: dict[int, list[KernelSymbol]] = {}
        for symbol in symbols:
            if symbol.kind in _TEXT:
                self._symbols.setdefault(symbol.address, []).append(symbol)
        self._starts = sorted(self._symbols)
        self._by_name = {
            symbol.name: symbol for named in self._symbols.values() for symbol in named
        }

    def exported(self, name: str) -> Function | None:
        """The function ``name``, if it is one of AF_ALG's own that its parts share."""
        symbol = self._by_name.get(name) if _AF_ALG.fullmatch(name) else None
        return self._function(symbol) if symbol is not None else None

    def matching(self, names: re.Pattern[str]) -> tuple[Function, ...]:
        """All functions of these ``names``, sorted by name."""
        found = sorted(name for name in self._by_name if names.fullmatch(name))
        return tuple(self._function(self._by_name[name]) for name in found)

    def body(self, function: Function) -> Body:
        """What ``function`` branches to. Raises Unreadable.

        A static function is of the same source file, and given as such; others by name.
        """
        references: list[Function | str] = []
        counts_page = False
        for step in self._steps(function):
            counts_page |= step.counts_page
            if step.target is not None:
                references += self._at(step.target)
        return Body(tuple(dict.fromkeys(references)), counts_page)

    def _steps(self, function: Function) -> Iterator[Step]:
        code = self._vmlinux.read(function.start, function.end)
        if code is None:
            raise Unreadable(f"{function.name} is not in the image")
        try:
            yield from steps(code, function.start, self._vmlinux.machine)
        except Unreadable as error:
            raise Unreadable(f"{function.name} in the image: {error}") from error

    def _at(self, address: int) -> Iterator[Function | str]:
        """What has ``address`` in it, under each of its names."""
        number = bisect.bisect_right(self._starts, address)
        for symbol in self._symbols[self._starts[number - 1]] if number else ():
            yield self._function(symbol) if symbol.kind == "t" else symbol.name

    def _function(self, symbol: KernelSymbol) -> Function:
        number = bisect.bisect_right(self._starts, symbol.address)
        end = self._starts[number] if number < len(self._starts) else symbol.address
        return Function(symbol.name, 0, symbol.address, end)
