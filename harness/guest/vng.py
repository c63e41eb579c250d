"""The vng command that boots one guest.

Facts of virtme-ng 1.42 relied on here: ``--root-disk`` attaches the image as ``/dev/vda``
and asks the guest to mount its tools and the kernel's modules by 9p, which the image's own
``mount`` answers from disks (see ``image.py``); ``--verbose`` sends the kernel console
to stderr; ``--exec`` falls back to the console without udev's port names, or without ports;
``--qemu`` names the program that is run as QEMU (see ``launcher.py``).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest.inside.records import PORT_NAME
from harness.model import BootableKernel
from harness.processes import find_vng, search_path

QEMU = "qemu-system-x86_64"
#: In the directory in which vng is started (``place.py``): the program that it takes for
#: QEMU, and links to what the guest gets. vng builds shell commands of these names.
QEMU_NAME = "qemu"
KERNEL_DIRECTORY = "kernel"
ROOT_NAME = "root"
MODULES_NAME = "modules"
PAYLOAD_NAME = "payload.tar"
SHARE_DIRECTORY = "share"
#: Unix sockets in the same directory, at which QEMU finds whoever listens.
RESULTS_SOCKET = "results"
QMP_SOCKET = "qmp"

PAYLOAD_SERIAL = "afalg-payload"
#: Where the guest finds the modules disk: the first disk after the root.
MODULES_DEVICE = "/dev/vdb"
#: In our own image: a static modprobe for the kernel's requests, the first of which come before
#: any script of ours. It knows no soft dependencies, which matter to none: the kernel asks for
#: xts's ecb by itself.
FAST_MODPROBE = "/usr/lib/afalg-harness/modprobe"
_SHARED_PAYLOAD = "/run/afalg-payload"
_SHARED_MODULES = "/run/afalg-modules"

#: Bytes of a kernel's command line (launcher.COMMAND_LINE_BYTES) that are the user's, by the
#: kind of the root. With vng 1.42 a line of ours takes 1,359 at most on a disk; on a directory
#: 1,445, or 1,726 if vng may not write there; and on the live system 1,616, with Python and vng in
#: a virtual environment whose path is short, and TMPDIR, which is in it twice, /tmp. What is too
#: long all the same, the launcher refuses.
APPEND_BYTES = {"disk": 600, "directory": 256}

_PATH = "export PATH=/usr/bin:/usr/sbin:/bin:/sbin; mkdir -p /run/afalg"
#: Loads the modules that the suite needs while Python starts on the other CPU.
_START = """\
modprobe -aq $(cat /run/afalg/modules) &
exec PYTHON -I /run/afalg/harness/guest/inside/PROGRAM"""
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


#: What QEMU is forbidden: system calls that it does not need once it runs. Refused are
#: obsolete ones, changing its user, starting programs, and changing its priority or CPUs.
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
#: The same board under KVM and TCG, without what no guest uses: no CD drive, floppy, SATA, SMBus.
BOARD = ("-nodefaults", "-machine", "q35,sata=off,smbus=off")


@dataclass(frozen=True)
class Root:
    """The guest's root file system."""

    kind: str  # "disk": an ext4 image; "directory": a directory, "/" for the live system
    path: Path
    python: str = "/usr/bin/python3"
    #: It brings vng's guest tools along and mounts modules from a disk: nothing is exported.
    isolated: bool = False


def environment(scratch: Path) -> dict[str, str]:
    """Environment for vng: its helpers on PATH, its files in ``scratch``, no user config."""
    return {
        "PATH": f"{Path(find_vng()).parent}:{search_path()}",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }


def kernel_name(kernel: BootableKernel) -> str:
    """The kernel's image in vng's directory."""
    return f"{KERNEL_DIRECTORY}/{kernel.image.name}"


def bootstrap(root: Root, program: str = "agent.py") -> str:
    """The shell command by which the guest starts a program of ``harness/guest/inside``."""
    script = _FROM_DISK if root.kind == "disk" else _FROM_SHARE
    return script.replace("PYTHON", shlex.quote(root.python)).replace("PROGRAM", program)


def appended_bytes(append: Sequence[str]) -> int:
    """How much of a kernel's command line further arguments take, as vng writes them."""
    quotes = sum(2 for argument in append if " " in argument)
    return sum(len(os.fsencode(argument)) + 1 for argument in append) + quotes


def _disk(name: str, file: str) -> list[str]:
    drive = f"if=none,id={name},format=raw,readonly=on,file={file}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]


def _root_arguments(root: Root, modules: bool) -> list[str]:
    # 9p is forced so that vng does not look for virtiofsd, which takes it two seconds.
    if root.kind == "disk":
        return ["--force-9p", "--root-disk", ROOT_NAME, "--root-fstype", "ext4", "--rw"]
    return [
        "--force-9p",
        *(["--root", str(root.path)] if str(root.path) != "/" else []),
        *("--rodir", f"{_SHARED_PAYLOAD}={SHARE_DIRECTORY}"),
        *(["--rodir", f"{_SHARED_MODULES}={MODULES_NAME}"] if modules else []),
    ]


def _disk_options(root: Root, modules: bool) -> list[str]:
    if root.kind != "disk":
        return []
    return [
        *(_disk("afalg-modules", MODULES_NAME) if modules else []),
        *_disk(PAYLOAD_SERIAL, PAYLOAD_NAME),
        "-snapshot",  # writes to the root go to a file that is already unlinked
    ]


def _channels(records_file: str | None) -> list[str]:
    """The results port, with no room for another one, and QEMU's monitor.

    Records go to a file if one is given, and then there is no monitor.
    """
    port = [
        *("-device", "virtio-serial-pci,id=afalg-ports,max_ports=2"),
        *("-device", f"virtserialport,bus=afalg-ports.0,chardev=afalg-results,name={PORT_NAME}"),
    ]
    if records_file is not None:
        return [*port, "-chardev", f"file,id=afalg-results,path={records_file}"]
    return [
        *port,
        *("-chardev", f"socket,id=afalg-results,path={RESULTS_SOCKET}"),
        *("-chardev", f"socket,id=qmp,path={QMP_SOCKET}", "-mon", "chardev=qmp,mode=control"),
    ]


def command(
    kernel: BootableKernel,
    root: Root,
    *,
    accel: str,
    cpus: int,
    memory: str,
    append: Sequence[str],
    program: str = "agent.py",
    qemu_options: Sequence[str] = (),
    records_file: str | None = None,
) -> list[str]:
    """The argv that boots ``kernel`` on ``root`` and runs ``program`` in it.

    ``accel`` is "kvm" or "tcg"; ``memory`` as QEMU takes it ("1G"); ``append`` are further
    kernel arguments, ``qemu_options`` further options of QEMU. It is to be run in the
    directory that ``place.py`` makes, where QEMU connects to the sockets RESULTS_SOCKET and
    QMP_SOCKET, or writes records to ``records_file`` instead.
    """
    modules = (kernel.modules_image if root.kind == "disk" else kernel.modules_tree) is not None
    own = (f"sysctl.kernel.modprobe={FAST_MODPROBE}",) if root.isolated else ()
    qemu = [
        *BOARD,
        *("-sandbox", SANDBOX),
        *_disk_options(root, modules),
        *_channels(records_file),
        *qemu_options,
    ]
    return [
        find_vng(),
        *("--run", kernel_name(kernel)),
        *("--name", "afalg-guest"),
        *("--user", "root"),
        *_root_arguments(root, modules),
        *("--qemu", f"./{QEMU_NAME}"),
        *(["--disable-kvm"] if accel == "tcg" else []),
        *("--cpus", str(cpus), "--memory", memory),
        "--verbose",
        *(word for argument in (*own, *append) for word in ("--append", shlex.quote(argument))),
        f"--qemu-opts={shlex.join(qemu)}",
        *("--exec", bootstrap(root, program)),
    ]
