"""Runs helper programs: argv lists, output captured, failures as one clear line.

A helper never outlives what asked for it: it ends when we are killed, when the code that
waits for it is left by an exception, and when its scope is interrupted (``interruptible``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from harness.distributions import install_command
from harness.errors import HostError, InfrastructureError, Interrupted

#: Debian package that holds each program we call; harness/distributions.py has other names.
PACKAGES = {
    "addr2line": "binutils",
    "apt-get": "apt",
    "bash": "bash",
    "bc": "bc",
    "bison": "bison",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "file": "file",
    "flex": "flex",
    "gcc": "gcc",
    "git": "git",
    "ld": "binutils",
    "lz4": "lz4",
    "lzop": "lzop",
    "make": "make",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "modinfo": "kmod",
    "modprobe": "kmod",
    "newuidmap": "uidmap",
    "nm": "binutils",
    "perf": "linux-perf",
    "perl": "perl",
    "qemu-system-x86_64": "qemu-system-x86",
    "rpm": "rpm",
    "rpm2archive": "rpm2cpio",
    "rpmkeys": "rpm",
    "setpriv": "util-linux",
    "sh": "dash",
    "tar": "tar",
    "unshare": "util-linux",
    "xz": "xz-utils",
    "zstd": "zstd",
}
#: Runs a program with a watcher in its process group, which kills the whole group once the
#: pipe on stdin is closed: by us at the end, or by the kernel if we are killed.
_WATCHED = 'exec 3<&0; (read _ <&3; kill -KILL 0) >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def search_path() -> str:
    """PATH with the system directories, which an ordinary user's lacks in part, and our own.

    That is where vng and what it calls lie, be the virtual environment active or not.
    """
    return f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}:{Path(sys.executable).parent}"


def find_program(name: str) -> str:
    """Absolute path of a program, also in the sbin directories that users lack on PATH.

    Raises HostError naming the package that has it.
    """
    found = shutil.which(name, path=search_path())
    if found is None:
        raise HostError(f"{name} is not installed; {install_command(PACKAGES.get(name, name))}")
    return found


def find_vng() -> str:
    """The vng of this installation, else the first on PATH. Raises HostError."""
    beside = Path(sys.executable).parent / "vng"
    found = str(beside) if beside.is_file() else shutil.which("vng")
    if found is None:
        raise HostError("vng is not installed; pip install 'virtme-ng>=1.42'")
    return found


_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


@contextlib.contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Let ``stop``, set by another thread or a signal handler, end what this thread does here.

    Helper programs are killed, waits end, and Interrupted is raised.
    """
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def is_interrupted() -> bool:
    """Whether the scope that this thread is in was interrupted."""
    stop = _stop.get()
    return stop is not None and stop.is_set()


def check_interrupted() -> None:
    """Raise Interrupted if the scope that this thread is in was interrupted."""
    if is_interrupted():
        raise Interrupted("interrupted")


@contextlib.contextmanager
def helper(
    argv: Sequence[str | Path],
    *,
    stdout: int,
    stderr: int,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
    watched: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program running for as long as this block, in a process group of its own.

    The block waits for it. The whole group is killed if the block is left by an exception,
    or its scope interrupted, which raises Interrupted; the program also if we are killed,
    and if it is ``watched`` (its stdin is then empty) so is the rest of its group.
    """
    check_interrupted()
    program = find_program(str(argv[0]))
    # A child of ours that nobody waits for would go on writing into the cache.
    words = [find_program("setpriv"), "--pdeathsig", "KILL"]
    alive = -1  # we hold it open for as long as we live
    if watched:
        words += [find_program("sh"), "-c", _WATCHED, "sh"]
        stdin, alive = os.pipe()
    try:
        process = _start(
            [*words, program, *map(str, argv[1:])],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            environment=environment,
            directory=directory,
            pass_fds=pass_fds,
        )
    except BaseException:
        _close(alive)
        raise
    finally:
        if watched:
            os.close(stdin)
    over = threading.Event()
    watch = threading.Thread(target=_end_if_interrupted, args=(process.pid, _stop.get(), over))
    watch.start()
    try:
        with process:  # closes its pipes and waits for it
            try:
                yield process
            except BaseException:
                end_group(process.pid)
                raise
    finally:
        over.set()
        watch.join()
        _close(alive)
    check_interrupted()


def _start(
    argv: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    environment: Mapping[str, str] | None,
    directory: Path | None,
    pass_fds: Sequence[int],
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env={**(environment if environment is not None else os.environ), "PATH": search_path()},
        cwd=directory,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _end_if_interrupted(group: int, stop: threading.Event | None, over: threading.Event) -> None:
    # Without a scope, a signal raises KeyboardInterrupt in the main thread instead.
    while stop is not None and not over.wait(0.1):
        if stop.is_set():
            end_group(group)
            return


def finish_bytes(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, whatever its exit status.

    ``stdin`` is what it reads there, or an open file's descriptor.
    """
    given = stdin if isinstance(stdin, bytes) else None
    with helper(
        argv,
        stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environment=environment,
        directory=directory,
    ) as process:
        stdout, stderr = process.communicate(given)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def finish(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """The same for a program that writes text."""
    done = finish_bytes(argv, stdin=stdin, environment=environment, directory=directory)
    return subprocess.CompletedProcess(
        done.args, done.returncode, _text(done.stdout), _text(done.stderr)
    )


def _text(output: bytes) -> str:
    return output.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def run(
    argv: Sequence[str | Path],
    *,
    doing: str,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> str:
    """Run a program to its end and return its stdout.

    ``doing`` says what for, in the error's words ("building the guest image"). Raises
    InfrastructureError with the last lines of its output if it fails, OSError (ENOSPC) if
    that was for want of disk space.
    """
    result = finish(argv, environment=environment, directory=directory)
    if result.returncode != 0:
        full = os.strerror(errno.ENOSPC)
        if full in result.stderr:
            raise OSError(errno.ENOSPC, full, doing)
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
