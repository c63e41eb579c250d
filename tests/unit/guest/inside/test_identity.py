"""What the agent says of the kernel that it runs on."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from harness.guest.inside.agent import read_build_id, read_compiler, read_cpu_model


def _note(name: bytes, kind: int, content: bytes) -> bytes:
    padded = (part + bytes(-len(part) % 4) for part in (name, content))
    return struct.pack("=III", len(name), len(content), kind) + b"".join(padded)


def test_the_build_id_is_found_among_the_notes(tmp_path: Path) -> None:
    """As /sys/kernel/notes has them: Xen's and Linux's own come first."""
    notes = tmp_path / "notes"
    notes.write_bytes(
        _note(b"Xen\0", 6, b"linux\0")
        + _note(b"Linux\0", 3, b"abc")
        + _note(b"GNU\0", 3, bytes(range(20)))
        + _note(b"GNU\0", 5, b"x")
    )
    assert read_build_id(notes) == bytes(range(20)).hex()
    notes.write_bytes(_note(b"Linux\0", 3, b"abc"))
    assert read_build_id(notes) == ""
    assert read_build_id(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("version", "compiler"),
    [
        (
            "Linux version 6.12.43+deb12-amd64 (debian-kernel@lists.debian.org) "
            "(gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP",
            "gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40",
        ),
        ("Linux version 7.3.0 (root@host) (clang version 19) #2", "clang version 19"),
        ("Linux version 7.3.0 (root@host", ""),
    ],
)
def test_the_compiler(tmp_path: Path, version: str, compiler: str) -> None:
    (tmp_path / "version").write_text(version)
    assert read_compiler(tmp_path / "version") == compiler
    assert read_compiler(tmp_path / "none") == ""


def test_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: QEMU TCG CPU: 2.5+\nx\t: y\n")
    assert read_cpu_model(tmp_path / "cpuinfo") == "QEMU TCG CPU: 2.5+"
    assert read_cpu_model(tmp_path / "none") == ""
