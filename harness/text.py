"""Text that others wrote (a test's message, a file's name), made fit to be shown."""

from __future__ import annotations

import math
import re

#: C0 and C1 controls but for the tab, marks that turn the direction of text, and lone
#: surrogates, which no stream takes.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: All but the characters of XML 1.0; lone surrogates, from undecodable bytes, are among them.
#: And those that XML holds, but that drive a terminal or turn the direction of text.
_NOT_XML = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def clean(text: str) -> str:
    """``text`` in one line, without control characters: it must not drive the terminal."""
    return _CONTROLS.sub("?", " ".join(text.splitlines()))


def xml_text(text: str) -> str:
    """``text`` with every character replaced that XML 1.0 cannot hold, and all controls."""
    return _NOT_XML.sub("?", text)


def cut(text: str, limit: int) -> str:
    """``text``, at most ``limit`` characters and a line that says how many are left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n... {len(text) - limit} characters left out here"


def short(text: str, limit: int) -> str:
    """``text`` as one line without control characters, of at most ``limit`` characters."""
    # What is looked at is bounded, too: a message may be megabytes of blanks.
    line = clean(text[: 4 * limit])
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[: limit - 3]}..."


def finite(value: object) -> float:
    """A number that others wrote; 0 for what is none."""
    number = float(value) if isinstance(value, (int, float)) else 0.0
    return number if math.isfinite(number) else 0.0
