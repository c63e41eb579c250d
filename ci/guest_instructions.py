"""Counts the instructions that guests execute: a measure that emulation and KVM have in common.

Under emulation a plugin of QEMU's counts them, compiled here (gcc); under KVM ``perf stat`` does,
where the host's CPU and its settings let it count what guests do (``instructions:G``).
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.guest.vng import QEMU
from harness.processes import find_program

_PAGE = 4096
#: The interface that QEMU 7.2 and 10.0 have in common, declared here: Debian 12 has no header.
#: Each CPU adds to a counter of its own, in a file, so that no end of QEMU loses the count.
_PLUGIN = """
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

struct qemu_plugin_tb;
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t,
    void (*)(uint64_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *,
    void (*)(unsigned int, void *), int, void *);

int qemu_plugin_version = VERSION;
static volatile uint64_t *counts;

static void executed(unsigned int cpu, void *instructions)
{
    counts[cpu % 64 * 8] += (uintptr_t)instructions;
}

static void translated(uint64_t id, struct qemu_plugin_tb *block)
{
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0,
        (void *)qemu_plugin_tb_n_insns(block));
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    int file;
    if (argc != 1 || strncmp(argv[0], "counts=", 7))
        return -1;
    file = open(argv[0] + 7, O_RDWR);
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || counts == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
"""
#: Versions of the interface: 1 up to QEMU 8.2, 2 from then on.
_VERSIONS = ("1", "2")


class Uncounted(Exception):
    """Nothing here counts what guests execute."""


@dataclass
class Counter:
    """What the guests of a block have executed."""

    instructions: int = 0  # known when the block has been left
    #: What a program has to have around it for its guests to be counted.
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    qemu_options: tuple[str, ...] = ()  # for a QEMU that is started by hand, without the prefix


@contextlib.contextmanager
def counted(accel: str) -> Iterator[Counter]:
    """Count what guests under ``accel`` execute while this block runs. Raises Uncounted."""
    with tempfile.TemporaryDirectory(prefix="afalg-count-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # QEMU runs as a user of its own
        with _by_perf(folder) if accel == "kvm" else _by_plugin(folder) as counter:
            yield counter


@contextlib.contextmanager
def _by_plugin(folder: Path) -> Iterator[Counter]:
    counts, qemu = folder / "counts", find_program(QEMU)
    counts.write_bytes(bytes(_PAGE))
    counts.chmod(0o666)
    options = ("-plugin", f"file={_compiled(folder, qemu)},counts={counts}")
    wrapper = folder / QEMU
    wrapper.write_text(f'#!/bin/sh\nexec {qemu} "$@" {" ".join(options)}\n')
    wrapper.chmod(0o755)
    counter = Counter(
        environment={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}, qemu_options=options
    )
    yield counter
    counter.instructions = sum(struct.unpack(f"={_PAGE // 8}Q", counts.read_bytes()))


def _compiled(folder: Path, qemu: str) -> Path:
    """The plugin, in the version that this QEMU takes."""
    plugin, said = folder / "count.so", ""
    for version in _VERSIONS:
        options = ["-shared", "-fPIC", "-O2", f"-DVERSION={version}", "-x", "c"]
        subprocess.run(
            [find_program("gcc"), *options, "-", "-o", plugin],
            input=_PLUGIN.encode(),
            check=True,
        )
        # Without a counter it refuses to begin; a version that QEMU does not know is told before.
        tried = subprocess.run(
            [qemu, "-machine", "none", "-display", "none", "-plugin", f"file={plugin}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if "version" not in tried.stderr:
            return plugin
        said = tried.stderr.strip()
    raise Uncounted(f"QEMU takes no plugin of ours: {said}")


@contextlib.contextmanager
def _by_perf(folder: Path) -> Iterator[Counter]:
    counts = folder / "perf.csv"
    perf = [find_program("perf"), "stat", "-x", ";", "-e", "instructions:G", "-o", str(counts)]
    counter = Counter(prefix=(*perf, "--"))
    yield counter
    counter.instructions = read_perf(counts.read_text())


def read_perf(text: str) -> int:
    """The count in what ``perf stat -x ';'`` wrote for one event. Raises Uncounted."""
    for line in text.splitlines():
        count, *_ = line.split(";")
        if count.isdecimal():
            return int(count)
    said = next((line for line in text.splitlines() if line and line[0] != "#"), "nothing")
    raise Uncounted(f"perf counts no instructions of guests here: {said}")
