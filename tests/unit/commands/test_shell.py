"""What ``shell`` says before a guest is there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands.actions.shell import attach_command
from harness.model import BootableKernel

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
