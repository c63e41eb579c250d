"""Tiny stand-ins for kernels, modules and packages, as fixture ``build``."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
from pathlib import Path

import pytest

from harness.progress import Progress

RELEASE = "6.12.43+deb12-amd64"


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _ar(members: dict[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


class Builder:
    """Makes them."""

    release = RELEASE

    def bzimage(self, release: str = RELEASE, payload: int = 64, *, xloadflags: int = 1) -> bytes:
        """The least that counts as a bzImage of ``release`` with ``payload`` bytes of code."""
        head = bytearray(512 * 5)
        head[0x1F1] = 4
        struct.pack_into("<I", head, 0x1F4, payload // 16)
        struct.pack_into("<H", head, 0x1FE, 0xAA55)
        head[0x202:0x206] = b"HdrS"
        struct.pack_into("<H", head, 0x206, 0x20F)
        struct.pack_into("<H", head, 0x20E, 0x300 - 0x200)
        struct.pack_into("<H", head, 0x236, xloadflags)
        version = f"{release} (someone@somewhere) #1 SMP".encode() + b"\0"
        head[0x300 : 0x300 + len(version)] = version
        return bytes(head) + b"x" * payload

    def module(self, release: str = RELEASE, depends: str = "", softdep: str = "") -> bytes:
        """Something in which ``modinfo`` finds what it looks for; no ELF file."""
        info = [f"vermagic={release} SMP mod_unload", f"depends={depends}"]
        if softdep:
            info.append(f"softdep={softdep}")
        return b"code\0" + b"\0".join(item.encode() for item in info) + b"\0"

    def deb(
        self,
        path: Path,
        name: str,
        files: dict[str, bytes],
        *,
        version: str = "6.12.43-1",
        architecture: str = "amd64",
        depends: str = "",
    ) -> Path:
        """Write a binary package with the given members of its data part."""
        control = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        if depends:
            control += f"Depends: {depends}\n"
        data = _tar(files)
        path.write_bytes(
            _ar(
                {
                    "debian-binary": b"2.0\n",
                    "control.tar.xz": lzma.compress(_tar({"control": control.encode()})),
                    "data.tar.xz": lzma.compress(data),
                }
            )
        )
        return path

    def tree(self, root: Path, release: str = RELEASE) -> Path:
        """An unpacked package tree with an image, a config and some modules."""
        modules = root / "lib/modules" / release / "kernel"
        for name, data in {
            "crypto/af_alg.ko.xz": lzma.compress(self.module(release)),
            "crypto/algif_hash.ko.xz": lzma.compress(self.module(release, "af_alg")),
            "fs/ext4/ext4.ko": self.module(release, "mbcache,far-away", "pre: crc32c"),
            "fs/mbcache.ko": self.module(release),
            "drivers/odd/far_away.ko": self.module(release),
            "drivers/net/e1000.ko": self.module(release),
        }.items():
            (modules / name).parent.mkdir(parents=True, exist_ok=True)
            (modules / name).write_bytes(data)
        (modules.parent / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
        (root / "boot").mkdir()
        (root / "boot" / f"vmlinuz-{release}").write_bytes(self.bzimage(release))
        (root / "boot" / f"config-{release}").write_text("CONFIG_EXT4_FS=m\n")
        return root


class Recorder(Progress):
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str, float | None]] = []

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Keep it."""
        self.reports.append((subject, activity, fraction))


@pytest.fixture
def build() -> Builder:
    """Makes tiny kernels, modules and packages."""
    return Builder()


@pytest.fixture
def progress() -> Recorder:
    """Keeps what is reported."""
    return Recorder()
