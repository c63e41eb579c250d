"""A kernel spec -> the same kernel on any machine: what is "newest" is decided once in a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.executors.executor import PinnedKernel
from harness.kernels.parts.kernel_parts import from_directory
from harness.kernels.resolve import release_named
from harness.kernels.source.revision import find_revision
from harness.kernels.sources import KernelSources
from harness.kernels.spec import (
    DirectorySpec,
    GitSpec,
    HostSpec,
    ImageSpec,
    PackagesSpec,
    ReleaseSpec,
    SuiteSpec,
    parse_spec,
)
from harness.progress import Progress


def pin(spec: str, sources: KernelSources, progress: Progress) -> PinnedKernel:
    """The kernel that ``spec`` names now; nothing is fetched for it but the archive's index.

    Files of this machine are named by their absolute path, at which other machines must find
    the same. Raises InputError (no such kernel, ``host``), and what reading the index raises.
    """
    match parsed := parse_spec(spec):
        case ReleaseSpec(release):
            return PinnedKernel(spec, spec, release)
        case SuiteSpec():
            release = release_named(spec, sources, progress)
            return PinnedKernel(spec, f"debian:{release}", release)
        case GitSpec(tree):
            _, commit = find_revision(spec, parsed)
            exact = f"git:{tree.absolute()}@{commit.id}"
            return PinnedKernel(spec, exact, exact=f"git:{tree}@{commit.id}")
        case ImageSpec(path):
            return _of_files(spec, [path], str(path.absolute()))
        case PackagesSpec(paths):
            return _of_files(spec, paths, ",".join(str(path.absolute()) for path in paths))
        case DirectorySpec(path):
            return _of_files(spec, [from_directory(path.absolute()).image], str(path.absolute()))
        case HostSpec():
            raise InputError("host: is another kernel on each machine; name its image")


def _of_files(spec: str, files: Iterable[Path], pinned: str) -> PinnedKernel:
    sums = tuple((str(path.absolute()), _sha256(path)) for path in files)
    return replace(PinnedKernel(spec, pinned), files=sums)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def check_files(kernel: PinnedKernel, host: str) -> None:
    """Raise InputError if a file that ``kernel`` was made of is not the same here."""
    for name, expected in kernel.files:
        path = Path(name)
        if not path.is_file():
            raise InputError(f"{kernel.spec}: {host} has no {path}; files must be there, too")
        if _sha256(path) != expected:
            raise InputError(f"{kernel.spec}: {path} is another file on {host}")
