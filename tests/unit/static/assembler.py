"""Makes small modules and kernels to read."""

from __future__ import annotations

import itertools
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Where the linked ones begin, as a kernel does.
START = 0xFFFFFFFF81000000
#: A kernel's functions in assembly, each a list of instructions; none begins with a static.
Functions = Mapping[str, Sequence[str]]


class Assembler:
    """Makes ELF files of x86-64 out of functions in assembly and tables of pointers."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._numbers = itertools.count()

    def module(
        self, functions: Functions, tables: Mapping[str, Sequence[str]] | None = None
    ) -> bytes:
        """A relocatable object, as a kernel module is.

        Functions are static unless named in ``globals()``; those in ``.cold`` lie in a
        section of their own, as the compiler puts them.
        """
        return self._assemble(functions, tables or {}).read_bytes()

    def kernel(self, functions: Functions) -> tuple[bytes, str]:
        """A linked kernel, and its System.map."""
        linked = self._place / f"vmlinux{next(self._numbers)}"
        objects = self._assemble(functions, {})
        argv = ["ld", f"-Ttext={START:#x}", "-e", "0", "--unresolved-symbols=ignore-all"]
        subprocess.run([*argv, "-o", linked, objects], check=True)
        lines = subprocess.run(["nm", linked], check=True, capture_output=True, text=True).stdout
        return linked.read_bytes(), "".join(
            f"{line}\n" for line in lines.splitlines() if " U " not in line
        )

    def _assemble(self, functions: Functions, tables: Mapping[str, Sequence[str]]) -> Path:
        source = "".join(map(_function, functions, functions.values()))
        source += "".join(map(_table, tables, tables.values()))
        target = self._place / f"object{next(self._numbers)}.o"
        subprocess.run(["as", "--64", "-o", target, "-"], input=source, text=True, check=True)
        return target


def _function(name: str, instructions: Sequence[str]) -> str:
    section = ".text.unlikely" if name.endswith(".cold") else ".text"
    scope = f".globl {name}\n" if name.startswith("af_alg_") and "." not in name else ""
    end = () if instructions and instructions[-1].startswith("jmp") else ("ret",)
    body = "".join(f"\t{instruction}\n" for instruction in (*instructions, *end))
    return (
        f'.section {section}, "ax"\n{scope}.type {name}, @function\n'
        f"{name}:\n{body}.size {name}, .-{name}\n"
    )


def _table(name: str, entries: Sequence[str]) -> str:
    pointers = "".join(f"\t.quad {entry}\n" for entry in ("0", *entries))
    return f".section .rodata\n.type {name}, @object\n{name}:\n{pointers}.size {name}, .-{name}\n"


def kallsyms(symbols: Sequence[tuple[int, str]], *, layout: str, address: int) -> bytes:
    """A kernel's own table of ``symbols``, each an address and a kind with a name.

    ``layout`` is that of "6.1" (with the part that some of them have amid the names), "6.12"
    or "7.3"; ``address`` is where it is loaded.
    """
    alignment = 4 if layout == "7.3" else 8
    # "__" has a token, as letters that no symbol has; everything else is itself.
    tokens = [b"__" if byte == 0x01 else bytes([byte or 0x01]) for byte in range(256)]
    packed = [text.replace("__", "\x01").encode() for _, text in symbols]
    names, marks = b"", b""
    for number, name in enumerate(packed):
        if number % 256 == 0:
            marks += struct.pack("<I", len(names))
        length = len(name)
        names += bytes([length] if length < 0x80 else [length & 0x7F | 0x80, length >> 7]) + name
    begins = itertools.accumulate((len(token) + 1 for token in tokens[:-1]), initial=0)
    index = b"".join(struct.pack("<H", begin) for begin in begins)
    table = b"".join(token + b"\0" for token in tokens)
    count = struct.pack("<I", len(symbols)).ljust(alignment, b"\0")
    parts = [count + names, marks, table, index]
    match layout:
        case "6.1":
            negative = [START - 1 - at if at >= START else at for at, _ in symbols]
            parts = [_offsets(negative), struct.pack("<Q", START), *parts]
            parts.insert(4, b"\x7f\x01\x02" * len(symbols))
        case "6.12":
            parts += [_offsets([at - START for at, _ in symbols]), struct.pack("<Q", START)]
        case "7.3":
            before = sum(len(_padded(part, alignment)) for part in parts)
            places = itertools.count(address + before, 4)
            parts.append(
                _offsets([at - place for (at, _), place in zip(symbols, places, strict=False)])
            )
            parts.append(b"\x01\x02\x03" * len(symbols))
    return b"".join(_padded(part, alignment) for part in parts)


def _offsets(offsets: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(offsets)}i", *offsets)


def _padded(part: bytes, alignment: int) -> bytes:
    return part + b"\0" * (-len(part) % alignment)
