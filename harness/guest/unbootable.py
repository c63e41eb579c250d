"""What a kernel needs to be booted as a guest, by its config.

A kernel without it dies at boot or is never heard, which is no fault of its code: it was not
configured for a virtual machine of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.errors import InputError
from harness.guest.vng import Root
from harness.model import BootableKernel

#: Built in, for every guest: init and its scripts, and the file systems that they mount.
_BUILT_IN = ("BINFMT_ELF", "BINFMT_SCRIPT", "PROC_FS", "SYSFS", "TMPFS", "DEVTMPFS")
#: Option -> its module: the bus, the payload's disk, the port of the results.
_DRIVERS = {
    "VIRTIO_PCI": "virtio_pci",
    "VIRTIO_BLK": "virtio_blk",
    "VIRTIO_CONSOLE": "virtio_console",
}
#: What the root lies on, by ``Root.kind``.
_ROOTS = {
    "disk": {"EXT4_FS": "ext4"},
    "directory": {"NET_9P": "9pnet", "NET_9P_VIRTIO": "9pnet_virtio", "9P_FS": "9p"},
}
#: With it the kernel heeds nothing of the command line by which a guest is started.
_DEAF = "CMDLINE_OVERRIDE"
_OPTION = re.compile(r"^CONFIG_(\w+)=([ym])$", re.MULTILINE)


def refuse_unbootable(kernel: BootableKernel, root: Root) -> None:
    """Raise InputError if the config of ``kernel`` says that no guest of it can get far.

    A kernel whose config is not known may try.
    """
    if kernel.config is None:
        return
    reasons = list(_reasons(kernel, root, kernel.config.read_text(errors="replace")))
    if reasons:
        raise InputError(
            f"{kernel.spec}: {kernel.release} cannot be booted as a guest: {', '.join(reasons)}"
        )


def _reasons(kernel: BootableKernel, root: Root, config: str) -> Iterator[str]:
    options = dict(_OPTION.findall(config))
    needed = _DRIVERS | _ROOTS[root.kind]
    for name in (*_BUILT_IN, *needed):
        if name not in options:
            yield f"CONFIG_{name} is not set"
    if _DEAF in options:
        yield f"CONFIG_{_DEAF}=y, so that it takes no command line"
    loaded = {name: module for name, module in needed.items() if options.get(name) == "m"}
    modules = _modules(kernel) if loaded else ""
    for name, module in loaded.items():
        if f"/{module}.ko:" not in modules:
            yield f"CONFIG_{name}=m, and there is no {module}.ko"
    if loaded and "BLK_DEV_INITRD" not in options:
        yield f"CONFIG_BLK_DEV_INITRD is not set, and CONFIG_{next(iter(loaded))}=m"


def _modules(kernel: BootableKernel) -> str:
    """The list of its modules (modules.dep), "" if it has none."""
    if kernel.modules_tree is None:
        return ""
    return (kernel.modules_tree / "modules.dep").read_text(errors="replace")
