"""What machine code is made of here: functions, and what each of them refers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Unreadable(Exception):
    """Code that cannot be read, and so proves nothing; says why in one line."""


@dataclass(frozen=True)
class Function:
    """A stretch of machine code that has a name."""

    name: str
    section: int  # number in its module; 0 in a kernel's image, where addresses are unique
    start: int  # offset in the section, or address
    end: int  # the first byte behind it


@dataclass(frozen=True)
class Body:
    """What a function refers to, in the order of its code."""

    #: Functions of the same object file or module; those from elsewhere by name.
    references: tuple[Function | str, ...]
    #: Whether it counts up something where ``struct page`` has its reference count.
    counts_page: bool


class Code(Protocol):
    """Where functions can be looked up: a module, or a kernel's image."""

    def exported(self, name: str) -> Function | None:
        """The function of this name that other parts of AF_ALG can call."""

    def body(self, function: Function) -> Body:
        """What one of its functions refers to. Raises Unreadable."""
