"""The guest's root file system: a small Debian image, built once and cached by content.

It holds Python, pytest, kmod and mount, and virtme-ng's guest tools. vng asks the guest
to mount those tools and the kernel's modules by 9p; the image's ``mount.9p`` helper
(mount(8), "external helpers") serves them from the image and from a disk instead, so
that no file of the host is needed and kernels without 9p boot alike.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path

import virtme.guest
from filelock import FileLock

from harness import inuse
from harness.errors import InfrastructureError
from harness.files import cache_errors_named
from harness.guest.vng import FAST_MODPROBE, MODULES_DEVICE
from harness.locks import wait_for
from harness.mirror import choose_mirror
from harness.processes import finish, run
from harness.progress import Progress
from harness.scratch import scratch_directory

_FORMAT = 3  # raise when the recipe changes in a way that the key does not show
_SUITE = "bookworm"
_PACKAGES = (
    *("busybox-static", "kmod", "mount", "python3", "python3-pytest"),
    # What the consumers suite runs.
    *("cryptsetup-bin", "kcapi-tools", "openssl", "stress-ng"),
)
_SIZE = "600M"  # sparse; room for what tests write
_SUBJECT = "guest image"

_TOOLS_DIR = "usr/lib/virtme-guest-tools"
_MOUNT_9P = f"""\
#!/bin/sh
# Answers the 9p mounts that vng's init asks for from local disks: mount.9p TAG DIR [-o ...]
# Neither /proc nor /sys is mounted yet.
case "$1" in
virtme.guesttools) exec mount --bind /{_TOOLS_DIR} "$2" ;;
virtme.modules) exec mount -n -t ext4 -o ro {MODULES_DEVICE} "$2" ;;
esac
exit 32
"""
#: Trees that no guest reads.
_DROPPED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt")


def _tools() -> Path:
    return Path(virtme.guest.__file__).parent


def image_key() -> str:
    """Hash of everything the image is made from."""
    digest = hashlib.sha256()
    recipe = (_FORMAT, _SUITE, _PACKAGES, _SIZE, _MOUNT_9P, _DROPPED)
    digest.update(repr(recipe).encode())
    digest.update(importlib.metadata.version("virtme-ng").encode())
    for path in sorted(_tools().rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(_tools())).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:24]


def guest_image(cache: Path, mirror: str | None, progress: Progress) -> Path:
    """Path of the ext4 image, building it if the cache lacks it (some 20 s and 60 MB).

    ``cache`` is the cache root; ``mirror`` a Debian mirror, or None for the one that this
    machine's apt uses. Raises HostError (mmdebstrap missing) or InfrastructureError.
    """
    target = cache / "images" / image_key() / "root.ext4"
    while not (inuse.hold(target.parent) and target.is_file()):
        # Again if someone deleted the directory meanwhile.
        with cache_errors_named(cache):
            _make(target, mirror, progress)
    return target


def _make(target: Path, mirror: str | None, progress: Progress) -> None:
    """Build the image at ``target`` unless another process has done so meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not inuse.hold(target.parent):
        return
    lock = FileLock(target.parent / "lock")
    wait_for(lock)
    try:
        if not target.is_file():
            for stale in target.parent.glob("build-*"):
                shutil.rmtree(stale, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as scratch:
                _build(Path(scratch), target, choose_mirror(mirror).main, progress)
            progress.finish(_SUBJECT, "built")
    finally:
        lock.release()


def _build(scratch: Path, target: Path, mirror: str, progress: Progress) -> None:
    archive, tree, image = scratch / "root.tar", scratch / "root", scratch / "root.ext4"
    progress.report(_SUBJECT, f"building from {_SUITE} with mmdebstrap (once, some 20 s)")
    is_root = os.geteuid() == 0
    # mmdebstrap's unshared user must be able to enter its directory.
    with scratch_directory(passable=True) as temporary:
        run(
            [
                *(_contained() if is_root else []),
                "mmdebstrap",
                f"--mode={'root' if is_root else 'unshare'}",
                "--variant=essential",
                f"--include={','.join(_PACKAGES)}",
                "--format=tar",
                '--aptopt=APT::Sandbox::User "root"',
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                _SUITE,
                str(archive),
                mirror,
            ],
            doing="building the guest image",
            environment={**os.environ, "TMPDIR": str(temporary)},
        )
    progress.report(_SUBJECT, "writing the file system")
    tree.mkdir(mode=0o755)
    run(
        ["tar", "-x", "--no-same-owner", "--exclude=./dev/*", "-f", archive, "-C", tree],
        doing="unpacking the guest image",
    )
    for name in _DROPPED:
        shutil.rmtree(tree / name, ignore_errors=True)
    shutil.copytree(_tools(), tree / _TOOLS_DIR, ignore=shutil.ignore_patterns("__pycache__"))
    _add_boot_helpers(tree)
    # As an ordinary user, a user namespace makes mkfs see the files as root's.
    as_root = [] if is_root else ["unshare", "--map-root-user"]
    run(
        [
            *as_root,
            *("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0"),
            *("-E", "root_owner=0:0", "-d", tree, image, _SIZE),
        ],
        doing="writing the guest image",
    )
    if not image.is_file():
        raise InfrastructureError(f"writing the guest image: mkfs.ext4 left no {image}")
    image.replace(target)


def _add_boot_helpers(tree: Path) -> None:
    """Put into the image what its boot needs beside Debian's packages."""
    helper = tree / "usr/sbin/mount.9p"
    helper.write_text(_MOUNT_9P)
    helper.chmod(0o755)
    # A dynamically linked program takes an emulated CPU several times as long to start as
    # a static one. The initramfs's PATH has sbin first, so that init finds these; and the
    # kernel runs modprobe twice for every instance of a template that a bind() asks for.
    for name in ("usr/sbin/mkdir", "usr/sbin/mount", FAST_MODPROBE.lstrip("/")):
        link = tree / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("/usr/bin/busybox")


def _contained() -> list[str]:
    """Words before root's mmdebstrap: what it mounts and starts ends with it, however it ends.

    Nothing where root may not do that (in some containers).
    """
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return words if finish([*words, "true"]).returncode == 0 else []
