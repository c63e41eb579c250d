"""What a guest that never ceases to talk costs the harness: memory, disk and time.

A program in QEMU's place prints SIZE MiB on the console, with a report of the kernel's in the
middle and a panic at the end, and meanwhile sends SIZE MiB of records, half of them in one
endless line; the harness hears it as it hears any guest. Prints the figures as JSON, and
ends with 1 if the harness needed 150 MiB or more, or missed what the flood was about.

    ci/flood.py [--size MIB]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from harness.guest import vng
from harness.guest.observe import Deadlines, observe
from harness.guest.session import GuestSettings
from harness.model import BootableKernel, Role, Status
from harness.progress import SilentProgress

_MOST = 150 << 20  # bytes of memory
_RELEASE = "6.12"
_GUEST = r"""
import json, os, socket, sys, threading
nonce, size = sys.argv[1], int(sys.argv[2]) << 20
results, qmp = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
results.connect("results")
qmp.connect("qmp")
qmp.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\n')
qmp.recv(1000)
qmp.sendall(b'{"return": {}}\n')
number = 0
def send(kind, **fields):
    global number
    record = {"type": kind, "seq": number, "uptime": 1.0, **fields}
    number += 1
    results.sendall(json.dumps(record).encode() + b"\n")
def say(*lines):
    os.write(1, "".join(f"[    1.000000] {line}\n" for line in lines).encode())
def flood(size):
    chunk = (b"[    1.000000] " + b"x" * 100 + b"\n") * 32
    for _ in range(size // len(chunk)):
        data = chunk
        while data:
            data = data[os.write(1, data):]
def report():
    while number * 1000 < size // 2:
        send("fact", name=f"f{number}", state="absent", control="fired", evidence="e" * 850,
             test="a.py::test_it")
    results.sendall(b'{"type": "fact", "name": "')
    for _ in range(size // 2 // 65536):
        results.sendall(b"x" * 65536)
send("hello", nonce=nonce, release="RELEASE", version="", machine="", cmdline="", taint=0,
     af_alg_error="", af_alg_restrict=None)
send("plan", tests=["a.py::test_it"])
send("start", id="a.py::test_it")
say("afalg-harness: start a.py::test_it")
reporting = threading.Thread(target=report)
reporting.start()
flood(size // 2)
say("BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80", "Call Trace:",
    "---[ end trace 0000000000000000 ]---")
flood(size // 2)
reporting.join()
say("Kernel panic - not syncing: Fatal exception")
qmp.sendall(b'{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"},'
            b' "timestamp": {"seconds": 0, "microseconds": 0}}\n')
"""


def main() -> int:
    """Flood; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    size = parser.parse_args().size

    def command(*_: object, append: Sequence[str], **__: object) -> list[str]:
        nonce = next(word for word in append if "nonce=" in word).partition("=")[2]
        return [sys.executable, "-c", _GUEST.replace("RELEASE", _RELEASE), nonce, str(size)]

    vng.command = command
    kernel = BootableKernel("fake", _RELEASE, Path("/boot/vmlinuz"), None, None, None)
    with tempfile.TemporaryDirectory() as folder:
        before, started = _memory(), time.monotonic()
        seen = observe(
            kernel,
            Role.CANDIDATE,
            GuestSettings(vng.Root("disk", Path("/root.ext4")), "tcg"),
            Path("/payload"),
            Deadlines(boot=600, plan=600, test=7200, suite=7200, shutdown=600, alive=7200),
            Path(folder),
            threading.Event(),
            SilentProgress(),
        )
        sizes = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    most = _memory()
    found = [(event.kind, event.test) for event in seen.console_events]
    figures = {
        "size_mib": size,
        "seconds": round(time.monotonic() - started, 1),
        "memory_before_mib": before >> 20,
        "memory_mib": most >> 20,
        "files": sizes,
        "status": seen.status,
        "reports": found,
        "records_lost": seen.records_lost,
        "notes": seen.notes,
    }
    print(json.dumps(figures, indent=1))
    known = found == [("kasan", "a.py::test_it"), ("panic", "a.py::test_it")]
    return 0 if known and seen.status is Status.CRASHED and most < _MOST else 1


def _memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    sys.exit(main())
