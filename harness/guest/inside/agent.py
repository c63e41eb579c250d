"""First program of ours in the guest: says who the guest is, runs the suite, says how it ended.

Started by vng's init with ``python3 -I …/agent.py``. The suite runs in a forked process, so
that its death (an oops in a system call kills the caller) is itself reported. Meanwhile the
kernel log is read and sent: what the console does not show (``quiet``) is seen there. And
signs of life are sent, which tell what the suite's process does: where one is stuck in the
kernel, no signal reaches it, and only this process can say so.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import struct
import sys
import time
import traceback
from pathlib import Path

if __name__ == "__main__":  # a file in the unpacked payload, whose top is the import path
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from harness.guest.inside import records
from harness.guest.inside.expiry import Expiry, asked_for
from harness.guest.inside.kernel_log import KernelLogReader
from harness.guest.inside.suite_process import SuiteProcess

#: Where the payload was unpacked.
PAYLOAD = Path("/run/afalg")

RESTRICT = Path("/proc/sys/crypto/af_alg_restrict")
NONCE = "afalg_harness.nonce="
INTERNAL_ERROR = 3  # as pytest.ExitCode.INTERNAL_ERROR
_BUILD_ID = 3  # NT_GNU_BUILD_ID (elf.h)
_LOG_SECONDS = 1.0  # between two looks at the kernel log
_SYSRQ = Path("/proc/sys/kernel/sysrq")
_SYSRQ_TRIGGER = Path("/proc/sysrq-trigger")
#: Blocked tasks, and what every CPU does (Documentation/admin-guide/sysrq.rst).
_SYSRQ_LETTERS = "wl"


def open_port() -> int:
    """Open the results port, loading its driver if the kernel has it as a module."""
    port = records.find_port()
    if port is None:
        import subprocess  # noqa: PLC0415  (slow to import, and hardly ever needed)

        subprocess.run(["modprobe", "virtio_console"], check=False)
        port = records.find_port()
    if port is None:
        raise SystemExit(f"afalg-harness: no virtio-serial port named {records.PORT_NAME}")
    return os.open(port, os.O_RDWR | os.O_CLOEXEC)


def probe_af_alg() -> str:
    """Load AF_ALG as any program would: by asking for a socket. Empty if that works."""
    try:
        socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()
    except OSError as error:
        return str(error)
    return ""


def find_nonce(cmdline: str) -> str:
    """The nonce that the host put on the kernel command line, "" if it is not there."""
    words = (word for word in cmdline.split() if word.startswith(NONCE))
    return next(words, "").removeprefix(NONCE)


def identity() -> records.Hello:
    """What runs here."""
    af_alg_error = probe_af_alg()
    uname = os.uname()
    cmdline = Path("/proc/cmdline").read_text().strip()
    return records.Hello(
        nonce=find_nonce(cmdline),
        release=uname.release,
        version=uname.version,
        machine=uname.machine,
        cmdline=cmdline,
        af_alg_error=af_alg_error,
        # The sysctl exists only once af_alg is loaded.
        af_alg_restrict=int(RESTRICT.read_text()) if RESTRICT.exists() else None,
        taint=records.read_taint(),
        python=sys.version.split()[0],
        build_id=read_build_id(),
        compiler=read_compiler(),
        cpu=read_cpu_model(),
    )


def read_build_id(path: Path = Path("/sys/kernel/notes")) -> str:
    """The GNU build id among the kernel's ELF notes, "" if it has none."""
    try:
        notes = path.read_bytes()
    except OSError:
        return ""
    while len(notes) >= 12:
        name_size, size, kind = struct.unpack_from("=III", notes)
        start = 12 + (name_size + 3 & ~3)
        if kind == _BUILD_ID and notes[12 : 12 + name_size] == b"GNU\0":
            return notes[start : start + size].hex()
        notes = notes[start + (size + 3 & ~3) :]
    return ""


def read_compiler(path: Path = Path("/proc/version")) -> str:
    """What the kernel was compiled by: what stands in the second parentheses there."""
    try:
        text = path.read_text()
    except OSError:
        return ""
    # Linux version RELEASE (WHO@WHERE) (COMPILER (ITS PACKAGE) 12.2.0, LINKER) VERSION
    _, _, rest = text.partition(") (")
    depth = 1
    for place, character in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if not depth:
            return rest[:place]
    return ""


def read_cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """The model of the first CPU, "" if it has no name."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "")


def run_suite(writer: records.RecordWriter, settings: dict[str, object], expiry: Expiry) -> int:
    """Run pytest in this process; returns its exit status."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["AFALG_KNOWN_ANSWERS"] = str(PAYLOAD / "known_answers.json")
    gc.disable()  # what pytest makes until the plan stands is kept: looking for garbage finds none
    if settings["is_ours"]:
        from harness.guest.inside import unneeded  # noqa: PLC0415

        unneeded.leave_out()
    import pytest  # noqa: PLC0415  (slow to import: only in the process that needs it)

    from harness.guest.inside import recording, running, stages  # noqa: PLC0415

    suite = PAYLOAD / "suite"
    os.chdir(suite)
    # Pytest's own output would mix with kernel messages on the console; stderr stays.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    limit, tests, left = (settings[key] for key in ("test_seconds", "tests", "left"))
    assert isinstance(limit, (int, float))
    options, names = settings["options"], settings["names"]
    plan, first = settings["plan"], settings["first"]
    assert isinstance(plan, list)
    assert isinstance(first, list)
    assert isinstance(options, list)
    assert isinstance(names, list)
    assert isinstance(tests, list)
    assert isinstance(left, list)
    arguments = [*recording.PYTEST_ARGUMENTS, *running.ARGUMENTS]
    arguments += [f"--rootdir={suite}", f"--confcutdir={suite}"]
    recorder = recording.Recorder(
        writer, float(limit), frozenset(tests), expiry, frozenset(left), plan
    )
    plugins: list[object] = [recorder, running.Runner(recorder)]
    if plan:
        plugins.append(stages.Stages(plan, first, left))
    return int(pytest.main([*arguments, *options, *names], plugins))


def clean_environment() -> None:
    """What a root shell would have, whatever init was given on the kernel command line."""
    os.environ.clear()
    os.environ.update(HOME="/root", LANG="C.UTF-8", PATH="/usr/bin:/usr/sbin:/bin:/sbin")


def open_kernel_log() -> KernelLogReader | None:
    """The kernel log from power-on; None if this kernel has none."""
    try:
        return KernelLogReader()
    except OSError:
        return None


def send_log(log: KernelLogReader | None, writer: records.RecordWriter) -> bool:
    """Send what the kernel has logged since the last time; False if that was nothing."""
    batch = log.take() if log is not None else None
    if batch is not None:
        writer.send(batch)
    return batch is not None


def allow_sysrq() -> None:
    """Let the host have blocked tasks shown by keys where this process no longer answers."""
    with contextlib.suppress(OSError):
        _SYSRQ.write_text("1")


def show_tasks() -> None:
    """Have the kernel log its blocked tasks and what each CPU does."""
    for letter in _SYSRQ_LETTERS:
        with contextlib.suppress(OSError):
            _SYSRQ_TRIGGER.write_text(letter)


def await_suite(
    child: int,
    log: KernelLogReader | None,
    writer: records.RecordWriter,
    requests: int | None = None,
    expiry: Expiry | None = None,
) -> int:
    """Send the kernel log and signs of life until the process ``child`` has ended.

    ``requests`` is a descriptor from which the host's are read; ``expiry`` is told of tests
    that are to be ended. Returns the wait status.
    """
    over = os.pidfd_open(child)
    suite = SuiteProcess(child)
    awaited = select.poll()
    awaited.register(over, select.POLLIN)
    if requests is not None:
        awaited.register(requests, select.POLLIN)
    due = time.monotonic() + records.ALIVE_SECONDS
    while over not in (ready := dict(awaited.poll(_LOG_SECONDS * 1000))):
        send_log(log, writer)
        asked = False
        if requests in ready:
            request = os.read(requests, 4096) if ready[requests] == select.POLLIN else b""
            if not request:
                awaited.unregister(requests)  # the host is gone
            if expiry is not None:
                for word, number in asked_for(request):
                    expiry.ask(word, number, child, suite.sleeps_in)
            asked = records.REQUEST in request
            if asked:
                show_tasks()
                send_log(log, writer)
        if asked or time.monotonic() >= due:
            writer.send(suite.look(asked=asked))
            due = time.monotonic() + records.ALIVE_SECONDS
    os.close(over)
    wait_status = os.waitpid(child, 0)[1]
    # A message without a line end is not given out before another one follows.
    records.log_to_console(records.END_MARKER)
    while send_log(log, writer):
        pass
    return wait_status


def main() -> None:
    """Report, run, report."""
    clean_environment()
    port = open_port()
    writer = records.RecordWriter(port)
    hello = identity()
    records.log_to_console(records.hello_marker(hello.nonce))
    writer.send(hello)
    settings = json.loads((PAYLOAD / "settings.json").read_text())
    started = time.monotonic()
    expiry = Expiry()
    child = os.fork()
    if child == 0:
        writer.own()
        status = INTERNAL_ERROR
        try:
            status = run_suite(writer, settings, expiry)
        except BaseException:
            traceback.print_exc()  # on the console: there is nobody else to tell
            raise
        finally:
            os._exit(status)
    allow_sysrq()
    wait_status = await_suite(child, open_kernel_log(), writer, port, expiry)
    writer.send(
        records.End(
            status=os.waitstatus_to_exitcode(wait_status),
            seconds=round(time.monotonic() - started, 3),
            taint=records.read_taint(),
        )
    )


if __name__ == "__main__":
    main()
