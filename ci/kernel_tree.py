"""A git tree of Debian's kernel source, for scripts that build kernels.

Sources come from the archive (package linux-source-X.Y), through the same signed index as
the kernels do.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from debian.debfile import DebFile

from harness.kernels.resolve import fetch_package
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.processes import run

#: The files of the AF_ALG interfaces that the removal of zero-copy changed.
AF_ALG = "crypto/af_alg.c"


def git(tree: Path, *arguments: str) -> str:
    """Run git in ``tree`` as somebody who may commit; returns its output."""
    identity = ["-c", "user.name=afalg", "-c", "user.email=afalg@localhost", "-c", "gc.auto=0"]
    return run(["git", *identity, *arguments], doing="preparing a tree", directory=tree).strip()


def make_tree(series: str, place: Path) -> Path:
    """A source of ``series`` ("7.3") that the archive has, as a git tree of one commit."""
    tree = place / f"linux-source-{series}"
    if (tree / ".git/HEAD").is_file() and git(tree, "rev-list", "--all"):
        return tree
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place) as scratch:
        package = _source_package(series, series, Path(scratch))
        archive = _archive_in(package, series, Path(scratch))
        subprocess.run(["tar", "-xf", archive, "-C", place], check=True)
    git(tree, "init", "-q")
    # Debian's .gitignore ignores what does not belong to its packaging.
    git(tree, "add", "--all", "--force", ".")
    git(tree, "commit", "-qm", f"Linux {series}, as Debian has it")
    git(tree, "branch", "-f", "released")
    return tree


def read_source(series: str, version: str, names: Iterable[str], place: Path) -> dict[str, bytes]:
    """Files of the oldest source package of ``series`` that is at least ``version``."""
    with TemporaryDirectory(dir=place) as scratch:
        package = _source_package(series, version, Path(scratch))
        archive = _archive_in(package, series, Path(scratch))
        wanted = {f"linux-source-{series}/{name}": name for name in names}
        found: dict[str, bytes] = {}
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name in wanted:
                    content = tar.extractfile(member)
                    assert content is not None
                    found[wanted[member.name]] = content.read()
                if len(found) == len(wanted):
                    break
        return found


def reverted_removal(tree: Path, place: Path) -> bytes:
    """``crypto/af_alg.c`` of ``tree`` with the removal of zero-copy (ffdd2bc37895) undone.

    The patch is what its backport changed in that file between Debian's 6.12.95, the last
    with zero-copy, and the first later source that the archive still has.
    """
    before, after = (
        read_source("6.12", version, [AF_ALG], place)[AF_ALG] for version in ("6.12.95", "6.12.96")
    )
    with TemporaryDirectory(dir=place) as scratch:
        files = {}
        for name, content in (
            ("now", (tree / AF_ALG).read_bytes()),
            ("after", after),
            ("before", before),
        ):
            files[name] = Path(scratch) / name
            files[name].write_bytes(content)
        merged = run(
            ["git", "merge-file", "-p", files["now"], files["after"], files["before"]],
            doing=f"undoing the removal in {AF_ALG}",
        )
    if "extract_iter_to_sg" not in merged:
        raise SystemExit(f"the sources of 6.12 do not show the removal in {AF_ALG}")
    return merged.encode()


def _source_package(series: str, version: str, place: Path) -> Path:
    found = fetch_package(
        KernelSources(default_cache_dir()), f"linux-source-{series}", version, place
    )
    if found is None:
        raise SystemExit(f"the archive has no linux-source-{series} of {version} or later")
    return found


def _archive_in(package: Path, series: str, place: Path) -> Path:
    with DebFile(str(package)) as deb:
        content = deb.data.get_file(f"usr/src/linux-source-{series}.tar.xz")
        target = place / "source.tar.xz"
        with target.open("wb") as file:
            while block := content.read(1 << 20):
                file.write(block)
    return target
