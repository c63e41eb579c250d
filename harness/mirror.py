"""Where Debian is to be had from: the mirror that a person names, or that of this machine.

And what reading one takes, whoever reads it: apt's own helper, and what apt complains of.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError, InputError
from harness.processes import find_program, finish

#: Fetches a URL as the machine's apt does: its proxies, certificates and time limits.
APT_HELPER = Path("/usr/lib/apt/apt-helper")

#: Releases under which a machine's own sources may list Debian.
_DEBIAN_DIST = re.compile(
    r"(?:old)*stable|testing|unstable|sid|experimental|bullseye|bookworm|trixie|forky|duke"
)
#: A mirror, a release and its component, in the URL of an index.
_INDEX = re.compile(r"^'([^']+?)/*/dists/([^']+)/([^/']+)/binary-[^/']+/Packages", re.MULTILINE)
_MIRROR = re.compile(r"(?:https?|ftp|file|copy):/\S*[^/\s]")


@dataclass(frozen=True)
class Mirror:
    """Base URLs of the main archive and of its security archive."""

    main: str
    security: str


def choose_mirror(url: str | None) -> Mirror:
    """The mirror at ``url``; without one, that of this machine's apt.

    Raises InputError if ``url`` is no URL, HostError if apt uses no mirror of Debian's.
    """
    return given_mirror(url) if url else find_machine_mirror()


def given_mirror(url: str) -> Mirror:
    """The mirror at ``url`` (of the main archive). Raises InputError if it is no URL."""
    base = url.rstrip("/")
    if not _MIRROR.fullmatch(base) or "[" in base:
        raise InputError(f"{url!r} is not the URL of a mirror (such as http://HOST/debian)")
    return Mirror(base, f"{base}-security")


@functools.cache
def find_machine_mirror() -> Mirror:
    """The mirror this machine's apt uses. Raises HostError if it uses none of Debian's."""
    find_program("apt-get")
    # Its indextargets names only those of which it has lists; containers often have none.
    argv = ["apt-get", "update", "--print-uris"]
    return machine_mirror(finish(argv, environment=dict(os.environ) | {"LC_ALL": "C"}).stdout)


def machine_mirror(uris: str) -> Mirror:
    """The mirror among the files that a machine's apt would fetch, each in quotes in its line.

    Raises HostError if none of them is Debian's.
    """
    main = security = None
    for base, release, component in _INDEX.findall(uris):
        dist, _, pocket = release.partition("-")
        if component != "main" or not _DEBIAN_DIST.fullmatch(dist.partition("/")[0]):
            continue
        if pocket == "security" or dist.endswith("/updates"):
            security = security or base
        else:
            main = main or base
    if main is None:
        raise HostError(
            "apt on this machine has no mirror of Debian; name one with --mirror or AFALG_MIRROR"
        )
    return Mirror(main, security or f"{main}-security")


def last_line(text: str) -> str:
    """The most telling line of apt's complaints: its first error, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "W:"))]
    return (errors or lines[-1:] or ["no reason given"])[0].removeprefix("E: ").removeprefix("W: ")
