"""Is this host fit to run guests? What is missing, and the command that mends it."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.capacity import GUEST_BYTES, free_memory, guests_in_memory
from harness.distributions import install_command
from harness.errors import HarnessError, HostError, InfrastructureError
from harness.guest.accel import qemu_version
from harness.guest.vng import QEMU
from harness.kernels.source.kbuild import find_compiler
from harness.mirror import choose_mirror
from harness.processes import PACKAGES, find_program, find_vng, finish
from harness.scratch import scratch_place

_NEEDED_BYTES = 3 << 30  # image, two kernels with their packages, room to build
_TEMPORARY_BYTES = 512 << 20  # what a guest writes, the initramfs, the suite
_VNG_VERSION = (1, 42)
_RANGES = (Path("/etc/subuid"), Path("/etc/subgid"))
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class HostCheck:
    """One line of ``doctor``."""

    name: str
    ok: bool
    found: str  # what was seen
    remedy: str = ""  # command that mends it, if not ok
    required: bool = True  # False: good to have
    package: str = ""  # Debian's name of the package that mends it, if that is one


def check_host(cache: Path) -> list[HostCheck]:
    """All checks of this host; ``cache`` is the cache directory that will be used."""
    checks = [_program(name, package) for name, package in _programs()]
    checks += [check() for check in (_python, _vng, _busybox, _keyring, _mirror)]
    checks += [check() for check in (_kvm, _terminals, _memory)]
    checks += [_mounts()] if os.geteuid() == 0 else _user_namespaces()
    checks.append(_builds())
    checks += [_cache(cache), _temporary_files()]
    return checks


def _programs() -> Iterator[tuple[str, str]]:
    needed = ("apt-get", "depmod", "file", "mkfs.ext4", "mmdebstrap", "modprobe", "tar", QEMU)
    for name in needed:
        yield name, PACKAGES[name]


def _program(name: str, package: str) -> HostCheck:
    try:
        path = find_program(name)
        found = f"{path} ({qemu_version()})" if name == QEMU else path
    except HostError:
        return _package_missing(name, "not installed", package)
    except InfrastructureError as error:
        return HostCheck(name, False, str(error), f"{install_command(package)} (again)")
    return HostCheck(name, True, found)


def _package_missing(name: str, found: str, package: str) -> HostCheck:
    return HostCheck(name, False, found, install_command(package), package=package)


def _python() -> HostCheck:
    version = ".".join(map(str, sys.version_info[:3]))
    return HostCheck("python", sys.version_info >= (3, 11), version, "Python 3.11 or later")


def _vng() -> HostCheck:
    remedy = "pip install 'virtme-ng>=1.42'"
    try:
        path = find_vng()
        version = importlib.metadata.version("virtme-ng")
    except (HostError, importlib.metadata.PackageNotFoundError):
        return HostCheck("vng", False, "not installed", remedy)
    numbers = tuple(int(word) for word in version.split(".")[:2] if word.isdecimal())
    return HostCheck("vng", numbers >= _VNG_VERSION, f"{path} ({version})", remedy)


def _busybox() -> HostCheck:
    # vng copies it into the initramfs, where no library is.
    package = PACKAGES["busybox"]
    try:
        path = find_program("busybox")
        kind = finish(["file", "-L", path]).stdout
    except HostError as error:
        return _package_missing("busybox", str(error), package)
    if "static" not in kind:
        return _package_missing("busybox", f"{path} is not static", package)
    return HostCheck("busybox", True, path)


def _keyring() -> HostCheck:
    if not _KEYRING.is_file():
        return _package_missing("archive keyring", f"no {_KEYRING}", _KEYRING.stem)
    return HostCheck("archive keyring", True, str(_KEYRING))


def _mirror() -> HostCheck:
    """Where Debian is had from: of it are the guest's root and most kernels."""
    try:
        named = os.environ.get("AFALG_MIRROR")
        mirror = choose_mirror(named)
    except HarnessError as error:
        return HostCheck("mirror", False, str(error), "export AFALG_MIRROR=URL")
    source = "AFALG_MIRROR" if named else "apt on this machine"
    return HostCheck("mirror", True, f"{mirror.main} ({source})")


def _kvm() -> HostCheck:
    kvm = Path("/dev/kvm")
    if not kvm.exists():
        return HostCheck(
            "kvm", False, "no /dev/kvm: guests run under TCG emulation", required=False
        )
    if not os.access(kvm, os.R_OK | os.W_OK):
        remedy = f"adduser {getpass.getuser()} kvm"
        return HostCheck(
            "kvm", False, "no right to /dev/kvm: TCG emulation", remedy, required=False
        )
    return HostCheck("kvm", True, "/dev/kvm opens; `run` tries whether it works", required=False)


def _terminals() -> HostCheck:
    """Whether a guest's console can be read: by a pseudo-terminal."""
    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError as error:
        return HostCheck(
            "terminals", False, f"none can be had ({error})", "mount devpts at /dev/pts"
        )
    return HostCheck("terminals", True, "pseudo-terminals can be had")


def _memory() -> HostCheck:
    free = free_memory()
    guests = guests_in_memory(free)
    return HostCheck(
        "memory",
        guests >= 1,
        f"{_size(free)} free, enough for {guests} guests of {_size(GUEST_BYTES)}",
        "end something, or give this machine or container more",
    )


def _mounts() -> HostCheck:
    """What mmdebstrap needs to build the guest image as root."""
    return _mounting("mounts", ["unshare", "--mount"], "run it in a container that may mount")


def _mounting(name: str, namespace: list[str], remedy: str) -> HostCheck:
    try:
        tried = finish([*namespace, "mount", "-t", "tmpfs", "none", tempfile.gettempdir()])
        allowed, said = tried.returncode == 0, (tried.stderr.strip().splitlines() or [""])[-1]
    except HostError as error:
        allowed, said = False, str(error)
    found = "allowed in a namespace" if allowed else f"not allowed: {said}"
    return HostCheck(name, allowed, found, remedy)


def _builds() -> HostCheck:
    """Whether kernels can be built from git revisions, which most runs never ask for."""
    try:
        compiler = find_compiler()
    except InfrastructureError as error:
        remedy = "ci/setup.sh --builds" if Path("ci/setup.sh").is_file() else ""
        return HostCheck("builds", False, f"no git:TREE@REV ({error})", remedy, required=False)
    return HostCheck("builds", True, f"{compiler.command}: {compiler.version}", required=False)


def _user_namespaces() -> Iterator[HostCheck]:
    """What mmdebstrap needs to build the guest image without root."""
    yield _program("newuidmap", PACKAGES["newuidmap"])
    user = getpass.getuser()
    lacking = [str(path) for path in _RANGES if not _has_range(path, user)]
    yield HostCheck(
        "subordinate ids",
        not lacking,
        f"{user} has none in {' and '.join(lacking)}" if lacking else f"{user} has a range of both",
        f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
    )
    yield _mounting(
        "user namespaces",
        ["unshare", "--map-root-user", "--mount"],
        "sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
    )


def _has_range(path: Path, user: str) -> bool:
    """Whether ``user`` has subordinate ids by ``path``, /etc/subuid or /etc/subgid."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith((f"{user}:", f"{os.geteuid()}:")) for line in lines)


def _cache(cache: Path) -> HostCheck:
    """Room in the cache, and the right to all of it: part may be of a run by root, say."""
    check = _room("cache", cache, _NEEDED_BYTES, "--cache DIR or AFALG_CACHE")
    if check.ok:
        for place in sorted(cache.glob("*/")) if cache.is_dir() else ():
            if not os.access(place, os.W_OK | os.X_OK):
                remedy = f"chown -R {getpass.getuser()} {shlex.quote(str(cache))}"
                return HostCheck("cache", False, f"{place} cannot be written to", remedy)
    return check


def _temporary_files() -> HostCheck:
    return _room("temporary files", scratch_place(), _TEMPORARY_BYTES, "TMPDIR")


def _room(name: str, place: Path, needed: int, choice: str) -> HostCheck:
    """Whether ``place``, or the nearest directory above, takes ``needed`` bytes of files."""
    remedy = f"free some, or choose another place with {choice}"
    try:
        existing = next(path for path in (place, *place.parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x")
            file.flush()
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return HostCheck(name, False, f"{place} cannot be written to ({error.strerror})", remedy)
    short = "" if free >= needed else f", less than the {_size(needed)} that a run may need"
    return HostCheck(name, free >= needed, f"{_size(free)} free below {existing}{short}", remedy)


def _size(number: int) -> str:
    return f"{number / (1 << 30):.1f} GiB"
