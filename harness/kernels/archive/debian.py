"""The kernels in Debian's archive, and the packages that carry them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from debian.debian_support import Version

from harness import inuse
from harness.errors import FetchError, InputError
from harness.files import write_whole
from harness.kernels.archive.apt import PrivateApt, failed_suites, require_space
from harness.kernels.archive.suites import SUITES
from harness.mirror import APT_HELPER, Mirror, last_line

#: Seconds after which an index is fetched again.
INDEX_LIFETIME = 24 * 3600

SIGNED = "signed index"
UNSIGNED = "outside the signed index"

_IMAGE = re.compile(r"linux-image-([0-9]\S*?-(?:(cloud|rt)-)?amd64)")
_PART = re.compile(r"(linux-(?:binary|modules|base)-[0-9]\S*)\s+\(=\s*([^)\s]+)\)")

Report = Callable[[str, float | None], None]


@dataclass(frozen=True)
class ArchiveKernel:
    """One kernel that the index lists."""

    release: str
    version: str  # of its linux-image package
    flavour: str  # "amd64", "cloud-amd64" or "rt-amd64"
    suites: tuple[str, ...]


@dataclass(frozen=True)
class ArchivePackage:
    """One package to fetch; ``sha256`` and ``size`` (bytes) are None outside the index."""

    name: str
    version: str
    sha256: str | None
    size: int | None

    @property
    def trust(self) -> str:
        """How far its content is vouched for, in the words of ``PackageFile.trust``."""
        return UNSIGNED if self.sha256 is None else SIGNED


def flavour_of(release: str) -> str:
    """The flavour of one of Debian's releases: "amd64", "cloud-amd64" or "rt-amd64"."""
    match = _IMAGE.fullmatch(f"linux-image-{release}")
    variant = match.group(2) if match else None
    return f"{variant}-amd64" if variant else "amd64"


def newest(kernels: Iterable[ArchiveKernel], suite: str, flavour: str) -> ArchiveKernel | None:
    """The newest kernel of a flavour in a suite by Debian's order of versions, or None."""
    among = [kernel for kernel in kernels if suite in kernel.suites and kernel.flavour == flavour]
    return max(among, key=lambda kernel: Version(kernel.version), default=None)


def parse_madison(output: str) -> tuple[ArchiveKernel, ...]:
    """The kernels in the output of ``apt-cache madison linux-image-…``, newest first.

    A release that comes in several package versions is listed once for each.
    """
    suites: dict[tuple[str, str], set[str]] = {}
    for line in output.splitlines():
        name, version, source = (field.strip() for field in line.split("|", 2))
        place = source.split()
        if len(place) > 2 and place[-1] == "Packages":
            suites.setdefault((name, version), set()).add(place[1].partition("/")[0])
    kernels = []
    for (name, version), among in suites.items():
        match = _IMAGE.fullmatch(name)
        if match:
            release = match.group(1)
            order = tuple(sorted(among, key=SUITES.index))
            kernels.append(ArchiveKernel(release, version, flavour_of(release), order))
    return tuple(sorted(kernels, key=lambda kernel: Version(kernel.version), reverse=True))


def meta_packages(stanzas: str) -> set[str]:
    """Those of the packages in ``stanzas`` that only stand for another linux-image.

    Such as linux-image-6.12-amd64 in bookworm; 7.3-amd64, named alike, is a kernel.
    """
    from debian.deb822 import Packages  # noqa: PLC0415  (25 ms)

    return {
        stanza["Package"]
        for stanza in Packages.iter_paragraphs(stanzas, use_apt_pkg=False)
        if re.search(r"\blinux-image-[0-9]", stanza.get("Depends", ""))
    }


def needed_packages(kernel: ArchiveKernel, stanzas: str) -> tuple[ArchivePackage, ...]:
    """The packages that carry ``kernel``, going by the index's ``stanzas`` about them.

    Up to 6.17 linux-image carries everything, 6.18 keeps its config in linux-base, and
    from 6.19 on linux-image only names, by exact version, the packages that carry the
    parts. A part that the index no longer lists has no checksum.
    """
    from debian.deb822 import Packages  # noqa: PLC0415  (25 ms)

    listed: dict[tuple[str, str], Mapping[str, str]] = {}
    for stanza in Packages.iter_paragraphs(stanzas, use_apt_pkg=False):
        listed.setdefault((stanza["Package"], stanza["Version"]), stanza)
    image = listed[f"linux-image-{kernel.release}", kernel.version]
    parts = _PART.findall(image.get("Depends", ""))
    wanted = list(parts)
    if not any(name.startswith("linux-binary-") for name, _ in parts):
        wanted.append((image["Package"], image["Version"]))
    return tuple(
        _wanted(name, version, listed.get((name, version))) for name, version in sorted(wanted)
    )


def _wanted(name: str, version: str, stanza: Mapping[str, str] | None) -> ArchivePackage:
    if stanza is None or "SHA256" not in stanza:
        return ArchivePackage(name, version, None, None)
    return ArchivePackage(name, version, stanza["SHA256"], int(stanza["Size"]))


def file_name(package: ArchivePackage) -> str:
    """The name of the package's file in the archive's pool."""
    version = Version(package.version)
    revision = f"-{version.debian_revision}" if version.debian_revision else ""
    return f"{package.name}_{version.upstream_version}{revision}_amd64.deb"


class Archive:
    """One mirror's index, and the way to fetch what it names."""

    def __init__(self, cache: Path, mirror: Mirror) -> None:
        """Files go below ``cache``; nothing is read or fetched yet."""
        self.mirror = mirror
        identity = hashlib.sha256(f"{mirror.main} {mirror.security}".encode()).hexdigest()[:12]
        self._apt = PrivateApt(cache / "apt" / identity)
        self._packages = cache / "packages"
        self._stamp = self._apt.state / "updated.json"

    def needs_update(self, now: float) -> bool:
        """Whether the index is absent or older than INDEX_LIFETIME at ``now`` (Unix time)."""
        try:
            updated = float(json.loads(self._stamp.read_text())["time"])
        except (OSError, ValueError, KeyError):
            return True
        return not 0 <= now - updated < INDEX_LIFETIME

    def update(self) -> None:
        """Fetch the index of every suite, keeping those that answer.

        Raises FetchError if none does, HostError if apt or the archive's keys are missing.
        """
        self._apt.configure(self.mirror)
        result = self._apt.run(["apt-get", "update"])
        failed = failed_suites(result.stderr)
        if len(failed) == len(SUITES) or (result.returncode != 0 and not failed):
            raise FetchError(
                f"the package index of {self.mirror.main} could not be fetched:"
                f" {last_line(result.stderr)}"
            )
        write_whole(self._stamp, json.dumps({"time": time.time(), "failed": sorted(failed)}))

    def hold(self) -> bool:
        """Mark the index as used by this process; False if there is none."""
        return self._stamp.exists() and inuse.hold(self._apt.state)

    def failed_suites(self) -> tuple[str, ...]:
        """The suites whose index could not be fetched the last time."""
        return tuple(json.loads(self._stamp.read_text())["failed"])

    def kernels(self) -> tuple[ArchiveKernel, ...]:
        """Every kernel that the index lists, newest first. The index must be there."""
        names = self._apt.query(["apt-cache", "pkgnames", "linux-image-"]).split()
        images = sorted(name for name in names if _IMAGE.fullmatch(name))
        if not images:
            return ()
        metas = meta_packages(self._apt.query(["apt-cache", "show", *images]))
        kernels = parse_madison(self._apt.query(["apt-cache", "madison", *images]))
        return tuple(kernel for kernel in kernels if f"linux-image-{kernel.release}" not in metas)

    def packages_of(self, kernel: ArchiveKernel) -> tuple[ArchivePackage, ...]:
        """The packages that carry ``kernel``."""
        known = set(self._apt.query(["apt-cache", "pkgnames", "linux-"]).split())
        parts = [
            f"linux-{part}-{kernel.release}" for part in ("image", "binary", "modules", "base")
        ]
        present = [name for name in parts if name in known]
        return needed_packages(kernel, self._apt.query(["apt-cache", "show", *present]))

    def download(self, name: str, version: str, place: Path) -> Path | None:
        """Download the oldest package ``name`` of at least ``version`` into ``place``.

        None if the index lists none. Raises FetchError.
        """
        listed = self._apt.query(["apt-cache", "madison", name]).splitlines()
        versions = {line.split("|")[1].strip() for line in listed if line.count("|") >= 2}
        later = [one for one in versions if Version(one) >= Version(version)]
        if not later:
            return None
        chosen = min(later, key=Version)
        result = self._apt.run_with_progress(
            ["apt-get", "download", f"{name}={chosen}"], place, lambda _: None
        )
        found = next(iter(place.glob("*.deb")), None)
        if result.returncode != 0 or found is None:
            raise FetchError(f"{name} could not be downloaded: {last_line(result.stderr)}")
        return found

    def fetch(self, package: ArchivePackage, report: Report) -> Path:
        """The package's file, downloaded unless an earlier attempt already left it whole.

        The caller holds the lock of the kernel, and deletes the file when it has served:
        a bootable kernel takes half the space of its packages, and they can be had again.
        Raises InputError if the archive does not hold the package any more, FetchError if
        the download failed.
        """
        target = self._packages / file_name(package)
        if package.sha256 is not None and _has_sha256(target, package.sha256):
            return target
        place = self._packages / f".{package.name}.part"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        require_space(place, package.size or 0)
        try:
            if package.sha256 is None:
                found = self._fetch_from_pool(package, place, report)
            else:
                found = self._fetch_from_index(package, place, report)
            found.replace(target)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return target

    def _fetch_from_index(self, package: ArchivePackage, place: Path, report: Report) -> Path:
        size = f" ({package.size / 1e6:.0f} MB)" if package.size else ""
        activity = f"downloading {package.name}{size}"
        report(activity, 0.0)
        result = self._apt.run_with_progress(
            ["apt-get", "download", f"{package.name}={package.version}"],
            place,
            lambda fraction: report(activity, fraction),
        )
        found = next(iter(place.glob("*.deb")), None)
        if result.returncode != 0 or found is None:
            raise FetchError(
                f"{package.name} could not be downloaded from {self.mirror.main}:"
                f" {last_line(result.stderr)}"
            )
        if package.sha256 is None or not _has_sha256(found, package.sha256):
            raise FetchError(f"{package.name} from {self.mirror.main} is not what the index says")
        return found

    def _fetch_from_pool(self, package: ArchivePackage, place: Path, report: Report) -> Path:
        # Only the unsigned parts lose their index entry, and those come from source "linux".
        source = "linux-signed-amd64" if package.name.startswith("linux-binary") else "linux"
        url = f"{self.mirror.main}/pool/main/l/{source}/{file_name(package)}"
        report(f"downloading {package.name} from the pool, outside the signed index", None)
        found = place / file_name(package)
        result = self._apt.run([str(APT_HELPER), "download-file", url, str(found)])
        if result.returncode == 0 and found.is_file():
            return found
        if re.search(r"\b404\b|File not found|No such file", result.stderr + result.stdout):
            raise InputError(
                f"{package.name} {package.version} is gone from the archive: neither the index"
                f" nor the pool of {self.mirror.main} has it, so this kernel cannot be assembled"
            )
        raise FetchError(
            f"{package.name} could not be downloaded from the pool of {self.mirror.main}:"
            f" {last_line(result.stderr)}"
        )


def _has_sha256(path: Path, expected: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except FileNotFoundError:
        return False
