"""Makes a bootable kernel directory out of a kernel's parts.

Layout of the directory::

    boot/boot/vmlinuz-RELEASE     the image, given to vng
    boot/lib/modules/RELEASE/     only the modules that vng's initramfs loads
    full/lib/modules/RELEASE/     every module a guest can need
    modules.ext4                  the same as a read-only disk image
    config                        the kernel's config

Modules are uncompressed, because the busybox in vng's initramfs cannot load others, and
otherwise untouched, so that their signatures hold.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness.errors import InfrastructureError, InputError
from harness.kernels.parts.kernel_parts import KernelParts, read_module
from harness.processes import check_interrupted, find_program, run

#: Modules vng loads in its initramfs for a root on virtio-blk, where they are not built in.
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "ext4")
_GUEST_MODULES = re.compile(
    r"kernel/(?:crypto/|arch/[^/]+/crypto/|lib/|arch/[^/]+/lib/|security/keys/"
    r"|fs/(?:ext4|jbd2|overlayfs|9p|netfs|fscache|cachefiles|fuse|squashfs)/|fs/mbcache\."
    r"|net/9p/(?:9pnet|9pnet_virtio|9pnet_fd)\."
    r"|drivers/(?:virtio|char/hw_random|crypto/virtio)/|drivers/char/virtio_console\."
    r"|drivers/block/(?:virtio_blk|loop|brd|zram/zram)\."
    r"|drivers/md/(?:dm-mod|dm-crypt|dm-integrity|dm-verity)\.)"
)
_MODINFO = re.compile(rb"\0(depends|softdep|vermagic)=([^\0]*)(?=\0)")
_INSMOD = re.compile(r"^insmod (.+?\.ko)(?:\s|$)", re.MULTILINE)
# Files must not differ because they were made at another time.
_EPOCH = {"SOURCE_DATE_EPOCH": "0", "E2FSPROGS_FAKE_TIME": "1"}
_UUID = "8f4c1f9e-6c5b-4d5e-9a1d-2f2f7b3a1c00"


def prepare(parts: KernelParts, target: Path) -> None:
    """Fill the empty directory ``target`` from ``parts``.

    Raises InputError (damaged or mismatched modules), HostError (kmod or e2fsprogs missing),
    InfrastructureError (one of their programs failed), OSError.
    """
    find_program("depmod")
    find_program("mkfs.ext4")
    boot = target / "boot"
    (boot / "boot").mkdir(parents=True)
    shutil.copyfile(parts.image, boot / "boot" / f"vmlinuz-{parts.release}")
    boot_tree = boot / "lib/modules" / parts.release
    boot_tree.mkdir(parents=True)
    if parts.config is not None:
        shutil.copyfile(parts.config, target / "config")
    if parts.modules:
        full_tree = target / "full/lib/modules" / parts.release
        _write_modules(parts, full_tree)
        _depmod(target / "full", parts.release)
        _link_boot_modules(target / "full", boot, parts.release)
    _copy_lists(parts, boot_tree)
    _depmod(boot, parts.release)
    if parts.modules:
        _make_image(full_tree, target / "modules.ext4")


def is_for_guest(module: str) -> bool:
    """Whether a guest can need the module at this path below ``lib/modules/<release>``."""
    return _GUEST_MODULES.match(module) is not None


def _name(module: str) -> str:
    return Path(module).name.removesuffix(".ko").replace("-", "_")


def _write_modules(parts: KernelParts, tree: Path) -> None:
    """Write the guest's modules and all that they depend on below ``tree``, decompressed."""
    by_name = {_name(module): module for module in parts.modules}
    pending = [module for module in parts.modules if is_for_guest(module)]
    seen = set(pending)
    tree.mkdir(parents=True)
    _copy_lists(parts, tree)
    while pending:
        check_interrupted()
        module = pending.pop()
        data = read_module(parts.modules[module])
        info = modinfo(data)
        _check_release(parts, module, info)
        path = tree / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for name in _dependencies(info):
            needed = by_name.get(name)
            if needed is not None and needed not in seen:
                seen.add(needed)
                pending.append(needed)


def modinfo(data: bytes) -> dict[str, str]:
    """What a module says of itself: ``depends``, ``softdep`` and ``vermagic``, where given.

    ``data`` is the uncompressed module.
    """
    info: dict[str, str] = {}
    for match in _MODINFO.finditer(data):
        key, value = match.group(1).decode(), match.group(2).decode(errors="replace")
        info[key] = f"{info[key]} {value}" if key in info else value
    return info


def _dependencies(info: dict[str, str]) -> list[str]:
    hard = info.get("depends", "").split(",")
    soft = [word for word in info.get("softdep", "").split() if not word.endswith(":")]
    return [name.replace("-", "_") for name in (*hard, *soft) if name]


def _check_release(parts: KernelParts, module: str, info: dict[str, str]) -> None:
    built_for = info.get("vermagic", "").split(" ")[0]
    if built_for and built_for != parts.release:
        raise InputError(
            f"{parts.modules[module]} was built for {built_for}, the kernel is {parts.release}"
        )


def _copy_lists(parts: KernelParts, tree: Path) -> None:
    for name, path in parts.lists.items():
        shutil.copyfile(path, tree / name)


def _depmod(root: Path, release: str) -> None:
    run(["depmod", "-b", root, release], doing=f"indexing the modules of {release}")


def _link_boot_modules(full: Path, boot: Path, release: str) -> None:
    for name in BOOT_MODULES:
        argv: list[str | Path] = ["modprobe", "--show-depends", "-C", "/var/empty"]
        argv += ["-d", full, "-S", release, name]
        try:
            output = run(argv, doing=f"looking for the module {name} of {release}")
        except InfrastructureError:
            # Neither a module nor listed as built in. A kernel that cannot boot without
            # it says so on its console, better than could be guessed here.
            continue
        for match in _INSMOD.finditer(output):
            module = Path(match.group(1))
            link = boot / module.relative_to(full)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.hardlink_to(module)


def _make_image(tree: Path, image: Path) -> None:
    """Put the directory ``tree`` into a new ext4 image at ``image``."""
    blocks = 0
    for path in [tree, *sorted(tree.rglob("*"))]:
        blocks += path.stat().st_size // 4096 + 1
        os.utime(path, (0, 0))
    kibibytes = blocks * 4 * 11 // 10 + 4096
    argv: list[str | Path] = ["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0"]
    argv += ["-b", "4096", "-U", _UUID, "-E", f"root_owner=0:0,hash_seed={_UUID}"]
    run(
        [*argv, "-d", tree, image, f"{kibibytes}K"],
        doing=f"making {image.name} in {image.parent}",
        environment=dict(os.environ) | _EPOCH,
    )
