"""Is this host fit to run guests? What is missing, and the command that mends it."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError, InfrastructureError
from harness.guest.accel import qemu_version
from harness.guest.vng import QEMU
from harness.kernels.source.kbuild import find_compiler
from harness.processes import PACKAGES, find_program, find_vng, finish

_NEEDED_BYTES = 3 << 30  # image, two kernels with their packages, room to build
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class HostCheck:
    """One line of ``doctor``."""

    name: str
    ok: bool
    found: str  # what was seen
    remedy: str = ""  # command that mends it, if not ok
    required: bool = True  # False: good to have


def check_host(cache: Path) -> list[HostCheck]:
    """All checks of this host; ``cache`` is the cache directory that will be used."""
    checks = [_program(name, package) for name, package in _programs()]
    checks += [check() for check in (_python, _vng, _busybox, _keyring, _kvm)]
    if os.geteuid() != 0:
        checks += _user_namespaces()
    checks.append(_builds())
    checks.append(_space(cache))
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
        return HostCheck(name, False, "not installed", f"apt-get install {package}")
    return HostCheck(name, True, found)


def _python() -> HostCheck:
    version = ".".join(map(str, sys.version_info[:3]))
    return HostCheck(
        "python", sys.version_info >= (3, 11), version, "apt-get install python3 (>= 3.11)"
    )


def _vng() -> HostCheck:
    try:
        return HostCheck("vng", True, find_vng())
    except HostError:
        return HostCheck("vng", False, "not installed", "pip install 'virtme-ng>=1.42'")


def _busybox() -> HostCheck:
    # vng copies it into the initramfs, where no library is.
    remedy = "apt-get install busybox-static"
    try:
        path = find_program("busybox")
        kind = finish(["file", "-L", path]).stdout
    except HostError as error:
        return HostCheck("busybox", False, str(error), remedy)
    static = "static" in kind
    return HostCheck("busybox", static, path if static else f"{path} is not static", remedy)


def _keyring() -> HostCheck:
    return HostCheck(
        "archive keyring",
        _KEYRING.is_file(),
        str(_KEYRING) if _KEYRING.is_file() else f"no {_KEYRING}",
        "apt-get install debian-archive-keyring",
    )


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
    ranges = Path("/etc/subuid")
    granted = ranges.is_file() and any(
        line.startswith(f"{user}:") for line in ranges.read_text().splitlines()
    )
    yield HostCheck(
        "subordinate uids",
        granted,
        f"{user} has a range in /etc/subuid" if granted else f"{user} has none in /etc/subuid",
        f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
    )
    try:
        allowed = finish(["unshare", "--map-root-user", "true"]).returncode == 0
    except HostError:
        allowed = False
    yield HostCheck(
        "user namespaces",
        allowed,
        "allowed" if allowed else "not allowed",
        "sysctl kernel.unprivileged_userns_clone=1",
    )


def _space(cache: Path) -> HostCheck:
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return HostCheck(
        "disk space",
        free >= _NEEDED_BYTES,
        f"{free / (1 << 30):.1f} GiB free below {existing}",
        "free some, or choose another place with --cache DIR",
    )
