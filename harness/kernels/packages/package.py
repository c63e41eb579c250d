"""What every kind of package has in common: what is known of one, and how it is unpacked.

The distributions' own programs read their formats. Each is given the package on its stdin
and writes the files in it as a tar stream, of which only regular files that a guest can
need are written to disk; so a package of any size takes little memory and little room, and
no member can name a place outside the target.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError, InputError
from harness.model import PackageFile
from harness.processes import finish, helper, search_path
from harness.scratch import scratch_directory

#: Members worth unpacking. Most modules drive hardware that no guest of ours has.
_WANTED = re.compile(
    r"(?:usr/)?(?P<path>boot/(?:vmlinuz|config)-[^/]+"
    r"|lib/modules/[^/]+/(?:vmlinuz|config|modules\.[^/]+"
    r"|kernel/(?!drivers/|sound/).+"
    r"|kernel/drivers/(?:block|char|crypto|dax|md|virtio)/.+))"
)
#: What the system says of names that contradict each other, or are none.
_NAME_ERRORS = (errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR)
_DAMAGED = (tarfile.TarError, ValueError, EOFError, OverflowError)


@dataclass(frozen=True)
class Need:
    """Another part of its kernel that a package asks for."""

    names: tuple[str, ...]  # any one of these will do
    version: str  # exactly this; "" if any will do
    label: str  # what a person would look for


@dataclass(frozen=True)
class PackageFormat:
    """One distribution family's format of packages."""

    title: str  # "an RPM package"
    suffixes: tuple[str, ...]  # of file names
    read: Callable[[Path], Package]
    #: The program that turns the package on its stdin into a tar stream.
    payload: Callable[[Path], Sequence[str]]
    #: Given a release, the package that has the image.
    image_package: Callable[[str], str]
    #: Given the package that has the image, and a release, the one that has the modules;
    #: None if that should have been the same.
    modules_package: Callable[[str, str], str | None]


@dataclass(frozen=True)
class Package:
    """What a package says of itself, as far as it matters here."""

    path: Path
    name: str
    version: str
    architecture: str
    sha256: str
    needs: tuple[Need, ...] = ()
    #: Names that others can need it by, beside its own, with the version of each.
    provides: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Output:
    """What a program made of a package."""

    code: int
    stdout: str
    reason: str  # the first line it had to say, without its own name


def checksum(path: Path) -> str:
    """SHA-256 of the file at ``path``, in hex. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def check_architecture(path: Path, found: str, names: Mapping[str, str], neutral: str) -> None:
    """Raise InputError if the package at ``path`` is for another machine than this one.

    ``names`` has the format's name of each supported machine (as ``uname -m`` calls it);
    ``neutral`` is its word for any. Raises HostError if this machine is not among them.
    """
    machine = platform.machine()
    if machine not in names:
        raise HostError(f"this machine is {machine}; kernels are booted on x86_64 only")
    if found not in (names[machine], neutral):
        raise InputError(
            f"{path} is for {found or 'no architecture'}; this machine is {names[machine]}"
        )


def read_with(argv: Sequence[str], path: Path) -> Output:
    """Run a program with the package at ``path`` as its stdin, to its end.

    Raises HostError if the program is not installed.
    """
    with scratch_directory() as home, path.open("rb") as package:
        result = finish(argv, stdin=package.fileno(), environment=_environment(home))
    return Output(result.returncode, result.stdout, _reason(result.stderr))


@contextlib.contextmanager
def payload_of(path: Path, argv: Sequence[str]) -> Iterator[tarfile.TarFile]:
    """The files of the package at ``path``, which ``argv`` writes as a tar stream.

    The stream can be read once, from its beginning on, and is read to its end at exit.
    Raises EOFError with the reason if the package is damaged or cut short, HostError if the
    program is not installed.
    """
    with (
        scratch_directory() as home,
        path.open("rb") as package,
        tempfile.TemporaryFile() as said,
        helper(
            argv,
            stdin=package.fileno(),
            stdout=subprocess.PIPE,
            stderr=said.fileno(),
            environment=_environment(home),
        ) as process,
    ):
        assert process.stdout is not None
        damage: Exception | None = None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                yield archive
        except _DAMAGED as error:
            damage = error
        while process.stdout.read(1 << 20):
            pass
        # What the program says of a damaged package tells more than the stream's end.
        if process.wait() != 0:
            said.seek(0)
            reason = _reason(said.read().decode(errors="replace"))
            raise EOFError(reason or f"{argv[0]} failed ({process.returncode})") from damage
        if damage is not None:
            raise EOFError(str(damage)) from damage


def unpack_payload(path: Path, argv: Sequence[str], target: Path) -> list[str]:
    """Unpack what a guest can need below ``target``, ``usr/`` taken off.

    ``argv`` is as for ``payload_of``, and so is what is raised. Returns the paths of the
    files written, relative to ``target``.
    """
    written = []
    with payload_of(path, argv) as archive:
        for member in archive:
            place = _wanted(str(member.name))
            if place is not None and (member.isfile() or member.islnk()):
                _write(archive, member, target, place)
                written.append(place)
    return written


def _wanted(name: str) -> str | None:
    """Where a member of this name belongs; None if it is of no use, or leads elsewhere."""
    name = name.removeprefix("./")
    match = _WANTED.fullmatch(name)
    if not match or not name.isprintable() or {"", ".", ".."} & set(name.split("/")):
        return None
    return match.group("path")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, place: str) -> None:
    path = target / place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.islnk():
            _copy_linked(member, target, path)
            return
        source = archive.extractfile(member)
        assert source is not None  # it is a regular file
        with source, path.open("wb") as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        if error.errno not in _NAME_ERRORS:
            raise
        raise EOFError(f"{member.name} cannot be in it: {error.strerror}") from error


def _copy_linked(member: tarfile.TarInfo, target: Path, path: Path) -> None:
    original = _wanted(member.linkname)
    if original is None or not (target / original).is_file():
        raise EOFError(f"{member.name} is a link to {member.linkname}, which is not in it before")
    if target / original != path:
        shutil.copyfile(target / original, path)


def _environment(home: Path) -> dict[str, str]:
    """For programs that read packages: rpm makes a data base in the home directory."""
    return {**os.environ, "PATH": search_path(), "HOME": str(home), "LC_ALL": "C.UTF-8"}


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    # The first line tells the cause, later ones who gave up over it. What program that was
    # and that it read from stdin is ours to know.
    words = re.sub(r"^(?:[\w-]+(?: \(\w+\))?: )?(?:error: )?", "", lines[0])
    return re.sub(r"^(?:/\*stdin\*\\|\(?stdin\)?|/dev/stdin)\s*: ", "", words)


def package_file(package: Package, trust: str) -> PackageFile:
    """``package`` as results name it."""
    return PackageFile(package.name, package.version, package.sha256, trust)
