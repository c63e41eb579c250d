"""What the name of a kernel's release says: its order among others, its series, its flavour."""

from __future__ import annotations

import re

Key = tuple[tuple[int, str, int], ...]

_PARTS = re.compile(r"(\d+)")
#: Words of a release that count versions: ``50``, ``rc2``, ``arch1``, ``gdeadbeef1234``.
_COUNTED = re.compile(r"\d|rc\d|g?[0-9a-f]{7,}$|dirty$")
#: Fedora and RHEL say so in the middle of such a word: ``200.fc41.x86_64``.
_RPM = re.compile(r"\.((?:fc|el)\d+)")


def version_key(name: str) -> Key:
    """By what releases, and names that begin so, are sorted.

    Oldest first: 6.2 before 6.12, 7.3-rc1 before 7.3.
    """
    # "~" sorts ahead of everything, as in Debian's versions.
    text = re.sub(r"[-~](?=rc\d)", "~", name)
    split = (part for part in _PARTS.split(text) if part)
    parts = [(2, "", int(part)) if part.isdecimal() else _word(part) for part in split]
    return (*parts, (1, "", 0))


def _word(part: str) -> tuple[int, str, int]:
    return (0 if part.startswith("~") else 3, part, 0)


def series(release: str) -> str:
    """``6.12`` of ``6.12.43+deb12-amd64``; "" if it does not start with a version."""
    match = re.match(r"\d+\.\d+", release)
    return match.group() if match else ""


def flavour(release: str) -> str:
    """``amd64``, ``cloud-amd64``, ``rt-amd64``, ``generic``, ``fc41``; "" if it says none."""
    words = [word for word in release.split("-")[1:] if not _COUNTED.match(word)]
    rpm = _RPM.search(release)
    found = "-".join(
        re.sub(r"\d+$", "", word) if word.startswith("arch") else word for word in words
    )
    return found or (rpm.group(1) if rpm else "")
