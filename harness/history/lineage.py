"""Which kernels follow upon each other, so that one can be held against the last good one.

Those of a release series and flavour do (``6.12 cloud-amd64``), and the commits of a branch
of a git tree (``git:linux@my-branch``).
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.releases import flavour, series

_GIT = "git:"
#: What names one commit for ever, and no branch: a hash, a tag of a version, a step from one.
_ONE_COMMIT = re.compile(r"[0-9a-f]{7,40}|v\d+(\.\d+)+(-rc\d+)?|.*[~^:{].*")


def lineage_of(spec: str, release: str) -> str:
    """The lineage of the kernel ``release`` that ``spec`` named; "" if neither says."""
    branch = _branch(spec)
    if branch:
        return branch
    return " ".join(word for word in (series(release), flavour(release)) if word)


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
