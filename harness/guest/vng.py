"""The vng command that boots one guest.

Facts of virtme-ng 1.42 relied on here: ``--root-disk`` attaches the image as ``/dev/vda``
and asks the guest to mount its tools and the kernel's modules by 9p, which the image's own
``mount.9p`` answers from disks (see ``image.py``); ``--verbose`` sends the kernel console
to stderr; ``--exec`` falls back to the console without udev's port names.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest.inside.records import PORT_NAME
from harness.processes import find_vng, search_path

PAYLOAD_SERIAL = "afalg-payload"
#: Unix sockets in the directory in which vng is started, to which QEMU connects.
RESULTS_SOCKET = "results"
QMP_SOCKET = "qmp"
#: Where the guest finds the modules disk: the first disk after the root.
MODULES_DEVICE = "/dev/vdb"
#: In our own image: a static modprobe for the kernel's requests. It knows no soft
#: dependencies, which matter to none: the kernel asks for xts's ecb by itself.
FAST_MODPROBE = "/usr/lib/afalg-harness/modprobe"
PAYLOAD_NAME = "payload.tar"
_SHARED_PAYLOAD = "/run/afalg-payload"
_SHARED_MODULES = "/run/afalg-modules"

_PATH = "export PATH=/usr/bin:/usr/sbin:/bin:/sbin; mkdir -p /run/afalg"
#: Loads the modules that the suite needs while Python starts on the other CPU.
_START = f"""\
[ ! -e {FAST_MODPROBE} ] || echo {FAST_MODPROBE} > /proc/sys/kernel/modprobe
modprobe -aq $(cat /run/afalg/modules) &
exec PYTHON -I /run/afalg/harness/guest/inside/agent.py"""
#: Unpacks the payload disk, found by its serial number (a line that lacks its end, so
#: that ``read`` fails though it reads), and starts the agent.
_FROM_DISK = f"""\
{_PATH}
for d in /sys/block/vd*; do read s < $d/serial; [ "$s" = {PAYLOAD_SERIAL} ] &&
tar -xf /dev/${{d##*/}} -C /run/afalg; done
{_START}"""
#: The same where the payload and the modules come over 9p.
_FROM_SHARE = f"""\
{_PATH}
tar -xf {_SHARED_PAYLOAD}/{PAYLOAD_NAME} -C /run/afalg
m=/lib/modules/$(uname -r); [ -e $m/modules.dep ] || [ ! -d {_SHARED_MODULES} ] ||
{{ mkdir -p $m && mount --bind {_SHARED_MODULES} $m; }}
{_START}"""


@dataclass(frozen=True)
class Root:
    """The guest's root file system."""

    kind: str  # "disk": an ext4 image; "directory": a directory, "/" for the live system
    path: Path
    python: str = "/usr/bin/python3"


@dataclass(frozen=True)
class GuestShares:
    """What the guest is given beside its root, read-only.

    With a root on a disk, two disk images: the payload (a tar archive) and the modules
    (ext4). With a root over 9p, two directories.
    """

    payload: Path
    modules: Path | None


def environment(scratch: Path) -> dict[str, str]:
    """Environment for vng: its helpers on PATH, its files in ``scratch``, no user config."""
    return {
        "PATH": f"{Path(find_vng()).parent}:{search_path()}",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }


def bootstrap(root: Root) -> str:
    """The shell command by which the guest starts the agent."""
    script = _FROM_DISK if root.kind == "disk" else _FROM_SHARE
    return script.replace("PYTHON", shlex.quote(root.python))


def _quote_qemu(path: Path) -> str:
    return str(path).replace(",", ",,")


def _disk(name: str, path: Path) -> list[str]:
    drive = f"if=none,id={name},format=raw,readonly=on,file={_quote_qemu(path)}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]


def _root_arguments(root: Root, shares: GuestShares) -> list[str]:
    # 9p is forced so that vng does not look for virtiofsd, which takes it two seconds.
    if root.kind == "disk":
        return ["--force-9p", "--root-disk", str(root.path), "--root-fstype", "ext4", "--rw"]
    return [
        "--force-9p",
        *(["--root", str(root.path)] if str(root.path) != "/" else []),
        *("--rodir", f"{_SHARED_PAYLOAD}={shares.payload}"),
        *(["--rodir", f"{_SHARED_MODULES}={shares.modules}"] if shares.modules else []),
    ]


def _disk_options(root: Root, shares: GuestShares) -> list[str]:
    if root.kind != "disk":
        return []
    return [
        *(_disk("afalg-modules", shares.modules) if shares.modules else []),
        *_disk(PAYLOAD_SERIAL, shares.payload),
        "-snapshot",  # writes to the root go to a file that is already unlinked
    ]


def command(
    image: Path,
    root: Root,
    shares: GuestShares,
    *,
    accel: str,
    cpus: int,
    memory: str,
    append: Sequence[str],
) -> list[str]:
    """The argv that boots ``image`` on ``root`` and runs the agent in it.

    ``accel`` is "kvm" or "tcg"; ``memory`` as QEMU takes it ("1G"); ``append`` are further
    kernel arguments. QEMU connects to the sockets RESULTS_SOCKET and QMP_SOCKET in the
    working directory. Paths must hold no white space: vng builds shell commands of them.
    """
    qemu = [
        *_disk_options(root, shares),
        *("-device", "virtio-serial-pci,id=results"),
        *("-chardev", f"socket,id=afalg,path={RESULTS_SOCKET}"),
        *("-device", f"virtserialport,bus=results.0,chardev=afalg,name={PORT_NAME}"),
        *("-chardev", f"socket,id=qmp,path={QMP_SOCKET}", "-mon", "chardev=qmp,mode=control"),
    ]
    return [
        find_vng(),
        *("--run", str(image)),
        *("--name", "afalg-guest"),
        *("--user", "root"),
        *_root_arguments(root, shares),
        *(["--disable-kvm"] if accel == "tcg" else []),
        *("--cpus", str(cpus), "--memory", memory),
        "--verbose",
        *(word for argument in append for word in ("--append", shlex.quote(argument))),
        f"--qemu-opts={shlex.join(qemu)}",
        *("--exec", bootstrap(root)),
    ]
