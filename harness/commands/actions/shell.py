"""Boots a kernel and gives a shell in it."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.commands.actions.guest_root import guest_root
from harness.commands.actions.refusals import (
    refuse_bad_guest,
    refuse_bad_kernels,
    refuse_long_append,
)
from harness.commands.display import ProgressConsole, progress_display
from harness.commands.sources import kernel_sources
from harness.errors import InputError
from harness.guest.accel import choose_accel, qemu_version
from harness.guest.bytecode import add_bytecode
from harness.guest.launcher import WORKPLACE
from harness.guest.observe import KERNEL_ARGUMENTS, Deadlines
from harness.guest.payload import Selection, write_payload
from harness.guest.session import GuestSettings, Session
from harness.guest.shell import Shell, is_terminal
from harness.kernels.resolve import resolve
from harness.model import BootableKernel
from harness.progress import Progress
from harness.scratch import scratch_directory, sweep

#: As in a run, but for what ends a guest at an oops: a person may want to look.
_KEPT_ARGUMENTS = tuple(word for word in KERNEL_ARGUMENTS if word != "oops=panic")

_GDB_SOCKET = "gdb"

#: QEMU's stub at a socket that nobody else can open; the guest waits for the debugger (-S).
_GDB_OPTIONS = (
    *("-chardev", f"socket,id=afalg-gdb,path={_GDB_SOCKET},server=on,wait=off"),
    *("-gdb", "chardev:afalg-gdb", "-S"),
)


def execute(arguments: argparse.Namespace) -> int:
    """Boot and give the shell; returns its exit status."""
    if arguments.command is None and not is_terminal():
        raise InputError("shell: needs a terminal; without one, name a command with --exec")
    if arguments.command is not None and not arguments.command.strip():
        raise InputError("shell: --exec names no command")
    refuse_bad_guest(arguments)
    refuse_long_append(arguments)
    qemu_version()  # before anything is downloaded
    sweep()
    with contextlib.ExitStack() as stack:
        with progress_display(ProgressConsole(), arguments.quiet) as progress:
            guest = _start(arguments, stack, progress)
            shell = Shell(guest.session, show_console=arguments.verbose)
            if not arguments.gdb:
                shell.await_guest(Deadlines.for_accel(guest.accel, 0).boot, lambda: None)
                progress.finish(arguments.spec, f"booted {guest.kernel.release}")
        if arguments.gdb:  # with no display that would break the line which is to be pasted
            shell.await_guest(None, _when_there(guest))
        if arguments.command is not None:
            return shell.run(arguments.command)
        print("Ctrl-D ends the shell, and Ctrl-] a guest that does not answer", file=sys.stderr)
        return shell.interact()


@dataclass(frozen=True)
class _Guest:
    """A guest that was started."""

    kernel: BootableKernel
    session: Session
    accel: str
    gdb_socket: Path


def _start(
    arguments: argparse.Namespace, stack: contextlib.ExitStack, progress: Progress
) -> _Guest:
    """Start the guest; it ends with ``stack``."""
    spec, sources = arguments.spec, kernel_sources(arguments)
    refuse_bad_kernels([spec], sources, progress)
    kernel = resolve(spec, sources, progress)
    root = guest_root(arguments, sources, progress)
    accel = choose_accel(arguments.accel, kernel.image, sources.cache, progress)
    payload = stack.enter_context(scratch_directory()) / "payload.tar"
    write_payload(Selection(), payload)
    add_bytecode(payload, root, progress)
    settings = GuestSettings(
        root=root,
        accel=accel.name,
        append=(*_KEPT_ARGUMENTS, *(["nokaslr"] if arguments.gdb else []), *arguments.append),
        program="shell.py",
        qemu_options=_GDB_OPTIONS if arguments.gdb else (),
    )
    session = stack.enter_context(Session(kernel, settings, payload))
    progress.report(spec, "booting")
    directory = session.directory / WORKPLACE if root.isolated else session.directory
    return _Guest(kernel, session, accel.name, directory / _GDB_SOCKET)


def _when_there(guest: _Guest) -> Callable[[], None]:
    """Says how to attach as soon as QEMU's stub is there."""
    said: list[str] = []

    def look() -> None:
        if not said and guest.gdb_socket.is_socket():
            said.append(attach_command(guest.gdb_socket, guest.kernel))
            print(f"QEMU waits for a debugger: {said[0]}", file=sys.stderr, flush=True)

    return look


def attach_command(socket: Path, kernel: BootableKernel) -> str:
    """The gdb command for this guest, with the kernel's symbols if they are known."""
    debian = Path("/usr/lib/debug/boot", f"vmlinux-{kernel.release}")
    places = [*([kernel.symbols / "vmlinux"] if kernel.symbols else []), debian]
    symbols = next((str(path) for path in places if path.is_file()), None)
    # For a person to start, not for us.
    attach = f"gdb -ex {shlex.quote(f'target remote {socket}')}"
    attach += f" {shlex.quote(symbols)}" if symbols else ""
    return attach if symbols else f"{attach} (no vmlinux is known of this kernel)"
