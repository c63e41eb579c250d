"""Text that a guest or a user wrote, made fit for the page, and each text of it stored once."""

from __future__ import annotations

import re

from harness.text import finite

#: Controls but tab and line end; lone surrogates, from undecodable bytes; what turns the
#: direction of the text around it, so that it reads as something else; noncharacters.
_UNSHOWN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_LINE_END = re.compile(r"\r\n?|\x0b|\x0c|\x85|\u2028|\u2029")
#: Characters of all long texts of a page together: 1,500 tests may each bring megabytes.
_ALL_LONG = 12_000_000


def shown(text: str, limit: int) -> str:
    """``text`` without what could not be shown, and without its middle beyond ``limit``.

    A line says how much was cut, which ``limit``, in characters, does not count.
    """
    if len(text) > limit:
        head = limit * 2 // 3
        tail = limit - head
        cut = f"[{len(text) - limit:,} characters cut here; all of it is in results.json]"
        text = f"{text[:head]}\n{cut}\n{text[-tail:] if tail else ''}"
    return _UNSHOWN.sub("\ufffd", _LINE_END.sub("\n", text))


def bounded(seconds: float) -> float:
    """A time that others wrote, as one that can be drawn."""
    return min(max(finite(seconds), 0.0), 1e6)


class Strings:
    """Texts that occur many times, each stored once and named by its number; "" is 0."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": 0}
        self._left = _ALL_LONG

    def add(self, text: str, limit: int = 2000) -> int:
        """The number of ``text`` as it is shown; see ``shown`` for ``limit``."""
        if not text:
            return 0
        told = shown(text, limit)
        if told not in self._numbers:
            if len(told) > self._left:
                told = "[no room is left on this page for this text; it is in results.json]"
            else:
                self._left -= len(told)
        return self._numbers.setdefault(told, len(self._numbers))

    @property
    def all(self) -> list[str]:
        """All of them, in the order of their numbers."""
        return list(self._numbers)
