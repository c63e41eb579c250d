"""What ``shell`` does before a guest is there."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from harness.cli import main
from harness.commands.actions.shell import Prepared, attach_command, boot_until_it_answers
from harness.errors import BootError
from harness.guest.messages import ConsoleLine, Ended, Message, RecordLine
from harness.guest.session import GuestSettings
from harness.guest.vng import Root
from harness.model import BootableKernel
from harness.progress import Progress

_KERNEL = BootableKernel("debian:x", "0.0-none", Path("/k/vmlinuz"), None, None, None)


def test_without_a_terminal_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert main(["shell", "debian:trixie"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs a terminal" in line
    assert "--exec" in line


def test_gdb_is_given_the_symbols_of_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").touch()
    command = attach_command(Path("/tmp/a/gdb"), replace(_KERNEL, symbols=tmp_path))
    assert command == f"gdb -ex 'target remote /tmp/a/gdb' {tmp_path}/vmlinux"


def test_gdb_without_symbols_is_said() -> None:
    command = attach_command(Path("/tmp/a/gdb"), _KERNEL)
    assert command.startswith("gdb -ex 'target remote /tmp/a/gdb' (no vmlinux is known")


class _Guests:
    """In place of ``Session``: each next guest says what is next in the list, and ends."""

    def __init__(self, *told: Sequence[Message]) -> None:
        self._told = list(told)
        self.alive = 0
        self.booted = 0

    def __call__(self, *_: object) -> contextlib.AbstractContextManager[_FakeSession]:
        return self._boot()

    @contextlib.contextmanager
    def _boot(self) -> Iterator[_FakeSession]:
        self.alive += 1
        self.booted += 1
        try:
            yield _FakeSession(iter(self._told.pop(0)))
        finally:
            self.alive -= 1


@dataclass(frozen=True)
class _FakeSession:
    messages: Iterator[Message]

    def elapsed(self) -> float:
        return 0.0

    def next(self, _deadline: float) -> Message:
        return next(self.messages, Ended(1.0))


_READY = (RecordLine(1.0, '{"type": "ready"}', 0),)
_STALE = (ConsoleLine(1.0, "[    2.692851] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"),)
_PANIC = (
    ConsoleLine(1.0, "[    2.0] Kernel panic - not syncing: VFS"),
    *(ConsoleLine(1.0, text) for text in ("Call Trace:", *map(str, range(20)), "</TASK>", "")),
)


def _boot(
    monkeypatch: pytest.MonkeyPatch, guests: _Guests, accel: str = "tcg"
) -> tuple[Mock, contextlib.ExitStack]:
    monkeypatch.setattr("harness.commands.actions.shell.Session", guests)
    root = cast("Root", None)
    guest = Prepared(_KERNEL, GuestSettings(root, accel), Path("payload.tar"))
    progress, stack = Mock(spec=Progress), contextlib.ExitStack()
    arguments = Namespace(spec=_KERNEL.spec, verbose=False)
    boot_until_it_answers(guest, arguments, stack, progress)
    return progress, stack


def test_a_boot_that_dies_of_the_emulation_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guests = _Guests(_STALE, _READY)
    progress, stack = _boot(monkeypatch, guests)
    assert (guests.booted, guests.alive) == (2, 1)
    ((subject, said),) = [call.args for call in progress.fails.call_args_list]
    assert subject == _KERNEL.spec
    assert "Oops: int3: 0000" in said
    stack.close()
    assert guests.alive == 0


@pytest.mark.parametrize(
    ("guests", "accel", "booted", "said"),
    [
        (_Guests(_STALE, _STALE, _READY), "tcg", 2, "Oops: int3"),
        (_Guests(_STALE, _READY), "kvm", 1, "Oops: int3"),  # it is the kernel's own there
        (_Guests(_PANIC, _READY), "tcg", 1, "said: .*Kernel panic - not syncing: VFS"),
    ],
)
def test_any_other_is_not(
    monkeypatch: pytest.MonkeyPatch, guests: _Guests, accel: str, booted: int, said: str
) -> None:
    with pytest.raises(BootError, match=said):
        _boot(monkeypatch, guests, accel)
    assert (guests.booted, guests.alive) == (booted, 0)
