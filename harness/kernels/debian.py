"""Debian's archive: its kernels, and their packages, by way of apt with a private state.

apt runs as whoever runs us, with lists, caches and sources of its own below our cache; the
machine's apt is read for the mirror and for how to reach it (proxies, timeouts), never
changed. Packages that the signed index names are checked against it by apt.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Packages
from debian.debian_support import Version

from harness.errors import FetchError, HostError, InfrastructureError, InputError
from harness.kernels.spec import SUITES
from harness.processes import find_program

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
APT_HELPER = Path("/usr/lib/apt/apt-helper")
#: Seconds after which an index is fetched again.
INDEX_LIFETIME = 24 * 3600

SIGNED = "signed index"
UNSIGNED = "outside the signed index"

#: Releases under which a machine's own sources may list Debian.
_DEBIAN_DIST = re.compile(
    r"(?:old)*stable|testing|unstable|sid|experimental|bullseye|bookworm|trixie|forky|duke"
)
_IMAGE = re.compile(r"linux-image-([0-9]\S*?-(?:(cloud|rt)-)?amd64)")
_PART = re.compile(r"(linux-(?:binary|modules|base)-[0-9]\S*)\s+\(=\s*([^)\s]+)\)")
_MIRROR = re.compile(r"(?:https?|ftp|file|copy):/\S*[^/\s]")
_FETCH_FAILED = re.compile(r"(?:/dists/|\s)([a-z-]+)(?:/InRelease|\s(?:In)?Release\b|/main/)")
_PERCENT = re.compile(r"(?:dlstatus|pmstatus):[^:]*:([0-9.]+):")

Report = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Mirror:
    """Base URLs of the main archive and of its security archive."""

    main: str
    security: str


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


def given_mirror(url: str) -> Mirror:
    """The mirror at ``url`` (of the main archive). Raises InputError if it is no URL."""
    base = url.rstrip("/")
    if not _MIRROR.fullmatch(base) or "[" in base:
        raise InputError(f"{url!r} is not the URL of a mirror (such as http://HOST/debian)")
    return Mirror(base, f"{base}-security")


def machine_mirror(targets: str) -> Mirror:
    """The mirror among a machine's index targets, lines of ``RELEASE|COMPONENT|URI``.

    Raises HostError if none of them is Debian's.
    """
    main = security = None
    for line in targets.splitlines():
        release, component, uri = line.split("|", 2)
        dist, _, pocket = release.partition("-")
        if component != "main" or not _DEBIAN_DIST.fullmatch(dist.partition("/")[0]):
            continue
        base = uri.rstrip("/")
        if pocket == "security" or dist.endswith("/updates"):
            security = security or base
        else:
            main = main or base
    if main is None:
        raise HostError(
            "apt on this machine has no mirror of Debian; name one with --mirror or AFALG_MIRROR"
        )
    return Mirror(main, security or f"{main}-security")


def newest(kernels: Iterable[ArchiveKernel], suite: str, flavour: str) -> ArchiveKernel | None:
    """The newest kernel of a flavour in a suite by Debian's order of versions, or None."""
    among = [kernel for kernel in kernels if suite in kernel.suites and kernel.flavour == flavour]
    return max(among, key=lambda kernel: Version(kernel.version), default=None)


def parse_madison(output: str) -> tuple[ArchiveKernel, ...]:
    """The kernels in the output of ``apt-cache madison linux-image-…``, newest first.

    Where a release comes in several package versions only the newest counts.
    """
    suites: dict[tuple[str, str], set[str]] = {}
    for line in output.splitlines():
        name, version, source = (field.strip() for field in line.split("|", 2))
        place = source.split()
        if _IMAGE.fullmatch(name) and len(place) > 2 and place[-1] == "Packages":
            suites.setdefault((name, version), set()).add(place[1].partition("/")[0])
    kernels: dict[str, ArchiveKernel] = {}
    for (name, version), among in suites.items():
        match = _IMAGE.fullmatch(name)
        assert match is not None
        release, variant = match.groups()
        flavour = f"{variant}-amd64" if variant else "amd64"
        known = kernels.get(release)
        if known is None or Version(known.version) < Version(version):
            order = tuple(sorted(among, key=SUITES.index))
            kernels[release] = ArchiveKernel(release, version, flavour, order)
    return tuple(sorted(kernels.values(), key=lambda kernel: Version(kernel.version), reverse=True))


def needed_packages(kernel: ArchiveKernel, stanzas: str) -> tuple[ArchivePackage, ...]:
    """The packages that carry ``kernel``, going by the index's ``stanzas`` about them.

    Up to 6.17 linux-image carries everything, 6.18 keeps its config in linux-base, and
    from 6.19 on linux-image only names, by exact version, the packages that carry the
    parts. A part that the index no longer lists has no checksum.
    """
    listed: dict[tuple[str, str], Packages] = {}
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


def _wanted(name: str, version: str, stanza: Packages | None) -> ArchivePackage:
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
        self.state = cache / "apt" / identity
        self._packages = cache / "packages"
        self._stamp = self.state / "updated.json"

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
        self._write_configuration()
        result = self._apt(["apt-get", "update"])
        failed = failed_suites(result.stderr)
        if len(failed) == len(SUITES) or (result.returncode != 0 and not failed):
            raise FetchError(
                f"the package index of {self.mirror.main} could not be fetched:"
                f" {_last_line(result.stderr)}"
            )
        self._stamp.write_text(json.dumps({"time": time.time(), "failed": sorted(failed)}))

    def failed_suites(self) -> tuple[str, ...]:
        """The suites whose index could not be fetched the last time."""
        return tuple(json.loads(self._stamp.read_text())["failed"])

    def kernels(self) -> tuple[ArchiveKernel, ...]:
        """Every kernel that the index lists, newest first. The index must be there."""
        names = self._query(["apt-cache", "pkgnames", "linux-image-"]).split()
        images = sorted(name for name in names if _IMAGE.fullmatch(name))
        return parse_madison(self._query(["apt-cache", "madison", *images])) if images else ()

    def packages_of(self, kernel: ArchiveKernel) -> tuple[ArchivePackage, ...]:
        """The packages that carry ``kernel``."""
        known = set(self._query(["apt-cache", "pkgnames", "linux-"]).split())
        parts = [
            f"linux-{part}-{kernel.release}" for part in ("image", "binary", "modules", "base")
        ]
        present = [name for name in parts if name in known]
        return needed_packages(kernel, self._query(["apt-cache", "show", *present]))

    def fetch(self, package: ArchivePackage, report: Report) -> Path:
        """The package's file, downloaded unless an earlier attempt already left it whole.

        The caller holds the lock of the kernel, and deletes the file when it has served.
        Raises InputError if the archive does not hold the package any more, FetchError if
        the download failed.
        """
        target = self._packages / file_name(package)
        if package.sha256 is not None and _has_sha256(target, package.sha256):
            return target
        place = self._packages / f".{package.name}.part"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
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
        result = self._apt_with_progress(
            ["apt-get", "download", f"{package.name}={package.version}"],
            place,
            lambda fraction: report(activity, fraction),
        )
        found = next(iter(place.glob("*.deb")), None)
        if result.returncode != 0 or found is None:
            raise FetchError(
                f"{package.name} could not be downloaded from {self.mirror.main}:"
                f" {_last_line(result.stderr)}"
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
        result = self._apt([str(APT_HELPER), "download-file", url, str(found)])
        if result.returncode == 0 and found.is_file():
            return found
        if re.search(r"\b404\b|File not found|No such file", result.stderr + result.stdout):
            raise InputError(
                f"{package.name} {package.version} is gone from the archive: neither the index"
                f" nor the pool of {self.mirror.main} has it, so this kernel cannot be assembled"
            )
        raise FetchError(
            f"{package.name} could not be downloaded from the pool of {self.mirror.main}:"
            f" {_last_line(result.stderr)}"
        )

    def _write_configuration(self) -> None:
        if not KEYRING.is_file():
            raise HostError(f"{KEYRING} is missing; apt-get install debian-archive-keyring")
        find_program("apt-get")
        for name in ("lists/partial", "cache/archives/partial", "empty"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        (self.state / "sources.list").write_text(sources_list(self.mirror))
        user = pwd.getpwuid(os.geteuid()).pw_name
        configuration = self.state / "apt.conf"
        configuration.touch(mode=0o600)  # it may repeat a proxy's password
        configuration.write_text(apt_configuration(self.state, user, machine_acquire_settings()))

    def _apt(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return _run(argv, self._environment(), self.state)

    def _query(self, argv: Sequence[str]) -> str:
        result = self._apt(argv)
        if result.returncode != 0:
            raise InfrastructureError(
                f"reading the package index in {self.state}: {_last_line(result.stderr)}"
            )
        return result.stdout

    def _environment(self) -> dict[str, str]:
        return dict(os.environ) | {"APT_CONFIG": str(self.state / "apt.conf"), "LC_ALL": "C"}

    def _apt_with_progress(
        self, argv: Sequence[str], directory: Path, advance: Callable[[float], None]
    ) -> subprocess.CompletedProcess[str]:
        """Run apt in ``directory``, passing on how far its download is (0 to 1)."""
        program = find_program(argv[0])
        reading, writing = os.pipe()
        command = [program, "-qq", "-o", f"APT::Status-Fd={writing}", *argv[1:]]
        errors = directory / "stderr"
        with errors.open("w+") as stderr, os.fdopen(reading) as status:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=self._environment(),
                    cwd=directory,
                    pass_fds=(writing,),
                )
            finally:
                os.close(writing)
            try:
                for line in status:
                    match = _PERCENT.match(line)
                    if match:
                        advance(min(float(match.group(1)) / 100, 1.0))
                code = process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
        return subprocess.CompletedProcess(command, code, "", errors.read_text(errors="replace"))


def sources_list(mirror: Mirror) -> str:
    """The sources.list of all suites at ``mirror``."""
    lines = []
    for suite in SUITES:
        base = mirror.security if suite.endswith("-security") else mirror.main
        lines.append(f"deb [signed-by={KEYRING}] {base} {suite} main\n")
    return "".join(lines)


def apt_configuration(state: Path, user: str, acquire: Sequence[str]) -> str:
    """An apt.conf that keeps apt below ``state``, and off the machine's hooks and sources.

    ``acquire`` are lines taken over from the machine's configuration.
    """
    private = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": state / "empty",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": state / "empty",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": state / "empty",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": state / "empty",
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": user,
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
    }
    lines = [*acquire, *(f'{name} "{value}";' for name, value in private.items())]
    lines.append('APT::Architectures { "amd64"; };')
    return "".join(f"{line}\n" for line in lines)


def machine_acquire_settings() -> list[str]:
    """How this machine's apt reaches its mirrors: proxies, timeouts, clock checks."""
    wanted = re.compile(
        r"Acquire::(?:http|https|ftp|Retries|ForceIPv|Check-|Max-ValidTime|Min-ValidTime|Proxy)\S*"
        r' "[^"]+";'
    )
    dump = _run(["apt-config", "dump"], dict(os.environ) | {"LC_ALL": "C"}, None).stdout
    return [line for line in dump.splitlines() if wanted.fullmatch(line)]


@functools.cache
def find_machine_mirror() -> Mirror:
    """The mirror this machine's apt uses. Raises HostError if it uses none of Debian's."""
    find_program("apt-get")
    argv = ["apt-get", "indextargets", "--format", "$(RELEASE)|$(COMPONENT)|$(REPO_URI)"]
    argv.append("Created-By: Packages")
    return machine_mirror(_run(argv, dict(os.environ) | {"LC_ALL": "C"}, None).stdout)


def failed_suites(stderr: str) -> set[str]:
    """The suites that apt-get update complained of on its stderr."""
    failed: set[str] = set()
    for line in stderr.splitlines():
        if line.startswith(("E:", "W:", "Err:")):
            failed.update(name for name in _FETCH_FAILED.findall(line) if name in SUITES)
    return failed


def _run(
    argv: Sequence[str], environment: dict[str, str], directory: Path | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_program(argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        cwd=directory,
        check=False,
    )


def _last_line(text: str) -> str:
    """The most telling line of apt's complaints: its first error, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "W:"))]
    return (errors or lines[-1:] or ["no reason given"])[0].removeprefix("E: ").removeprefix("W: ")


def _has_sha256(path: Path, expected: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected
    except FileNotFoundError:
        return False
