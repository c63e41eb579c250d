"""The guest's root file system: a small Debian image, built once and cached by content.

It holds Python, pytest, kmod and busybox, and virtme-ng's guest tools. vng asks the guest
to mount those tools and the kernel's modules by 9p; the image's ``mount`` serves them from
the image and from a disk instead, so that no file of the host is needed and kernels without
9p boot alike.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import virtme.guest
from debian.debian_support import Version
from filelock import FileLock

from harness import inuse
from harness.errors import FetchError, InputError
from harness.files import cache_errors_named, write_whole
from harness.guest.file_system import write_file_system
from harness.guest.image_suite import KNOWN_STABLE, STABLE, newest_stable, release_of
from harness.guest.vng import FAST_MODPROBE, MODULES_DEVICE
from harness.locks import wait_for
from harness.mirror import choose_mirror
from harness.model import ImageContents
from harness.processes import finish, run
from harness.progress import Progress
from harness.scratch import scratch_directory
from harness.strict import MALFORMED, strict_converter

#: Of a guest whose suite nobody names.
DEFAULT_SUITE = STABLE
_FORMAT = 7  # raise when the recipe changes in a way that the key does not show
_PACKAGES = (
    *("busybox-static", "kmod", "python3", "python3-pytest"),
    # What the consumers suite runs.
    *("cryptsetup-bin", "kcapi-tools", "openssl", "stress-ng"),
)
_SIZE = "600M"  # sparse; room for what tests write
_SUBJECT = "guest image"

_TOOLS_DIR = "usr/lib/virtme-guest-tools"
_BUSYBOX = "/usr/bin/busybox"
_MOUNT = f"""\
#!/bin/sh
# Answers the 9p mounts that vng's init asks for from local disks: mount [OPTION...] TAG DIR
# Neither /proc nor /sys is mounted yet.
for word; do tag=$directory directory=$word; done
case "$tag" in
virtme.guesttools) exec {_BUSYBOX} mount --bind /{_TOOLS_DIR} "$directory" ;;
virtme.modules) exec {_BUSYBOX} mount -n -t ext4 -o ro {MODULES_DEVICE} "$directory" ;;
esac
exec {_BUSYBOX} mount "$@"
"""
#: Patterns of trees that no guest reads, and files that are of the host that built the image, or
#: of the moment: bytecode that was written as dpkg's scripts ran differs from time to time.
_DROPPED = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale"),
    *("var/cache", "var/lib/apt", "var/log", "etc/apt/sources.list", "etc/apt/apt.conf.d"),
    *("etc/hostname", "etc/resolv.conf", "usr/share/python3/debpython/__pycache__"),
    # Drivers of graphics cards, half of the whole: stress-ng would draw with them.
    *("usr/lib/*/libLLVM*", "usr/lib/*/libgallium*", "usr/lib/*/libz3.so*", "usr/lib/*/dri"),
)
#: Beside the image: what it is made of (ImageContents).
_CONTENTS = "contents.json"
_OLDEST_PYTHON = "3.11"  # what the suite is written for


def _tools() -> Path:
    return Path(virtme.guest.__file__).parent


def image_key(suite: str) -> str:
    """Hash of everything the image of ``suite`` (a codename) is made from, but for versions."""
    digest = hashlib.sha256()
    recipe = (_FORMAT, suite, _PACKAGES, _SIZE, _MOUNT, _DROPPED)
    digest.update(repr(recipe).encode())
    digest.update(importlib.metadata.version("virtme-ng").encode())
    for path in sorted(_tools().rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(_tools())).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:24]


def guest_image(
    cache: Path,
    mirror: str | None,
    progress: Progress,
    *,
    suite: str | None = None,
    refresh: bool = False,
) -> Path:
    """Path of the ext4 image, building it if the cache lacks it (some 20 s and 60 MB).

    ``cache`` is the cache root; ``mirror`` a Debian mirror, or None for the one that this
    machine's apt uses; ``suite`` one of its suites, None for the default. "stable" is the newest
    one that it calls so, which ``refresh`` asks it for anew. Raises HostError (mmdebstrap
    missing), InputError (no such suite, or one that is too old) or InfrastructureError.
    """
    codename = chosen_suite(cache, mirror, suite=suite, refresh=refresh)
    target = _target(cache, codename)
    while not (inuse.hold(target.parent) and target.is_file()):
        # Again if someone deleted the directory meanwhile.
        with cache_errors_named(cache):
            _make(target, codename, mirror, progress)
    return target


def chosen_suite(cache: Path, mirror: str | None, *, suite: str | None, refresh: bool) -> str:
    """The codename of the suite that ``guest_image`` makes an image of, for the same arguments.

    Raises InputError or InfrastructureError.
    """
    suite = suite or DEFAULT_SUITE
    if suite != STABLE and _target(cache, suite).is_file():
        return suite
    base = choose_mirror(mirror).main
    if suite != STABLE:
        return release_of(base, suite).codename
    try:
        with cache_errors_named(cache):
            return newest_stable(cache, base, refresh=refresh)
    except FetchError:
        built = next((name for name in KNOWN_STABLE if _target(cache, name).is_file()), None)
        if built is None:
            raise
        return built


def image_contents(image: Path) -> ImageContents | None:
    """What an image of ours is made of; None of any other."""
    try:
        data = json.loads((image.parent / _CONTENTS).read_text())
        return strict_converter().structure(data, ImageContents)
    except (OSError, ValueError, *MALFORMED):
        return None


def _target(cache: Path, suite: str) -> Path:
    return cache / "images" / image_key(suite) / "root.ext4"


def _make(target: Path, suite: str, mirror: str | None, progress: Progress) -> None:
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
                _build(Path(scratch), target, suite, choose_mirror(mirror).main, progress)
            progress.finish(_SUBJECT, "built")
    finally:
        lock.release()


def _build(scratch: Path, target: Path, suite: str, mirror: str, progress: Progress) -> None:
    archive, tree, image = scratch / "root.tar", scratch / "root", scratch / "root.ext4"
    # Of all that is in the image nothing is younger: bytecode goes by its source's time.
    newest = release_of(mirror, suite).date
    progress.report(_SUBJECT, f"building from {suite} with mmdebstrap (once, some 20 s)")
    _bootstrap(archive, suite, mirror, newest)
    progress.report(_SUBJECT, "writing the file system")
    tree.mkdir(mode=0o755)
    run(
        ["tar", "-x", "--no-same-owner", "--exclude=./dev/*", "-f", archive, "-C", tree],
        doing="unpacking the guest image",
    )
    packages = _packages(tree)
    for path in [path for pattern in _DROPPED for path in tree.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(_tools(), tree / _TOOLS_DIR, ignore=shutil.ignore_patterns("__pycache__"))
    _add_boot_helpers(tree)
    write_file_system(tree, image, _SIZE, newest)
    with image.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    contents = ImageContents(suite=suite, sha256=checksum, packages=packages)
    write_whole(target.parent / _CONTENTS, json.dumps(asdict(contents), indent=1))
    image.replace(target)


def _bootstrap(archive: Path, suite: str, mirror: str, newest: int) -> None:
    """Have mmdebstrap make the root as a tar ``archive``."""
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
                suite,
                str(archive),
                mirror,
            ],
            doing="building the guest image",
            environment={
                **os.environ,
                "TMPDIR": str(temporary),
                "SOURCE_DATE_EPOCH": str(newest),
            },
        )


def _packages(tree: Path) -> tuple[str, ...]:
    """NAME=VERSION of each package installed in ``tree``. InputError if Python is too old."""
    from debian.deb822 import Deb822  # noqa: PLC0415  (25 ms)

    with (tree / "var/lib/dpkg/status").open(encoding="utf-8") as status:
        versions = {
            stanza["Package"]: stanza["Version"]
            for stanza in Deb822.iter_paragraphs(status, use_apt_pkg=False)
            if stanza["Status"].endswith(" installed")
        }
    python = versions["python3"]
    if Version(python) < Version(_OLDEST_PYTHON):
        raise InputError(
            f"--guest-suite: it has Python {python}, and the suite takes {_OLDEST_PYTHON} or later"
        )
    return tuple(f"{name}={version}" for name, version in sorted(versions.items()))


def _add_boot_helpers(tree: Path) -> None:
    """Put into the image what its boot needs beside Debian's packages."""
    mount = tree / "usr/bin/mount"  # vng's init names it by its path for 9p
    mount.parent.mkdir(parents=True, exist_ok=True)
    mount.write_text(_MOUNT)
    mount.chmod(0o755)
    # A dynamically linked program takes an emulated CPU several times as long to start as
    # a static one. The initramfs's PATH has sbin first, so that init finds these; and the
    # kernel runs modprobe twice for every instance of a template that a bind() asks for.
    # And people in a shell of the guest expect what belongs to mount.
    tools = [f"usr/sbin/{name}" for name in ("mkdir", "mount", "umount", "losetup")]
    for name in (*tools, FAST_MODPROBE.lstrip("/")):
        link = tree / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(_BUSYBOX)


def _contained() -> list[str]:
    """Words before root's mmdebstrap: what it mounts and starts ends with it, however it ends.

    Nothing where root may not do that (in some containers).
    """
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return words if finish([*words, "true"]).returncode == 0 else []
