"""Reads the code of a kernel module: functions, what they refer to, tables of functions.

A module is a relocatable ELF object: whatever it takes from elsewhere, and most of what it
takes from itself, is named by a relocation. Only branches to static functions of the same
section have none; those are decoded.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import Relocation, RelocationSection
from elftools.elf.sections import Symbol, SymbolTableSection

from harness.static.code import Body, Function, Unreadable
from harness.static.disassembly import Step, steps

#: Relocations of x86-64 that hold the distance from the end of a 4-byte field, so that the
#: addend is 4 less than the offset that is meant: R_X86_64_PC32, R_X86_64_PLT32.
_FROM_FIELD_END = (2, 4)
#: What pyelftools raises for damaged files, beside its own errors.
_DAMAGE = (LookupError, ValueError, ArithmeticError, AttributeError, TypeError, AssertionError)


class ModuleCode:
    """The code of one module."""

    def __init__(self, name: str, content: bytes) -> None:
        """``content`` is the uncompressed module ``name``. Raises Unreadable."""
        self.name = name
        with self._damage_named():
            self._elf = ELFFile(io.BytesIO(content))
            table = self._elf.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                raise Unreadable(f"{name}.ko has no symbols")
            self._symbols: list[Symbol] = list(table.iter_symbols())
            self._functions = self._find_functions()
        self._machine: str = self._elf["e_machine"]
        self._decoded: dict[int, list[tuple[int, Relocation]]] = {}
        self._bodies: dict[Function, Body] = {}

    @contextlib.contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Turn whatever pyelftools raises about a damaged file into Unreadable."""
        try:
            yield
        except (*_DAMAGE, ELFError) as error:
            raise Unreadable(f"{self.name}.ko is damaged: {error}") from error

    def _find_functions(self) -> dict[int, list[Function]]:
        """The functions of each section, by number, in the order of their code."""
        found: dict[int, list[Function]] = defaultdict(list)
        for symbol in self._symbols:
            section, start = symbol["st_shndx"], symbol["st_value"]
            if _is_function(symbol):
                end = start + symbol["st_size"]
                found[section].append(Function(symbol.name, section, start, end))
        for functions in found.values():
            functions.sort(key=lambda function: function.start)
        return found

    @cached_property
    def _exported(self) -> dict[str, Function]:
        names = {
            symbol.name
            for symbol in self._symbols
            if _is_function(symbol) and symbol["st_info"]["bind"] != "STB_LOCAL"
        }
        everything = (each for functions in self._functions.values() for each in functions)
        return {function.name: function for function in everything if function.name in names}

    def exported(self, name: str) -> Function | None:
        """The function ``name``, if other modules can call it."""
        return self._exported.get(name)

    def tables(self, names: re.Pattern[str]) -> tuple[Function | str, ...]:
        """What the structs of these ``names`` point to: functions, and names from elsewhere.

        Raises Unreadable.
        """
        found: list[Function | str] = []
        for symbol in self._symbols:
            if symbol["st_info"]["type"] == "STT_OBJECT" and names.fullmatch(symbol.name):
                start = symbol["st_value"]
                span = range(start, start + symbol["st_size"])
                with self._damage_named():
                    found += self._named(symbol["st_shndx"], span).values()
        return tuple(found)

    def body(self, function: Function) -> Body:
        """What ``function`` refers to, by relocation or by a branch. Raises Unreadable."""
        if function not in self._bodies:
            with self._damage_named():
                self._bodies[function] = self._read_body(function)
        return self._bodies[function]

    def _read_body(self, function: Function) -> Body:
        found = self._named(function.section, range(function.start, function.end))
        counts_page = False
        for step in self._steps(function):
            counts_page |= step.counts_page
            target = self._branch(function, step)
            if target is not None:
                found[step.start] = target
        return Body(tuple(dict.fromkeys(found[place] for place in sorted(found))), counts_page)

    def _steps(self, function: Function) -> Iterator[Step]:
        content = self._elf.get_section(function.section).data()
        code = content[function.start : function.end]
        try:
            yield from steps(code, function.start, self._machine)
        except Unreadable as error:
            raise Unreadable(f"{function.name} in {self.name}.ko: {error}") from error

    def _branch(self, function: Function, step: Step) -> Function | None:
        """The function of the same section that ``step`` branches to by itself."""
        if step.target is None or self._relocations(function.section, step.start, step.end):
            return None
        return self._function_at(function.section, step.target)

    def _named(self, section: int, span: range) -> dict[int, Function | str]:
        """What the relocations in a part of a section refer to, by offset."""
        found: dict[int, Function | str] = {}
        for offset, relocation in self._relocations(section, span.start, span.stop):
            symbol = self._symbols[relocation["r_info_sym"]]
            if symbol["st_shndx"] == "SHN_UNDEF":
                found[offset] = symbol.name
                continue
            place = symbol["st_value"] + self._addend(relocation)
            target = self._function_at(symbol["st_shndx"], place)
            if target is not None:
                found[offset] = target
        return found

    def _addend(self, relocation: Relocation) -> int:
        addend: int = relocation["r_addend"]
        relative = self._machine == "EM_X86_64" and relocation["r_info_type"] in _FROM_FIELD_END
        return addend + 4 if relative else addend

    def _function_at(self, section: int, offset: int) -> Function | None:
        functions = self._functions.get(section, [])
        number = bisect.bisect_right(functions, offset, key=lambda function: function.start)
        # Of several names for one function, the first.
        while number > 1 and functions[number - 2].start == functions[number - 1].start:
            number -= 1
        if number and offset < functions[number - 1].end:
            return functions[number - 1]
        return None

    def _relocations(self, section: int, start: int, end: int) -> list[tuple[int, Relocation]]:
        if section not in self._decoded:
            found = self._read_relocations(section)
            self._decoded[section] = sorted(found, key=lambda item: item[0])
        decoded = self._decoded[section]
        first = bisect.bisect_left(decoded, start, key=lambda item: item[0])
        return decoded[first : bisect.bisect_left(decoded, end, key=lambda item: item[0])]

    def _read_relocations(self, section: int) -> Iterator[tuple[int, Relocation]]:
        for part in self._elf.iter_sections():
            if isinstance(part, RelocationSection) and part["sh_info"] == section:
                for relocation in part.iter_relocations():
                    yield relocation["r_offset"], relocation


def _is_function(symbol: Symbol) -> bool:
    return (
        symbol["st_info"]["type"] == "STT_FUNC"
        and isinstance(symbol["st_shndx"], int)
        and symbol["st_size"] > 0
    )
