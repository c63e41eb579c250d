"""Stands in QEMU's place before vng: opens what QEMU needs, gives up rights, becomes QEMU.

vng always gives its guest more than ours use, and has no option to leave it out: two 9p
exports of host directories (its tools, the kernel's modules), a watchdog, and a virtio-serial
port for each stream of a script (``export_hostfs``, ``Arch_x86.qemuargs`` and ``do_script``
in virtme's ``commands/run.py``). It does have ``--qemu PROGRAM``, and runs that with the
arguments meant for QEMU: this program passes on those devices alone that are named here.

It is also the one place where the whole of a kernel's command line is known: one that is too
long for a kernel is refused here, before there is a guest that would die of it.

An isolated guest's QEMU, if root started it, gets a user id of its own, which owns nothing
and has no capability. What it works with is opened before and handed over as descriptors, so
that images in a home that is closed to others can stay there.

Standard library only, and little of it: started twice for every guest, apart from the harness.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence

#: A guest on our own image: it sees no file of the host, and QEMU needs none of its rights.
ISOLATED = "isolated"
#: A guest whose root, or whose tools, the host exports: QEMU has to read files for it.
SHARED = "shared"

#: Directory in which QEMU then works, made by whoever starts vng: the one place where it may
#: write files of its own, those in which ``-snapshot`` keeps what the guest writes among them.
WORKPLACE = "writable"
#: How much a guest may write, in bytes. QEMU's files end there (RLIMIT_FSIZE): the guest sees
#: an I/O error, and QEMU tells BLOCK_IO_ERROR. All suites together write some 5 MiB.
DISK_LIMIT = 256 << 20

#: Bytes that an x86 kernel takes as its command line, without the final zero byte
#: (COMMAND_LINE_SIZE, arch/x86/include/asm/setup.h). Of a longer one it takes so many and no
#: zero byte, and dies of that without a word, or goes without the end, in which init is named.
COMMAND_LINE_BYTES = 2047
#: How the line begins in which a guest is refused; what follows says why.
REFUSED = "afalg-harness: no guest: "

#: Names of devices, drives and channels that guests of ours have; all others are left out.
_OURS = ("virtme-root", "console", "qmp", "afalg")
#: Options of QEMU that add such a thing.
_ADDING = ("-device", "-drive", "-chardev", "-fsdev", "-netdev")
#: What a shared guest has beside them.
_EXPORTS = ("local,", "virtio-9p-")

#: User ids that systemd allots at random to services without a user of their own, and that
#: therefore own no file (https://systemd.io/UIDS-GIDS, "dynamic service users").
USER_IDS = range(61184, 65520)
_KVM = "/dev/kvm"

#: Into a root that is a directory vng writes what its init is to do, by a name of this kind, and
#: it ends the kernel's command line (``create_guest_init_script``). vng removes it when it ends,
#: but not if it is killed: the name is left in this file of the working directory, for us to do so.
INIT_PREFIX, INIT_NAME = "/virtme-init-", "init-in-root"


def argv(kind: str, program: str, arguments: Iterable[str]) -> list[str]:
    """The command that runs QEMU (``program``) with ``arguments`` as a guest of this ``kind``."""
    return [sys.executable, "-IS", __file__, kind, program, *arguments]


#: One option: its name and its value, if it has one. (A dataclass takes 20 ms to import.)
Option = tuple[str, str | None]


def parse(words: Sequence[str]) -> Iterator[Option]:
    """The options of a command line. No value that vng or we give begins with a dash."""
    rest = list(words)
    while rest:
        name = rest.pop(0)
        yield name, rest.pop(0) if rest and not rest[0].startswith("-") else None


def needed(options: Iterable[Option], kind: str) -> Iterator[Option]:
    """Those options that a guest of this ``kind`` needs."""
    for name, value in options:
        exported = kind == SHARED and value is not None and value.startswith(_EXPORTS)
        if name not in _ADDING or value is None or _is_ours(value) or exported:
            yield name, value


def _is_ours(value: str) -> bool:
    names = (part.partition("=")[2] for part in value.split(","))
    return any(name.startswith(_OURS) for name in names)


def _fields(value: str) -> list[list[str]]:
    """The parts of an option's value, as [key, value] or [word]; a doubled comma is one."""
    parts = value.replace(",,", "\0").split(",")
    return [part.replace("\0", ",").split("=", 1) for part in parts]


def _joined(fields: Iterable[Sequence[str]]) -> str:
    return ",".join("=".join(field).replace(",", ",,") for field in fields)


def refusal(options: Iterable[Option]) -> str | None:
    """Why no kernel can be started with these options; None if one can."""
    for name, value in options:
        length = len(os.fsencode(value or "")) if name == "-append" else 0
        if length > COMMAND_LINE_BYTES:
            return (
                f"the kernel's command line would have {length} bytes, and a kernel takes"
                f" {COMMAND_LINE_BYTES}: give less with --append, or a shorter path as TMPDIR"
            )
    return None


def init_in_root(options: Iterable[Option]) -> str | None:
    """The name in the guest's root by which vng wrote its init there; None if it did not."""
    lines = (value or "" for name, value in options if name == "-append")
    named = (line.rpartition(" ")[2] for line in lines)
    return next((name for name in named if name.startswith(INIT_PREFIX)), None)


class Opened:
    """Opens files for QEMU, which can then not open them itself."""

    def __init__(self) -> None:
        self._sets: list[int] = []

    def options(self, options: Iterable[Option]) -> list[Option]:
        """``options`` with descriptors instead of paths."""
        replaced = [(name, self._value(name, value)) for name, value in options]
        sets = [f"fd={descriptor},set={number}" for number, descriptor in enumerate(self._sets)]
        return [*(("-add-fd", value) for value in sets), *replaced]

    def _value(self, name: str, value: str | None) -> str | None:
        if value is None:
            return None
        if name in ("-kernel", "-initrd"):
            return _copied(value)
        if name not in ("-drive", "-chardev"):
            return value
        fields = _fields(value)
        return _joined(part for field in fields for part in self._field(name, fields, field))

    def _field(self, name: str, fields: list[list[str]], field: list[str]) -> list[list[str]]:
        match name, fields[0][0], field:
            case "-drive", _, ["file", path]:
                return [["file", self._set(path, os.O_RDONLY)]]
            case "-chardev", "file", ["path", path]:
                opened = self._set(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                return [["path", opened], ["append", "on"]]  # else QEMU truncates it: no terminal
            case "-chardev", "socket", ["path", path] if ["server", "on"] not in fields:
                return [["fd", str(_connected(path))]]
        return [field]

    def _set(self, path: str, flags: int) -> str:
        """A name by which QEMU finds an open file. It must be open in the mode QEMU wants."""
        self._sets.append(_inherited(os.open(path, flags, 0o600)))
        return f"/dev/fdset/{len(self._sets) - 1}"


def _inherited(descriptor: int) -> int:
    os.set_inheritable(descriptor, True)
    return descriptor


def _copied(path: str) -> str:
    """A copy of a file in memory, by a path at which any user can open it.

    QEMU opens a kernel by its path and nothing else, and the file may be root's alone.
    """
    copy = os.memfd_create("boot", 0)
    with open(path, "rb") as file:  # noqa: PTH123  (pathlib takes as long to import as all else)
        os.sendfile(copy, file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return f"/proc/self/fd/{copy}"


def _connected(path: str) -> int:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return _inherited(connection.detach())


def limit_files() -> None:
    """Limit what QEMU writes. A process of the same user can lift the limit again (prlimit)."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    soft = DISK_LIMIT if hard == resource.RLIM_INFINITY else min(DISK_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    # The guest's memory is not to be written out if QEMU crashes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def enter_workplace(options: Iterable[Option]) -> None:
    """Work where files may be written, as a user who owns nothing else.

    Where that cannot be (root of a user namespace without such a user, KVM for root alone),
    QEMU stays who it is, and that is said.
    """
    os.chdir(WORKPLACE)
    os.environ["TMPDIR"] = "."  # the way from / is not open to all
    if os.geteuid() != 0:
        return
    user = USER_IDS[os.getpid() % len(USER_IDS)]
    try:
        groups = _groups(options)
        os.chown(".", user, user)
        os.setgroups(groups)
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError as error:
        print(f"afalg-harness: QEMU keeps root's rights: {error}", file=sys.stderr, flush=True)


def _groups(options: Iterable[Option]) -> list[int]:
    """The groups that QEMU has to be in: that of /dev/kvm, if it is to use it."""
    if not any(name == "-machine" and "accel=kvm" in (value or "") for name, value in options):
        return []
    status = os.stat(_KVM)  # noqa: PTH116
    if status.st_mode & 0o006 == 0o006:
        return []
    if status.st_mode & 0o060 == 0o060 and status.st_gid:
        return [status.st_gid]
    raise PermissionError(f"{_KVM} is for root alone")


def main() -> None:
    """Arguments: the kind of guest, QEMU's own path, and the arguments that vng means for it."""
    kind, program, *words = sys.argv[1:]
    options = list(needed(parse(words), kind))
    if problem := refusal(options):
        sys.exit(f"{REFUSED}{problem}")
    if init := init_in_root(options):
        with open(INIT_NAME, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(init)
    limit_files()
    if kind == ISOLATED:
        options = Opened().options(options)
        enter_workplace(options)
    arguments = (word for option in options for word in option if word is not None)
    os.execv(program, [program, *arguments])


if __name__ == "__main__":
    main()
