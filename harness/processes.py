"""Runs helper programs: argv lists, output captured, failures as one clear line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import HostError, InfrastructureError

#: Debian package that holds each program we call.
PACKAGES = {
    "apt-get": "apt",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "file": "file",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "modprobe": "kmod",
    "newuidmap": "uidmap",
    "qemu-system-x86_64": "qemu-system-x86",
    "rpm": "rpm",
    "rpm2archive": "rpm2cpio",
    "rpmkeys": "rpm",
    "tar": "tar",
    "unshare": "util-linux",
    "xz": "xz-utils",
}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def search_path() -> str:
    """PATH with the system directories, which an ordinary user's lacks in part."""
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"


def find_program(name: str) -> str:
    """Absolute path of a program, also in the sbin directories that users lack on PATH.

    Raises HostError naming the Debian package that has it.
    """
    found = shutil.which(name, path=search_path())
    if found is None:
        package = PACKAGES.get(name, name)
        raise HostError(f"{name} is not installed; apt-get install {package}")
    return found


def run(
    argv: Sequence[str | Path],
    *,
    doing: str,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> str:
    """Run a program to its end and return its stdout.

    ``doing`` says what for, in the error's words ("building the guest image"). Raises
    InfrastructureError with the last lines of its output if it fails.
    """
    result = subprocess.run(
        [find_program(str(argv[0])), *map(str, argv[1:])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**(environment if environment is not None else os.environ), "PATH": search_path()},
        cwd=directory,
        check=False,
    )
    if result.returncode != 0:
        output = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
        tail = " / ".join(line.strip() for line in output[-4:])
        raise InfrastructureError(f"{doing}: {argv[0]} failed ({result.returncode}): {tail}")
    return result.stdout


def heed_hangup() -> None:
    """Let SIGHUP end this process again: what is started under nohup has it ignored.

    Called in a child before exec. Guests of a run that was killed end by the SIGHUP that
    their terminal gives them when it is closed.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def group_members(group: int) -> list[int]:
    """Process ids of a process group, zombies left out (they hold nothing any more)."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command name, in parentheses, may itself hold spaces and parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            members.append(int(stat.parent.name))
    return members


def end_group(group: int, patience: float = 10.0) -> None:
    """Kill every process of a group and wait until none is left (at most ``patience`` s).

    Raises InfrastructureError naming the processes that would not die.
    """
    deadline = time.monotonic() + patience
    while members := group_members(group):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        if time.monotonic() > deadline:
            raise InfrastructureError(f"processes {members} of a guest could not be ended")
        time.sleep(0.02)
