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
from harness.errors import BootError, InputError
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
            guest = _prepare(arguments, stack, progress)
            if arguments.gdb:
                shell, session = _boot(guest, arguments, stack, progress)
            else:
                shell = boot_until_it_answers(guest, arguments, stack, progress)
                progress.finish(arguments.spec, f"booted {guest.kernel.release}")
        if arguments.gdb:  # with no display that would break the line which is to be pasted
            shell.await_guest(None, _when_there(_gdb_socket(guest, session), guest.kernel))
        if arguments.command is not None:
            return shell.run(arguments.command)
        print("Ctrl-D ends the shell, and Ctrl-] a guest that does not answer", file=sys.stderr)
        return shell.interact()


@dataclass(frozen=True)
class Prepared:
    """What a guest is booted from."""

    kernel: BootableKernel
    settings: GuestSettings
    payload: Path


def _prepare(
    arguments: argparse.Namespace, stack: contextlib.ExitStack, progress: Progress
) -> Prepared:
    """All that a guest needs; its temporary files go with ``stack``."""
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
    return Prepared(kernel, settings, payload)


def _boot(
    guest: Prepared, arguments: argparse.Namespace, stack: contextlib.ExitStack, progress: Progress
) -> tuple[Shell, Session]:
    """Start the guest; it ends with ``stack``."""
    session = stack.enter_context(Session(guest.kernel, guest.settings, guest.payload))
    progress.report(arguments.spec, "booting")
    return Shell(session, show_console=arguments.verbose), session


def boot_until_it_answers(
    guest: Prepared, arguments: argparse.Namespace, stack: contextlib.ExitStack, progress: Progress
) -> Shell:
    """Start the guest and await it; it ends with ``stack``.

    As in a run, a boot that dies of a fault of QEMU's emulation is tried once more. Raises
    BootError.
    """
    accel = guest.settings.accel
    patience, may_fail = Deadlines.for_accel(accel, 0).boot, accel == "tcg"
    while True:
        with contextlib.ExitStack() as mine:
            shell, _ = _boot(guest, arguments, mine, progress)
            try:
                shell.await_guest(patience, lambda: None)
            except BootError:
                if not (may_fail and shell.emulator_fault):
                    raise
                may_fail = False
                again = f"booting again, for QEMU's emulation failed ({shell.emulator_fault})"
                progress.fails(arguments.spec, again)
            else:
                stack.push(mine.pop_all())
                return shell


def _gdb_socket(guest: Prepared, session: Session) -> Path:
    """Where QEMU's stub listens."""
    isolated = guest.settings.root.isolated
    return (session.directory / WORKPLACE if isolated else session.directory) / _GDB_SOCKET


def _when_there(stub: Path, kernel: BootableKernel) -> Callable[[], None]:
    """Says how to attach as soon as QEMU's stub is there."""
    said: list[str] = []

    def look() -> None:
        if not said and stub.is_socket():
            said.append(attach_command(stub, kernel))
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
