"""Which kernels are refused since their config lets no guest get far."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.guest.session import GuestSettings, Session
from harness.guest.unbootable import refuse_unbootable
from harness.guest.vng import Root
from harness.model import BootableKernel

_DISK, _DIRECTORY = Root("disk", Path("/root.ext4")), Root("directory", Path("/"))
_KCONFIGS = Path(__file__).parents[3] / "kconfigs"
_CONFIG = """\
CONFIG_BINFMT_ELF=y
CONFIG_BINFMT_SCRIPT=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_PROC_FS=y
CONFIG_SYSFS=y
CONFIG_TMPFS=y
CONFIG_DEVTMPFS=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=m
CONFIG_VIRTIO_CONSOLE=y
CONFIG_EXT4_FS=m
# CONFIG_CMDLINE_OVERRIDE is not set
"""
_MODULES = """\
kernel/drivers/block/virtio_blk.ko:
kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko
kernel/fs/jbd2/jbd2.ko:
"""


def _kernel(place: Path, config: str, modules: str | None = _MODULES) -> BootableKernel:
    (place / "config").write_text(config)
    if modules is not None:
        (place / "modules.dep").write_text(modules)
    tree = None if modules is None else place
    return BootableKernel("debian:x", "6.12", place / "vmlinuz", None, tree, place / "config")


def test_a_kernel_that_has_all(tmp_path: Path) -> None:
    refuse_unbootable(_kernel(tmp_path, _CONFIG), _DISK)


def test_a_kernel_of_our_own_fragment(tmp_path: Path) -> None:
    config = (_KCONFIGS / "base.config").read_text()
    refuse_unbootable(_kernel(tmp_path, config, modules=None), _DISK)


def test_a_kernel_without_a_config_may_try() -> None:
    refuse_unbootable(BootableKernel("debian:x", "6.12", Path("/k"), None, None, None), _DISK)


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("CONFIG_DEVTMPFS=y", "# CONFIG_DEVTMPFS is not set", "CONFIG_DEVTMPFS is not set"),
        ("CONFIG_VIRTIO_CONSOLE=y", "", "CONFIG_VIRTIO_CONSOLE is not set"),
        ("CONFIG_EXT4_FS=m", "CONFIG_EXT4_FS_SECURITY=y", "CONFIG_EXT4_FS is not set"),
        ("CONFIG_VIRTIO_PCI=y", "CONFIG_VIRTIO_PCI=m", "CONFIG_VIRTIO_PCI=m, and there is no"),
        ("CONFIG_BLK_DEV_INITRD=y", "", "CONFIG_BLK_DEV_INITRD is not set, and CONFIG_VIRTIO_BLK"),
        (
            "# CONFIG_CMDLINE_OVERRIDE is not set",
            'CONFIG_CMDLINE="quiet"\nCONFIG_CMDLINE_OVERRIDE=y',
            "CONFIG_CMDLINE_OVERRIDE=y",
        ),
    ],
)
def test_a_kernel_that_lacks_something(line: str, instead: str, said: str, tmp_path: Path) -> None:
    changed = _CONFIG.replace(line, instead)
    assert changed != _CONFIG
    with pytest.raises(InputError, match=f"debian:x: 6.12 cannot be booted as a guest: {said}"):
        Session(_kernel(tmp_path, changed), GuestSettings(_DISK, "tcg"), tmp_path / "payload")


@pytest.mark.parametrize("modules", ["kernel/drivers/block/virtio_blk.ko:\n", None])
def test_a_kernel_without_a_module(modules: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"CONFIG_EXT4_FS=m, and there is no ext4\.ko"):
        refuse_unbootable(_kernel(tmp_path, _CONFIG, modules), _DISK)


def test_what_is_needed_depends_on_the_root(tmp_path: Path) -> None:
    """A directory of the host's comes by 9p."""
    shared = "CONFIG_NET_9P=y\nCONFIG_NET_9P_VIRTIO=y\nCONFIG_9P_FS=y\n"
    config = _CONFIG.replace("CONFIG_EXT4_FS=m\n", "")
    refuse_unbootable(_kernel(tmp_path, config + shared), _DIRECTORY)
    with pytest.raises(InputError, match="CONFIG_NET_9P is not set"):
        refuse_unbootable(_kernel(tmp_path, config), _DIRECTORY)
