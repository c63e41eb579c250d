"""What Debian's changelog says happened between two kernel packages.

A changelog holds everything before it as well, so that of any later package of the same
line serves. linux-libc-dev is the smallest package that carries the whole of it.
"""

from __future__ import annotations

import gzip
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from debian.changelog import Changelog
from debian.debfile import DebFile
from debian.debian_support import Version

from harness.errors import HarnessError
from harness.kernels.resolve import fetch_package
from harness.kernels.sources import KernelSources
from harness.scratch import scratch_directory

CARRIER = "linux-libc-dev"
_CRYPTO = re.compile(r"\bcrypto\b|af_alg|algif|skcipher|aead|authenc", re.IGNORECASE)

_AF_ALG = re.compile(r"af_alg|algif", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One version's lines, each whole."""

    version: str
    lines: tuple[str, ...]

    def about_crypto(self) -> tuple[str, ...]:
        """Those lines that name what AF_ALG is made of, its own code first."""
        found = [line for line in self.lines if _CRYPTO.search(line)]
        return tuple(sorted(found, key=lambda line: _AF_ALG.search(line) is None))


def entries_between(sources: KernelSources, older: str, newer: str) -> tuple[Entry, ...]:
    """Entries above version ``older`` up to ``newer``, newest first; () if none can be had."""
    try:
        with scratch_directory() as place:
            package = fetch_package(sources, CARRIER, newer, place)
            text = _read(package) if package is not None else ""
    except (HarnessError, OSError, tarfile.TarError):
        return ()
    return parse(text, older, newer)


def parse(text: str, older: str, newer: str) -> tuple[Entry, ...]:
    """The entries of a changelog's ``text`` between two versions."""
    found = []
    for block in Changelog(text, strict=False):
        if Version(older) < Version(str(block.version)) <= Version(newer):
            joined = re.sub(r"\n\s+(?![-*[ ])", " ", "\n".join(block.changes()))
            lines = tuple(line.strip() for line in joined.splitlines() if line.strip())
            found.append(Entry(str(block.version), lines))
    return tuple(found)


def _read(package: Path) -> str:
    with DebFile(str(package)) as deb:
        for name in deb.data:
            if re.search(rf"usr/share/doc/{CARRIER}/changelog(?:\.Debian)?\.gz$", name):
                content = deb.data.get_content(name)
                assert isinstance(content, bytes)
                return gzip.decompress(content).decode(errors="replace")
    return ""
