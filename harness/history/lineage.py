"""Which kernels follow upon each other, so that one can be held against the last good one.

Those of a release series and flavour do (``6.12 cloud-amd64``), and the commits of a branch
of a git tree (``git:linux@my-branch``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.releases import flavour, series, version_key

if TYPE_CHECKING:
    from harness.kernels.archive.debian import ArchiveKernel

_GIT = "git:"
#: What names one commit for ever, and no branch: a hash, a tag of a version, a step from one.
_ONE_COMMIT = re.compile(r"[0-9a-f]{7,40}|v\d+(\.\d+)+(-rc\d+)?|.*[~^:{].*")


def lineage_of(spec: str, release: str) -> str:
    """The lineage of the kernel ``release`` that ``spec`` named; "" if neither says."""
    branch = _branch(spec)
    if branch:
        return branch
    return " ".join(word for word in (series(release), flavour(release)) if word)


def predecessor(lineage: str, release: str, archive: Iterable[ArchiveKernel]) -> str:
    """The release of the archive just before ``release`` in its lineage; "" if there is none.

    Debian builds some versions for two of its own releases; it is of the same, if one is.
    """
    before = [
        kernel.release
        for kernel in archive
        if lineage_of(f"debian:{kernel.release}", kernel.release) == lineage
        and version_key(kernel.release) < version_key(release)
    ]
    own = [one for one in before if _debian(one) == _debian(release)]
    return max(own or before, key=version_key, default="")


def _debian(release: str) -> str:
    """``+deb13`` of ``6.12.117+deb13.1-amd64``."""
    found = re.search(r"\+deb\d+", release)
    return found.group() if found else ""


def _branch(spec: str) -> str:
    """``git:linux@my-branch``, whatever directory the tree lies in; "" without a branch."""
    if not spec.startswith(_GIT):
        return ""
    tree, revision = _split(spec.removeprefix(_GIT))
    if _ONE_COMMIT.fullmatch(revision):
        return ""
    return f"{_GIT}{Path(tree).expanduser().absolute().name.removesuffix('.git')}@{revision}"


def _split(name: str) -> tuple[str, str]:
    """The tree and the revision; the tree is the shortest that is there, if any is."""
    places = [match.start() for match in re.finditer("@", name)]
    for place in places:
        if Path(name[:place]).expanduser().is_dir():
            return name[:place], name[place + 1 :] or "HEAD"
    tree, _, revision = name.partition("@")
    return tree, revision or "HEAD"
