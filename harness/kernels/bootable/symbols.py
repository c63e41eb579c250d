"""Keeps what it takes to decode a kernel's stack traces: vmlinux with debug information."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.kernels.image.config import read_config
from harness.kernels.parts.build_tree import source_of
from harness.kernels.parts.kernel_parts import KernelParts

DECODER = "decode_stacktrace.sh"


def keep_symbols(parts: KernelParts, target: Path) -> None:
    """Copy vmlinux and the tree's own decoder to ``target/symbols``, if they can be of use.

    That is where the kernel was built here, with debug information (scripts/
    decode_stacktrace.sh needs it). Raises OSError.
    """
    if parts.build is None or parts.config is None:
        return
    vmlinux = parts.build / "vmlinux"
    decoder = source_of(parts.build) / "scripts" / DECODER
    options = read_config(parts.config)
    if options.get("DEBUG_INFO") != "y" or not vmlinux.is_file() or not decoder.is_file():
        return
    place = target / "symbols"
    place.mkdir()
    shutil.copy(vmlinux, place / "vmlinux")
    shutil.copy(decoder, place / DECODER)
